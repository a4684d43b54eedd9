// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// Blocks of the Amiga's, with good sums.
enum AmigaImage {
    static func disk(list: UInt32, blockBytes: UInt32 = 512, words: UInt32 = 64) -> [UInt8] {
        var bytes = sector((0, text("RDSK") + big(words)), (16, big(blockBytes)), (28, big(list)))
        if words & 0x7F >= 3 { balance(&bytes, words: Int(words & 0x7F), at: 8) }
        return bytes
    }

    static func partition(
        next: UInt32, low: UInt32, high: UInt32, heads: UInt32 = 2, sectors: UInt32 = 11, name: String = "DH0"
    ) -> [UInt8] {
        var bytes = sector(
            (0, text("PART") + big(UInt32(64))), (16, big(next) + big(UInt32(1))),
            (36, [UInt8(name.utf8.count)] + text(name)), (140, big(heads)), (148, big(sectors)),
            (164, big(low) + big(high)), (192, text("DOS") + [3]))
        balance(&bytes, words: 64, at: 8)
        return bytes
    }
}

@Suite("A rigid disk block of the Amiga")
struct AmigaTests {
    @Test func `lists partitions in cylinders`() {
        let disk = TestDisk(sectors: [
            3: AmigaImage.disk(list: 5), 5: AmigaImage.partition(next: 9, low: 2, high: 11),
            9: AmigaImage.partition(next: .max, low: 12, high: 12, name: "Work"),
        ])
        let scan = disk.scan()
        #expect(scan.table == .amiga)
        #expect(scan.places == [[1, 44, 220], [2, 264, 22]])
        #expect(scan.entries.map(\.name) == ["DH0", "Work"])
        #expect(scan.entries.map(\.type) == ["DOS\\3", "DOS\\3"])
        #expect(scan.entries.map(\.isBootable) == [true, true])
    }

    @Test func `may lie in the first 16 sectors`() {
        for position: UInt64 in 0..<17 {
            let disk = TestDisk(sectors: [
                position: AmigaImage.disk(list: 20), 20: AmigaImage.partition(next: .max, low: 2, high: 2),
            ])
            #expect((disk.scan().table == .amiga) == (position < 16))
        }
    }

    @Test func `is tried again without its word at DC`() {
        var bytes = AmigaImage.disk(list: 20)
        bytes.put([1, 2, 3, 4], at: 0xDC)
        let part = AmigaImage.partition(next: .max, low: 2, high: 2)
        #expect(TestDisk(sectors: [1: bytes, 20: part]).scan().table == .amiga)
        bytes.put([1, 2, 3, 4], at: 0xD8)
        #expect(TestDisk(sectors: [1: bytes, 20: part]).scan().table == nil)
        // A sum over no words is always good.
        #expect(TestDisk(sectors: [1: AmigaImage.disk(list: 20, words: 128), 20: part]).scan().table == .amiga)
    }

    @Test func `counts sectors by its own blocks`() {
        let disk = TestDisk(sectors: [
            0: AmigaImage.disk(list: 3, blockBytes: 2048), 12: AmigaImage.partition(next: .max, low: 2, high: 11),
        ])
        #expect(disk.scan().places == [[1, 176, 880]])
    }

    @Test func `with a list that loops gives 16 partitions`() {
        let disk = TestDisk(sectors: [
            0: AmigaImage.disk(list: 20), 20: AmigaImage.partition(next: 20, low: 2, high: 2),
        ])
        #expect(disk.scan().places.count == 16)
        #expect(disk.scan().warns("partition 2", "overlaps partition 1"))
    }

    @Test func `skips blocks that are none, and partitions that cannot be`() {
        var bad = AmigaImage.partition(next: 22, low: 2, high: 2)
        bad[40] ^= 1
        let disk = TestDisk(sectors: [
            0: AmigaImage.disk(list: 20), 20: bad, 22: AmigaImage.partition(next: 23, low: 3, high: 2),
            23: AmigaImage.partition(next: 24, low: 3, high: 3, heads: 0x10000, sectors: 0x10000),
            24: AmigaImage.partition(next: .max, low: 3, high: 3),
        ])
        #expect(disk.scan().places == [[1, 66, 22]])
        #expect(disk.scan().warns("sector 20", "no partition block"))
        #expect(disk.scan().warns("sector 22", "skipped"))
    }

    @Test func `with a list that cannot be read is an error, and without partitions nobody's`() {
        var disk = TestDisk(sectors: [
            0: AmigaImage.disk(list: 20), 20: AmigaImage.partition(next: 200_000, low: 2, high: 2),
        ])
        #expect(disk.scan().error == .unreadable(sector: 200_000))
        disk = TestDisk(sectors: [0: AmigaImage.disk(list: .max)])
        #expect(disk.scan() == PartitionScan())
    }
}
