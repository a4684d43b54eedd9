// SPDX-License-Identifier: Apache-2.0

@testable import BlockPartitions
import Testing

@Suite("An edited MBR")
struct MBREditTests {
    private static func chain(_ blockSize: Int = 512) throws -> EditedDisk {
        var edited = EditedDisk(logicalBlockSize: blockSize)
        try edited.edit(.make(.dos, isForced: false))
        let unit = UInt64(blockSize / 512)
        try edited.create(2048 / unit)
        try edited.create(120_000 / unit, type: "5")
        let extended = try #require(edited.disk.scan().entries.last).start / unit
        for (index, at) in [8192, 32768, 16384].enumerated() as EnumeratedSequence<[UInt64]> {
            try edited.create(2048 / unit, at: extended + at / unit, type: index == 1 ? "swap" : nil)
        }
        return edited
    }

    @Test(arguments: [512, 4096]) func `has logical partitions in any order, and numbers that move up`(
        _ blockSize: Int
    ) throws {
        var edited = try Self.chain(blockSize)
        let base = try #require(edited.disk.scan().entries.first { $0.number == 2 }).start
        #expect(
            edited.places.suffix(3) == [[5, base + 8192, 2048], [6, base + 32768, 2048], [7, base + 16384, 2048]])
        #expect(edited.disk.scan(.kernel).places == edited.places)
        let change = try edited.edit(.delete([5]))
        #expect(change.notes == ["partition 6 is number 5 from now on", "partition 7 is number 6 from now on"])
        #expect(edited.places.suffix(2) == [[5, base + 32768, 2048], [6, base + 16384, 2048]])
        try edited.edit(.resize(6, nil))
        // The boot record of the other one has moved to where the chain begins.
        #expect(edited.places.last == [6, base + 16384, 16384])
        #expect(edited.disk.scan().warnings == [])
    }

    @Test func `keeps boot code, slots that did not change and the chain that we did not write`() throws {
        var disk = TestDisk([.data(63, 1000, type: 0x0C), .link(2000, 5000), .empty, .data(9000, 100)])
        disk.write(Array("code".utf8), sector: 0)
        disk.change(sector: 0, offset: 0x1BE, to: 0x80)
        disk.writeRecord([.data(63, 500), .link(1000, 900, type: 0x85)], block: 2000)
        disk.writeRecord([.data(1, 800)], block: 3000)
        disk.write(Array("loader".utf8), sector: 3000)
        var edited = EditedDisk(disk)
        let before = edited.disk
        try edited.create(10, at: 5000)
        #expect(edited.places.suffix(3) == [[5, 2063, 500], [6, 3001, 800], [7, 5000, 10]])
        for sector in [0, 2000] as [UInt64] {
            for offset in 0..<512 {
                #expect(before.byte(sector: sector, offset: offset) == edited.disk.byte(sector: sector, offset: offset))
            }
        }
        #expect(edited.disk.byte(sector: 3000, offset: 0) == UInt8(ascii: "l"))
    }

    @Test func `with a chain of another make has its primaries edited, and nothing else`() throws {
        var disk = TestDisk([.link(2000, 5000), .data(9000, 100)])
        disk.writeRecord([.data(1, 9), .data(20, 9), .link(1000, 500)], block: 2000)
        disk.writeRecord([.data(1, 9)], block: 3000)
        var edited = EditedDisk(disk)
        #expect(edited.refusal(.delete([5]))?.contains("laid out in another way") == true)
        #expect(edited.refusal(.delete([1]))?.contains("would lose") == true)
        #expect(edited.refusal(.convertToGPT)?.contains("would lose") == true)
        let before = edited.places
        try edited.create(50, at: 20_000)
        #expect(edited.places == [before[0], before[1], [3, 20_000, 50]] + before[2...])
    }

    @Test func `refuses what cannot be, in one line`() throws {
        var edited = try Self.chain()
        func refusal(_ change: (inout NewPartition) -> Void) -> String {
            var wish = NewPartition()
            change(&wish)
            return edited.refusal(.create(wish, nil)) ?? "done"
        }
        #expect(refusal { $0.name = "x" }.contains("no identity, name"))
        #expect(refusal { $0.type = "0f" }.contains("may have one"))
        #expect(refusal { $0.type = "ee" }.contains("announces a GPT"))
        #expect(refusal { $0.type = "00" }.contains("no partition"))
        #expect(refusal { $0.number = 9 }.contains("number 8, not 9"))
        #expect(edited.refusal(.delete([2]))?.contains("delete those first") == true)
        for script in ["", "\n# nothing\n", "unit: sectors\n"] {
            #expect(edited.refusal(.apply(script))?.contains("describes nothing") == true)
        }
        #expect(edited.refusal(.resize(2, 4096))?.contains("no longer lie") == true)
        #expect(edited.refusal(.rename(1, "x"))?.contains("no names") == true)
        try edited.edit(.delete([2, 7, 6, 5]))
        #expect(edited.places == [[1, 2048, 2048]])
        #expect(
            edited.refusal(
                .create(
                    {
                        var wish = NewPartition(); wish.number = 5; return wish
                    }(), nil))?
                .contains("make an extended one first") == true)
    }

    @Test func `loses one partition where its number is said twice`() throws {
        var edited = try Self.chain()
        let before = edited.places
        try edited.edit(.delete([5, 5]))
        #expect(
            edited.places.map { $0[1] } == before.map { $0[1] }.enumerated().filter { $0.offset != 2 }.map(\.element))
    }

    @Test func `gets logical partitions where primary numbers or places have run out`() throws {
        var edited = EditedDisk()
        try edited.edit(.make(.dos, isForced: false))
        for _ in 0..<3 { try edited.create(2048) }
        try edited.create(nil, type: "0f")
        try edited.create(2048)
        #expect(edited.places.last == [5, 10240, 2048])
        #expect(edited.disk.scan().entries[3].type == "0xf")
    }
}

