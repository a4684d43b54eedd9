// SPDX-License-Identifier: Apache-2.0

@testable import BlockPartitions
import Testing

@Suite("An edited GPT")
struct GPTEditTests {
    private static let linux = "0fc63daf-8483-4772-8e79-3d69d8477de4"

    @Test(arguments: [512, 4096]) func `begins on an empty disk, with both copies and a protective MBR`(
        _ blockSize: Int
    ) throws {
        var edited = EditedDisk(logicalBlockSize: blockSize)
        var wish = NewPartition()
        wish.count = (20 << 20) / UInt64(blockSize)
        wish.name = "Größe"
        wish.isBootable = true
        try edited.edit(.create(wish, nil))
        let scan = edited.disk.scan()
        #expect(scan.table == .gpt && scan.warnings == [])
        #expect(scan.places == [[1, 2048, 40_960]])
        #expect(scan.entries.map(\.name) == ["Größe"] && scan.entries.map(\.type) == [Self.linux])
        #expect(scan.entries.map(\.attributes) == [4])
        #expect(edited.disk.scan(.kernel).places == scan.places && edited.disk.scan(.blkid).places == scan.places)
        // The backup alone says the same.
        var broken = edited.disk
        broken.write([UInt8](repeating: 0, count: 512), sector: UInt64(blockSize / 512))
        #expect(broken.scan().entries == scan.entries)
        let slot = (0..<16).map { edited.disk.byte(sector: 0, offset: 0x1BE + $0) }
        let last = UInt32(204_800 / (blockSize / 512) - 1)
        #expect(slot == [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF] + little(UInt32(1)) + little(last))
    }

    @Test func `gives chosen places at the disk's grain, and the largest without a size`() throws {
        var edited = EditedDisk()
        edited.optimalIO = 3 << 19
        #expect(edited.shape.grain == 6144, "1 MiB and 1.5 MiB have 3 MiB in common")
        try edited.create(5000)
        try edited.create(100)
        #expect(edited.places == [[1, 6144, 5000], [2, 12288, 100]])
        edited.optimalIO = 0
        try edited.create(2048, at: 100_000)
        #expect(try edited.plan(.create(NewPartition(), nil)).scan.places.last == [4, 102_400, 102_400 - 2048])
        try edited.edit(.delete([3]))
        try edited.create(nil)
        #expect(edited.places.last == [3, 14336, 188_416], "to the last multiple of the grain")
        #expect(edited.refusal(.create(NewPartition(), nil)) == nil, "small places are left")
        var large = NewPartition()
        large.count = 100_000
        #expect(edited.refusal(.create(large, nil))?.contains("there is no room for") == true)
        #expect(DiskShape(sectors: 4096, blockSize: 512, physicalBlockSize: 4096).grain == 8, "a small disk")
    }

