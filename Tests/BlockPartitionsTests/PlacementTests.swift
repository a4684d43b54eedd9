// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A partition's place")
struct PlacementTests {
    @Test func `past the end is cut or dropped`() {
        let scan = TestDisk([.data(900, 100), .data(900, 101), .data(1000, 1), .data(.max, .max)], capacity: 1000)
            .scan(.kernel)
        #expect(scan.places == [[1, 900, 100], [2, 900, 100]])
        #expect(
            scan.warnings == [
                "partition 2: 101 sectors reach past the end of the disk: cut to 100",
                "partition 3: starts at sector 1000, the disk has 1000: dropped",
                "partition 4: starts at sector 4294967295, the disk has 1000: dropped",
            ])
    }

    @Test func `may cover the table and other partitions`() {
        let disk = TestDisk([.data(0, 1000), .data(0, 1000)], capacity: 1000)
        #expect(disk.scan().places == [[1, 0, 1000], [2, 0, 1000]])
        #expect(disk.scan().warnings == ["partition 2: overlaps partition 1"])
    }

    @Test func `in an extended partition overlaps it only if it is not a logical one`() {
        var disk = TestDisk([.link(1000, 1000), .data(1999, 10), .data(999, 1), .data(990, 11)])
        disk.writeRecord([.data(1, 999)], block: 1000)
        #expect(
            disk.scan().warnings == [
                "partition 2: overlaps extended partition 1", "partition 4: overlaps extended partition 1",
                "partition 3: overlaps partition 4", "partition 2: overlaps partition 5",
            ])
    }

    @Test func `keeps to whole sectors of an image with odd bytes at its end`() {
        var source = MemoryPartitionSource(bootRecord([.data(1, 100)]) + Array(repeating: 1, count: 512 * 9 + 511))
        #expect(source.capacity == 10)
        #expect(scanPartitions(&source).places == [[1, 1, 9]])
    }

    @Test func `may reach into an incomplete last block`() {
        var disk = TestDisk([.data(1, 100)], capacity: 8 * 3 + 5, logicalBlockSize: 4096)
        #expect(disk.scan().places == [[1, 8, 21]])
        disk.capacity = 5
        #expect(disk.scan() == PartitionScan(error: .unreadable(sector: 0)))
    }

    @Test func `has no disk when there is no sector`() {
        let disk = TestDisk(capacity: 0)
        #expect(disk.scan() == PartitionScan())
        #expect(disk.cost().reads == 0)
        var source = MemoryPartitionSource(Array(repeating: 0, count: 511))
        #expect(scanPartitions(&source) == PartitionScan())
    }

    @Test func `on the greatest disk there is overflows nothing`() {
        for (blockSize, blocks) in [(512, UInt64.max), (4096, UInt64.max / 8)] {
            var image = GPTImage(blocks: blocks, blockSize: blockSize)
            let last = blocks - 1
            image.entries = [1: GPTRow(0, last), 2: GPTRow(last, last), 3: GPTRow(last, .max), 4: GPTRow(.max, .max)]
            // The backup would lie past what the sparse disk can hold.
            image.backup.block = 3000
            image.backup.entriesBlock = 4000
            let scale = UInt64(blockSize / 512)
            let scan = image.disk().scan()
            #expect(scan.places == [[1, 0, blocks * scale], [2, last * scale, scale]])
        }
    }
}