@Suite("A conversion to a GPT")
struct ConversionTests {
    @Test func `keeps places and numbers, and drops the extended partition`() throws {
        var edited = EditedDisk()
        try edited.edit(.make(.dos, isForced: false))
        try edited.create(2048, type: "0c")
        try edited.create(20_480, type: "5")
        try edited.create(2048, at: 8192, type: "8e")
        edited.disk.write(Array("code".utf8), sector: 0)
        try edited.edit(.convertToGPT)
        let scan = edited.disk.scan()
        #expect(scan.table == .gpt && scan.warnings == [])
        #expect(scan.places == [[1, 2048, 2048], [5, 8192, 2048]])
        #expect(
            scan.entries.map(\.type) == [
                "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "e6d6d379-f507-44c2-a23c-238f2a3df928",
            ])
        #expect(Set(scan.entries.map(\.uuid)).count == 2)
        #expect(edited.disk.byte(sector: 0, offset: 0) == UInt8(ascii: "c"))
    }

    @Test func `has room for numbers past the 128th`() throws {
        var edited = EditedDisk(TestDisk([.link(2048, 90_000)]))
        for index in 0..<130 as Range<UInt32> {
            let link = index < 129 ? Slot.link(100 * (index + 1), 100) : .empty
            edited.disk.writeRecord([.data(1, 50), link], block: UInt64(2048 + 100 * index))
        }
        #expect(edited.places.last == [134, 14_949, 50])
        try edited.edit(.convertToGPT)
        #expect(edited.places.last == [134, 14_949, 50] && edited.places.count == 130)
    }

    @Test func `is refused in one line where there is no room`() throws {
        var end = EditedDisk(TestDisk([.data(2048, 97_952)]))
        #expect(
            end.refusal(.convertToGPT)?.contains("partition 1 ends at block 99999: make it 16896 bytes smaller") == true
        )
        var start = EditedDisk(TestDisk([.data(63, 1000), .data(33, 10)]))
        #expect(start.refusal(.convertToGPT)?.contains("partition 2 begins at block 33") == true)
        var fits = EditedDisk(TestDisk([.data(34, 99_933)]))
        #expect(fits.refusal(.convertToGPT) == nil)
    }
}