    @Test func `refuses what cannot be, in one line`() throws {
        var edited = EditedDisk()
        try edited.create(2048)
        func refusal(_ change: (inout NewPartition) -> Void) -> String {
            var wish = NewPartition()
            change(&wish)
            return edited.refusal(.create(wish, nil)) ?? "done"
        }
        #expect(refusal { $0.number = 1 } == "there is a partition 1 already")
        #expect(refusal { $0.number = 129 }.contains("1 to 128"))
        #expect(refusal { $0.start = 2048 }.contains("not free"))
        #expect(refusal { $0.start = 33 }.contains("not free"))
        #expect(refusal { ($0.start, $0.count) = (100_000, 104_768) }.contains("there is room for"))
        #expect(refusal { $0.count = 0 }.contains("at least one"))
        #expect(refusal { $0.type = "nosuch" }.contains("linux, swap"))
        #expect(refusal { $0.name = String(repeating: "x", count: 37) }.contains("36 are possible"))
        #expect(refusal { $0.uuid = "1234" }.contains("no GUID"))
        // What can never be is said before what the disk has no room for.
        #expect(
            refusal { wish in
                wish.uuid = "1234"
                wish.count = 1 << 40
            }.contains("the uuid '1234' is no GUID"))
        #expect(edited.refusal(.delete([2])) == "there is no partition 2; there is 1")
        #expect(edited.refusal(.create(NewPartition(), .dos))?.contains("gpt already") == true)
        #expect(edited.refusal(.make(.gpt, isForced: false))?.contains("would be lost") == true)
        #expect(edited.refusal(.resize(1, 1 << 40))?.contains("can have up to") == true)
        var small = EditedDisk(capacity: 67)
        #expect(small.refusal(.make(.gpt, isForced: false))?.contains("needs 68 blocks") == true)
        var other = EditedDisk(TestDisk(sectors: [0: SunTests.label([(0, 1008, 2)])]))
        #expect(other.refusal(.create(NewPartition(), nil))?.contains("kind sun") == true)
    }

    /// A table with all that an edit does not understand: a hybrid MBR, a longer header, 300 entries, one of no sense.
    private static func strange() -> TestDisk {
        var image = GPTImage(blocks: 4096, count: 300).changing {
            $0.headerSize = 100
            $0.rest = Array(1...8)
        }
        image.entries = [1: GPTRow(200, 299, name: "one"), 7: GPTRow(900, 800), 290: GPTRow(400, 499)]
        image.entries[1]?.attributes = 0xF00D_0000_0000_0005
        // Bytes behind the end of the name.
        image.entries[1]?.name = Array("one\0rest".utf16)
        image.protective = [Slot(type: 0xEE, start: 1, count: 99), .data(200, 100, type: 0x0C)]
        image.primary.alternate = 3900
        (image.backup.own, image.backup.block) = (3900, 3900)
        image.backup.entriesBlock = 3800
        image.primary.lastUsable = 3000
        image.backup.lastUsable = 3000
        var disk = image.disk()
        disk.write(Array("boot code".utf8), sector: 0)
        return disk
    }

    @Test func `keeps every byte that is not understood`() throws {
        var edited = EditedDisk(Self.strange())
        #expect(edited.places == [[1, 200, 100]], "the others are past number 255, or end before they begin")
        let before = edited.disk
        try edited.edit(.rename(1, "two"))
        try edited.edit(.rename(1, "one"))
        for sector in edited.disk.written {
            for offset in 0..<512 {
                let (old, new) = (
                    before.byte(sector: sector, offset: offset), edited.disk.byte(sector: sector, offset: offset)
                )
                // Sums, and the rest of the name.
                let isSum = [1, 3900].contains(sector) && (16..<20).contains(offset) || (88..<92).contains(offset)
                let isName = [2, 3800].contains(sector) && (56..<128).contains(offset)
                #expect(old == new || isSum || isName, "sector \(sector), byte \(offset)")
            }
        }
        #expect(edited.disk.scan().entries.first?.attributes == 0xF00D_0000_0000_0005)
        try edited.create(10, at: 1000)
        #expect(edited.places == [[1, 200, 100], [2, 1000, 10]])
        try edited.edit(.delete([7]))
        #expect(edited.places == [[1, 200, 100], [2, 1000, 10]])
    }

    @Test func `is made anew from the copy that is good, which is written last`() throws {
        var edited = EditedDisk()
        try edited.create(2048)
        edited.disk.write([UInt8](repeating: 0, count: 512), sector: 1)
        let change = try edited.plan(.rename(1, "x"))
        #expect(change.notes.contains { $0.contains("from the backup") })
        #expect(
            change.groups.joined().map(\.what) == [
                "primary entries", "primary GPT header", "backup entries", "backup GPT header",
            ])
        try edited.survives(.rename(1, "x"))
        #expect(edited.disk.scan().warnings == [])
        edited.disk.write([UInt8](repeating: 0, count: 512), sector: 204_799)
        #expect(try edited.plan(.rename(1, "y")).groups.first?.first?.what == "backup entries")
        try edited.survives(.rename(1, "y"))
        #expect(edited.disk.scan().warnings == [])
    }

    @Test func `moves its backup to the end of a disk that has grown`() throws {
        var edited = EditedDisk(TestDisk(capacity: 204_800))
        try edited.create(nil)
        edited.disk.capacity = 409_600
        #expect(edited.disk.scan().warns("backup", "not at the last one"))
        try edited.survives(.convertToGPT)
        #expect(edited.disk.scan().warnings == [])
        #expect(edited.disk.byte(sector: 204_799, offset: 0) == 0, "the old one is gone")
        try edited.edit(.resize(1, nil))
        #expect(edited.places == [[1, 2048, 405_504]])
        // By less than the table is long: what is overwritten is not wiped.
        edited.disk.capacity = 409_610
        try edited.survives(.convertToGPT)
        #expect(edited.disk.scan().warnings == [])
    }
}

