// SPDX-License-Identifier: Apache-2.0

@testable import BlockPartitions
import Testing

@Suite("An edit spares")
struct GuardedEditTests {
    private static let marks: [(Int, [UInt8], String)] = [
        (0, Array("XFSB".utf8), "XFS"), (0, Array("LUKS".utf8) + [0xBA, 0xBE], "LUKS"),
        (1080, [0x53, 0xEF], "ext"), (536, Array("LVM2 001".utf8), "something in sector 1"),
        (1536, Array("LABELONE".utf8), "LVM"), (4086, Array("SWAPSPACE2".utf8), "swap"),
        (65600, Array("_BHRfS_M".utf8), "btrfs"), (3, Array("NTFS    ".utf8), "NTFS"),
        (200_000 * 512, [1], ""), (0, [1], "something in sector 0"),
    ]

    /// Every edit that would make a table on a disk without one.
    private static let edits: [TableEdit] = [
        .make(.gpt, isForced: false), .make(.dos, isForced: false), .create(NewPartition(), nil),
        .apply("label: gpt\nsize=1M\n"), .apply("size=1M\n"),
    ]

    private static let forced: [TableEdit] = [
        .make(.gpt, isForced: true), .create(NewPartition(), nil, isForced: true), .apply("size=1M\n", isForced: true),
    ]