@Suite("A script of sfdisk's")
struct ScriptTests {
    private static func places(_ script: String, on disk: TestDisk = TestDisk(capacity: 204_800)) throws -> [[UInt64]] {
        var edited = EditedDisk(disk)
        try edited.edit(.apply(script))
        return edited.places
    }

    @Test func `has named and unnamed fields, units, shortcuts and comments`() throws {
        let script = """
            # a comment
            label: dos
            label-id: 0x12345678
            unit: sectors

            /dev/loop0p2 : start=        4096, size=        2048, type=83, bootable
            , 1MiB , S
            start=20480 size=4K type=ef
            8192,+2048
            """
        #expect(throws: TableEditError.self) { try Self.places(script) }
        let good = script.replacing("8192,+2048", with: "40960,+,L,*")
        #expect(try Self.places(good) == [[1, 2048, 2048], [2, 4096, 2048], [3, 20480, 8], [4, 40960, 163_840]])
        var edited = EditedDisk()
        try edited.edit(.apply(good))
        #expect(edited.disk.scan().entries.map(\.type) == ["0x82", "0x83", "0xef", "0x83"])
        #expect(edited.disk.scan().entries.map(\.isBootable) == [false, true, false, true])
        #expect(edited.disk.scan().tableID == "12345678")
    }

    @Test(
        "takes '-' for a default wherever sfdisk 2.38 does",
        arguments: [
            ("-,1M", ",1M"), ("-,-", ","), ("-", ","), ("- 2048 S", ", 2048, S"), ("-,1M,-,-", ",1M"),
            ("start=-, size=1M", ",1M"), ("start=4096, size=-", "4096"), ("-,1M,-,*\n-,-,-,-", ",1M,,*\n,"),
        ])
    func dashes(_ script: String, _ meant: String) throws {
        for label in ["label: dos\nlabel-id: 0x12345678\n", "label: gpt\n"] {
            var (edited, same) = (EditedDisk(), EditedDisk())
            try edited.edit(.apply(label + script))
            try same.edit(.apply(label + meant))
            #expect(edited.disk.scan() == same.disk.scan(), "\(label)")
        }
    }

    @Test func `is bootable as a GPT where it was as an MBR`() throws {
        var edited = EditedDisk()
        try edited.edit(.apply("label: dos\n2048,2048,L\n4096,2048,L,*\n"))
        try edited.edit(.convertToGPT)
        #expect(edited.disk.scan().table == .gpt)
        #expect(edited.disk.scan().entries.map(\.attributes) == [0, 4])
    }

    @Test func `gives names, identities and attributes of a GPT, and its usable blocks`() throws {
        var edited = EditedDisk()
        try edited.edit(
            .apply(
                """
                label: gpt
                label-id: 8051088E-3225-41EC-9140-389117D495FF
                device: disk7
                first-lba: 4096
                last-lba: 100000
                table-length: 200
                disk7p3 : size=1M, type=uefi, name="Gr\\xc3\\xb6 \\x22x\\x22, y", attrs="RequiredPartition GUID:60,61"
                disk7p1 : type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=D704791D-3303-4C97-9252-893289EED857
                """))
        let scan = edited.disk.scan()
        #expect(scan.places == [[1, 6144, 92_160], [3, 4096, 2048]])
        #expect(scan.entries.map(\.name) == [nil, "Grö \"x\", y"])
        #expect(scan.entries.map(\.attributes) == [0, 0x3000_0000_0000_0001])
        #expect(scan.entries[0].uuid == "d704791d-3303-4c97-9252-893289eed857")
        #expect(scan.tableID == "8051088e-3225-41ec-9140-389117d495ff")
    }