@Suite("A write that is cut short")
struct CutWriteTests {
    @Test(arguments: [512, 4096]) func `leaves the old GPT or the new one`(_ blockSize: Int) throws {
        var edited = EditedDisk(logicalBlockSize: blockSize)
        var wish = NewPartition()
        wish.count = 2048
        try edited.survives(.create(wish, nil))
        try edited.survives(.create(wish, nil))
        try edited.survives(.rename(2, "two"))
        try edited.survives(.resize(2, 4096))
        try edited.survives(.delete([1]))
        try edited.survives(.apply("label: gpt\nsize=2M, name=\"a\"\n5 : size=1M\n"))
        try edited.survives(.make(.dos, isForced: true))
        #expect(edited.disk.byte(sector: UInt64(blockSize / 512), offset: 0) == 0, "no GPT is left over")
        try edited.survives(.create(wish, nil))
        try edited.survives(.convertToGPT)
    }

    /// Tables of other kinds, of which parts lie where the new one is written, and parts do not.
    @Test(arguments: [PartitionLabel.gpt, .dos]) func `leaves a table of another kind or the new one`(
        _ label: PartitionLabel
    ) throws {
        var sun = TestDisk(sectors: [0: SunTests.label([(0, 1008, 2)])])
        sun.capacity = 204_800
        var mac = MacImage.disk([MacImage.entry(2, 64, 100), MacImage.entry(2, 300, 200)])
        mac.capacity = 204_800
        var acorn = TestDisk(sectors: [6: AcornImage.boot(sectors: 20_000)])
        acorn.capacity = 204_800
        for disk in [sun, mac, acorn] {
            var edited = EditedDisk(disk)
            let old = edited.disk.scan()
            #expect(old.table != nil && !old.entries.isEmpty, "\(old)")
            edited.disk.write([1], sector: 50)
            try edited.survives(.make(label, isForced: true))
            #expect(edited.disk.scan().table?.rawValue == label.rawValue)
            #expect(edited.disk.byte(sector: 50, offset: 0) == 0 && edited.disk.byte(sector: 6, offset: 0x1C0) == 0)
        }
    }

    /// One sector of an MBR is written as a whole, and one change of one logical partition is seen as a whole.
    @Test(arguments: [512, 4096]) func `leaves the old MBR or the new one`(_ blockSize: Int) throws {
        var edited = EditedDisk(logicalBlockSize: blockSize)
        try edited.survives(.make(.dos, isForced: false), atomic: blockSize)
        var wish = NewPartition()
        wish.count = 1000
        try edited.survives(.create(wish, nil), atomic: blockSize)
        wish.count = 20_000
        wish.type = "extended"
        try edited.survives(.create(wish, nil), atomic: blockSize)
        wish.type = nil
        let extended = try #require(edited.disk.scan().entries.last).start / UInt64(blockSize / 512)
        for index in 0..<3 as Range<UInt64> {
            (wish.start, wish.count) = (extended + 2048 + 4096 * index, 1000)
            try edited.survives(.create(wish, nil), atomic: blockSize)
        }
        try edited.survives(.resize(6, 2000), atomic: blockSize)
        try edited.survives(.delete([6]), atomic: blockSize)
        try edited.survives(.delete([5]), atomic: blockSize)
        try edited.survives(.delete([5]), atomic: blockSize)
        try edited.survives(.delete([2]), atomic: blockSize)
    }
}