    @Test(arguments: marks) func `what a disk without a table holds, unless it is forced`(
        _ offset: Int, _ mark: [UInt8], _ word: String
    ) {
        var edited = EditedDisk()
        edited.disk.write(mark, sector: UInt64(offset / 512), offset: offset % 512)
        for edit in Self.edits {
            let refusal = edited.refusal(edit)
            // Of what is not known only that counts which would be overwritten.
            let isHit =
                !word.isEmpty
                && !(word.hasSuffix("sector 1") && [.make(.dos, isForced: false), .apply("size=1M\n")].contains(edit))
            #expect((refusal != nil) == isHit, "\(edit)")
            if isHit {
                #expect(refusal?.contains(word) == true && refusal?.contains("--force") == true, "\(refusal ?? "")")
            }
        }
        for edit in Self.forced { #expect(edited.refusal(edit) == nil, "\(edit)") }
    }

    /// Byte offsets on a disk of that many sectors, from the layouts of the formats themselves.
    @Test(arguments: [204_800, 204_807, 204_899] as [UInt64]) func `what has its mark at the end, whatever the size`(
        _ sectors: UInt64
    ) {
        let raid: [UInt8] = [0xFC, 0x4E, 0x2B, 0xA9]
        let pair: [UInt8] = [0, 0, 0, 7] + Array("version".utf8)
        let bytes = sectors * 512
        let labels = [0, 262_144, bytes / 262_144 * 262_144 - 524_288, bytes / 262_144 * 262_144 - 262_144]
        let marks: [(UInt64, [UInt8], String)] =
            [
                (bytes / 65536 * 65536 - 65536, raid, "RAID"), ((sectors - 16) / 8 * 8 * 512, raid, "RAID"),
                (bytes - 512, [0xDE, 0x11, 0xDE, 0x11], "DDF"),
                (bytes - 1024, Array("Intel Raid ISM Cfg Sig. 1.3.00".utf8), "Intel"),
            ] + labels.map { ($0 + 16384 + 20, pair, "ZFS") }
        for (offset, mark, word) in marks {
            var edited = EditedDisk(capacity: sectors)
            edited.disk.write(mark, sector: offset / 512, offset: Int(offset % 512))
            for edit in Self.edits { #expect(edited.refusal(edit)?.contains(word) == true, "\(edit), \(offset)") }
            for edit in Self.forced { #expect(edited.refusal(edit) == nil, "\(edit), \(offset)") }
        }
    }

    @Test func `a disk too small to have an end of that kind`() {
        for sectors in [1, 7, 15, 17, 127] as [UInt64] {
            var edited = EditedDisk(capacity: sectors)
            #expect(edited.refusal(.make(.dos, isForced: false)) == nil, "\(sectors)")
        }
    }

    @Test(arguments: [false, true]) func `a FAT on the whole disk`(_ hasOddSlots: Bool) throws {
        var edited = EditedDisk(TestDisk([], signature: 0))
        edited.disk.write([0xEB, 0x3C, 0x90] + Array("mkfs.fat".utf8), sector: 0)
        edited.disk.write([0, 2, 4, 1, 0, 2, 0, 2, 0, 0, 0xF8], sector: 0, offset: 11)
        if hasOddSlots { edited.disk.change(sector: 0, offset: 0x1BE, to: 0x41) }
        #expect((edited.disk.scan().table == nil) == hasOddSlots)
        for edit in Self.edits { #expect(edited.refusal(edit)?.contains("FAT") == true, "\(edit)") }
        try edited.edit(.make(.dos, isForced: true))
        #expect(edited.disk.byte(sector: 0, offset: 0) == 0)
        try edited.create(2048)
    }

    @Test func `a GPT of which both copies are bad`() throws {
        var edited = EditedDisk()
        try edited.create(2048)
        for sector in [1, 204_799] as [UInt64] { edited.disk.change(sector: sector, offset: 16, to: 0x77) }
        for edit in Self.edits { #expect(edited.refusal(edit)?.contains("both copies") == true, "\(edit)") }
        for edit in Self.forced { #expect(edited.refusal(edit) == nil, "\(edit)") }
    }

    @Test func `partitions of a GPT past the last number`() {
        var image = GPTImage(blocks: 4096, count: 300)
        image.entries = [290: GPTRow(400, 499)]
        var edited = EditedDisk(image.disk())
        #expect(edited.refusal(.make(.gpt, isForced: false))?.contains("would be lost") == true)
    }

    @Test func `nothing where an empty table is`() throws {
        var edited = EditedDisk()
        for label in [PartitionLabel.gpt, .dos, .dos, .gpt, .gpt] { try edited.edit(.make(label, isForced: false)) }
    }

    @Test(arguments: ["gpt", "dos"]) func `the program from numbers of 64 bits`(_ label: String) throws {
        var edited = EditedDisk()
        for fields in [
            "size=9223372036854775807", "size=18446744073709551615", "size=8191P",
            "start=18446744073709551615, size=1M",
            "start=18446744073709551615", "start=8191P, size=8191P", "start=2048, size=18446744073709551615",
        ] {
            #expect(edited.refusal(.apply("label: \(label)\n\(fields)\n")) != nil, "\(fields)")
        }
        try edited.edit(.apply("label: \(label)\nsize=1M\n"))
        for (start, count) in [(nil, .max), (.max, nil), (.max, .max), (4096, .max), (4096, .max - 4095)]
            as [(UInt64?, UInt64?)]
        {
            var wish = NewPartition()
            (wish.start, wish.count) = (start, count)
            #expect(edited.refusal(.create(wish, nil)) != nil, "\(wish)")
        }
        #expect(edited.refusal(.resize(1, .max)) != nil)
    }

    @Test func `what a GPT has past the last number`() throws {
        var image = GPTImage(blocks: 4096, count: 300)
        image.entries = [290: GPTRow(400, 499), 291: GPTRow(3000, 9000)]
        var edited = EditedDisk(image.disk())
        var wish = NewPartition()
        (wish.start, wish.count) = (450, 10)
        #expect(edited.refusal(.create(wish, nil))?.contains("not free") == true)
        try edited.create(400)
        #expect(edited.places == [[1, 500, 400]], "behind what has no number")
        try edited.create(nil)
        #expect(edited.places.last == [2, 900, 2100], "and before what reaches past the end")
        try edited.edit(.delete([290]))
        try edited.create(10, at: 450)
    }

    @Test func `logical partitions of a chain that is not edited`() throws {
        var edited = EditedDisk(TestDisk([.link(2000, 5000)]))
        edited.disk.writeRecord([.data(1, 9), .data(8000, 9)], block: 2000)
        #expect(edited.places == [[1, 2000, 2], [5, 2001, 9], [6, 10_000, 9]])
        var wish = NewPartition()
        (wish.start, wish.count) = (9990, 20)
        #expect(edited.refusal(.create(wish, nil))?.contains("there is room for") == true)
        try edited.create(10, at: 9990)
    }

    @Test func `what stands where a backup only should be`() throws {
        var image = GPTImage(blocks: 4096)
        image.primary.alternate = 3000
        image.entries = [1: GPTRow(2500, 3500)]
        var edited = EditedDisk(image.disk())
        edited.disk.write([7, 7, 7], sector: 3000)
        let before = edited
        for edit in [TableEdit.convertToGPT, .make(.dos, isForced: true)] {
            edited = before
            try edited.edit(edit)
            #expect(edited.disk.byte(sector: 3000, offset: 0) == 7, "\(edit)")
        }
        // What a new partition covers is not wiped, whatever it was.
        edited = before
        try edited.edit(.apply("label: dos\nstart=1, size=100\n"))
        #expect(edited.disk.byte(sector: 1, offset: 0) == UInt8(ascii: "E"))
    }

    /// Entries of the primary copy from block 500 on, and something else from block 2 on.
    private static func moved() -> EditedDisk {
        var image = GPTImage(blocks: 4096)
        image.entries = [1: GPTRow(1000, 1999)]
        image = image.changing { $0.firstUsable = 600 }
        image.primary.entriesBlock = 500
        var edited = EditedDisk(image.disk())
        edited.disk.write(Array("loader".utf8), sector: 2)
        return edited
    }

    @Test func `what stands in block 2 of a GPT whose entries are elsewhere`() throws {
        var edited = Self.moved()
        edited.disk.change(sector: 500, offset: 0, to: 0)
        let header = edited
        try edited.edit(.rename(1, "x"))
        #expect(edited.disk.byte(sector: 2, offset: 0) == UInt8(ascii: "l"))
        #expect(edited.disk.byte(sector: 500, offset: 56) == UInt8(ascii: "x"), "the old header says where")
        #expect(edited.disk.scan().warnings == [])
        edited = header
        edited.disk.change(sector: 1, offset: 16, to: 0x77)
        #expect(edited.refusal(.rename(1, "x"))?.contains("blocks 2 to 33") == true)
        edited.disk.write([UInt8](repeating: 0, count: 6), sector: 2)
        try edited.edit(.rename(1, "x"))
        #expect(edited.disk.byte(sector: 2, offset: 56) == UInt8(ascii: "x"))
    }

    @Test func `what lies past the end of the disk`() throws {
        var edited = EditedDisk(TestDisk([.link(50_000, 80_000)], capacity: 100_000))
        edited.disk.writeRecord([], block: 50_000)
        var wish = NewPartition()
        (wish.start, wish.count) = (60_000, 40_001)
        #expect(edited.refusal(.create(wish, nil))?.contains("there is room for") == true)
        try edited.create(40_000, at: 60_000)
    }
}