    @Test func `takes the place of all partitions, and keeps the table without a label`() throws {
        var edited = EditedDisk()
        try edited.create(2048)
        let identity = edited.disk.scan().tableID
        try edited.edit(.apply("size=4M\nsize=1M\n"))
        #expect(edited.disk.scan().tableID == identity && edited.disk.scan().table == .gpt)
        #expect(edited.places == [[1, 2048, 8192], [2, 10240, 2048]])
        // A disk with another table, or none, as sfdisk has it.
        #expect(try Self.places("size=4M") == [[1, 2048, 8192]])
        let sun = TestDisk(sectors: [0: SunTests.label([(0, 1008, 2)]), 7: [UInt8](repeating: 1, count: 512)])
        #expect(try Self.places("label: gpt\nsize=4M", on: sun) == [[1, 2048, 8192]])
    }

    @Test func `changes the headers of the table that it keeps, or says that it cannot`() throws {
        var edited = EditedDisk()
        try edited.create(2048)
        try edited.edit(
            .apply(
                """
                label-id: 8051088E-3225-41EC-9140-389117D495FF
                first-lba: 4096
                last-lba: 100000
                table-length: 128
                size=1M
                ,+
                """))
        #expect(edited.disk.scan().tableID == "8051088e-3225-41ec-9140-389117d495ff")
        #expect(edited.places == [[1, 4096, 2048], [2, 6144, 92_160]])
        #expect(edited.refusal(.apply("table-length: 200\nsize=1M"))?.contains("128 entries, not 200") == true)
        #expect(edited.refusal(.apply("label-id: 12\nsize=1M"))?.contains("no GUID") == true)
        #expect(edited.refusal(.apply("first-lba: 5\nlast-lba: 4"))?.contains("first-lba comes after") == true)
        try edited.edit(.make(.dos, isForced: true))
        try edited.edit(.apply("label-id: 0x00C0FFEE\nsize=1M"))
        #expect(edited.disk.scan().tableID == "00c0ffee")
        #expect(edited.refusal(.apply("first-lba: 5000\nsize=1M"))?.contains("first-lba") == true)
        #expect(edited.refusal(.apply("label: dos\nlast-lba: 5000\nsize=1M"))?.contains("last-lba") == true)
        #expect(edited.refusal(.apply("label-id: x\nsize=1M"))?.contains("8 hex digits") == true)
    }

    @Test(
        arguments: [
            ("label: sun", "line 1 of the script: a table of the kind 'sun' is not written"),
            ("label: gpt\nnosuch: 1", "line 2 of the script: there is no header 'nosuch'"),
            ("unit: cylinders", "the unit is 'sectors'"), ("sector-size: 4096", "sectors of 4096 bytes"),
            ("start=x", "line 1 of the script: start: 'x' is no size"),
            ("label: gpt\n\n,1Q", "line 3 of the script: size: '1Q' is no size"),
            ("colour=red", "there is no field 'colour'"),
            ("1,2,83,*,5", "one field too many"), ("1,2,83,x", "'*' or '-'"), ("name=\"x", "a quote has no end"),
            ("size=1M, type=-", "'-'"),
            ("x : size=1", "'x' names no partition"), ("label: gpt\nsize=1M, attrs=\"Nothing\"", "no attribute"),
            ("label: gpt\nsize=1M,uuid=12", "no GUID"), ("label: gpt\nlabel-id: 12", "no GUID"),
            ("label: gpt\nfirst-lba: 5000\nlast-lba: 4000", "first-lba comes after last-lba"),
            ("label: gpt\ntable-length: x", "line 2 of the script: table-length: 'x' is no number"),
            ("label: dos\n1 :\n2 : name=\"x\"", "line 3 of the script: the partitions of an MBR have no uuid or name"),
            ("label: dos\nsize=1M\nx7 : size=1M", "line 3 of the script (partition 7): "),
            ("label: dos\n\nsize=1000G", "line 3 of the script: there is no room"),
        ])
    func `that makes no sense is refused with its line`(_ script: String, _ words: String) {
        var edited = EditedDisk()
        let refusal = edited.refusal(.apply(script)) ?? "done"
        #expect(refusal.contains(words), "\(refusal)")
    }
}
