// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// What libblkid does by its way of reading rather than by a format's rules; each was seen in `Tests/EndToEnd/tables.sh`.
@Suite("libblkid")
struct BlkidTests {
    @Test func `lists what a map had before it ended without its mark, with the table of the next`() {
        var disk = MacImage.disk([
            MacImage.entry(3, 1, 63), MacImage.entry(3, 64, 9), MacImage.entry(3, 70, 9, mark: "XX"),
        ])
        #expect(disk.scan(.blkid).table == nil)
        let row = AtariImage.sector([(1, "GEM", 64, 10), (1, "BGM", 2000, 500)])
        disk.write(Array(row[0x1C2...]), sector: 0, offset: 0x1C2)
        #expect(disk.scan(.blkid).table == .atari)
        // The first begins where the map's second did: taken for known, it uses up a number.
        #expect(disk.scan(.blkid).places == [[1, 1, 63], [2, 64, 9], [4, 2000, 500]])
        #expect(disk.scan(.kernel).places == [[1, 64, 10], [2, 2000, 500]])
    }

    @Test func `looks for marks in the first 1024 bytes, and reads bytes rather than blocks`() {
        let slots = [Slot.data(1, 1)]
        #expect(TestDisk(slots, capacity: 1).scan(.blkid).table == nil)
        #expect(TestDisk(slots, capacity: 1).scan(.kernel).table == .dos)
        #expect(TestDisk(slots, capacity: 2).scan(.blkid).table == .dos)
        let small = TestDisk(slots, capacity: 2, logicalBlockSize: 4096)
        #expect(small.scan(.blkid).places == [[1, 8, 8]])
        #expect(small.scan(.kernel).error == .unreadable(sector: 0))
    }

    @Test func `looks for a nested table in a partition of two sectors or more`() {
        func disk(size: UInt32) -> TestDisk {
            var disk = TestDisk([.data(1000, size, type: 0x81)])
            disk.write(bootRecord([.data(1000, 1, type: 0x81)]), sector: 1000)
            return disk
        }
        #expect(disk(size: 1).scan(.blkid).places == [[1, 1000, 1]])
        #expect(disk(size: 2).scan(.blkid).places == [[1, 1000, 2], [5, 1000, 1]])
    }

    @Test func `gives a number to a primary of Atari's that is known, and none in a chain`() {
        let twice = TestDisk(sectors: [0: AtariImage.sector([(1, "GEM", 2, 9), (1, "GEM", 2, 9), (1, "BGM", 50, 9)])])
        #expect(twice.scan(.blkid).places == [[1, 2, 9], [3, 50, 9]])
        let chain = TestDisk(sectors: [
            0: AtariImage.sector([(1, "GEM", 1001, 9), (1, "XGM", 1000, 900), (1, "BGM", 50, 9)]),
            1000: AtariImage.sector([(1, "GEM", 1, 9), (1, "XGM", 100, 99)]),
            1100: AtariImage.sector([(1, "GEM", 1, 9)]),
        ])
        // What is known ends the chain.
        #expect(chain.scan(.blkid).places == [[1, 1001, 9], [2, 50, 9]])
    }

    @Test func `knows Latin letters in the words of Atari's`() {
        var sector = AtariImage.sector([(1, "GEM", 2, 9)])
        for (letter, isOne) in [(0xC4, true), (0xFF, true), (0xD7, false), (0xF7, false), (0x80, false)] {
            sector[0x1C7] = UInt8(letter)
            #expect((TestDisk(sectors: [0: sector]).scan(.blkid).table == .atari) == isOne, "\(letter)")
        }
    }

    @Test func `reads the backup if the primary announces more entries than can be`() {
        var image = GPTImage()
        image.entries = [1: GPTRow(100, 199)]
        image.primary.count = 131_072
        #expect(image.disk().scan(.blkid).places == [[1, 100, 100]])
        #expect(image.disk().cost(.blkid).bytes < 128 << 10)
    }
}
