// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// A source whose answers have the wrong length.
private struct LyingSource: PartitionSource {
    let capacity: UInt64 = 1000
    let logicalBlockSize: Int
    let difference: Int

    mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        bootRecord([.data(1, 1)]) + Array(repeating: 0, count: max(0, count * 512 - 512 + difference))
    }
}

@Suite("A read that fails")
struct ReadFaultTests {
    private static func gpt(blockSize: Int = 512) -> TestDisk {
        var image = GPTImage(blocks: UInt64(160 << 10) / UInt64(blockSize), blockSize: blockSize)
        let first = image.primary.firstUsable
        image.entries = [1: GPTRow(first, first + 9), 9: GPTRow(first + 10, first + 19)]
        return image.disk()
    }

    private static func chain() -> TestDisk {
        var disk = TestDisk([.link(100, 900), .data(1500, 100)], capacity: 2048)
        disk.writeRecord([.data(1, 9), .link(100, 100)], block: 100)
        disk.writeRecord([.data(1, 9), .link(200, 100)], block: 200)
        disk.writeRecord([.data(1, 9)], block: 300)
        return disk
    }

    @Test(arguments: [512, 4096]) func `in any sector of a GPT disk costs at most one copy`(_ blockSize: Int) {
        let disk = Self.gpt(blockSize: blockSize)
        let good = disk.scan()
        #expect(good.warnings == [])
        let scale = UInt64(blockSize / 512)
        // Sector 0 alone, or with what is in its page; then the rest of the primary; then the backup.
        let primaryEnd = (1 + 1 + 32 / scale) * scale
        let backupStart = disk.capacity - scale - 32
        for sector in 0..<disk.capacity {
            var faulty = disk
            faulty.bad = [sector]
            let scan = faulty.scan()
            let kernel = faulty.scan(.kernel)
            if sector < 8 {
                #expect(scan == PartitionScan(error: .unreadable(sector: 0)))
                #expect(kernel == scan)
            } else if sector / 8 <= (primaryEnd - 1) / 8 {
                #expect(scan.entries == good.entries)
                #expect(scan.warnings.count == 1 && scan.warns("read from the backup"))
                #expect(kernel.table == nil)
                // To Linux it is a disk without a GPT then; the Amiga's and Ultrix' labels may be in the bad page.
                #expect((kernel.error == nil) == (sector / 8 == 2 || sector / 8 > 3))
            } else if sector / 8 >= backupStart / 8 {
                #expect(scan.entries == good.entries)
                #expect(scan.warnings.count == 1 && scan.warns("backup", "the primary is used"))
                #expect(kernel.entries == good.entries)
            } else {
                #expect(scan == good)
            }
        }
    }

    @Test func `in any sector of an MBR disk ends the chain there`() {
        let disk = Self.chain()
        let good = disk.scan()
        #expect(good.places.count == 5)
        for sector in 0..<disk.capacity {
            var faulty = disk
            faulty.bad = [sector]
            let scan = faulty.scan()
            guard sector >= 8 else {
                #expect(scan == PartitionScan(error: .unreadable(sector: 0)))
                continue
            }
            let broken = [100, 200, 300].firstIndex { $0 / 8 == sector / 8 }
            #expect(scan.entries.count == 2 + (broken ?? 3))
            #expect(scan.warnings.isEmpty == (broken == nil))
            #expect(scan.error == nil)
        }
    }

    @Test func `at any step gives a scan that is true`() {
        for (disk, policy) in [(Self.gpt(), .platter), (Self.gpt(), .kernel), (Self.chain(), .platter)]
            as [(TestDisk, PartitionPolicy)]
        {
            let good = disk.scan(policy)
            let reads = disk.cost(policy).reads
            for step in 1...reads + 1 {
                var faulty = disk
                faulty.failingRead = step
                let scan = faulty.scan(policy)
                #expect(good.entries.starts(with: scan.entries) || scan.entries.allSatisfy(good.entries.contains))
                #expect((scan == good) == (step > reads))
            }
        }
    }

    @Test func `in both copies of a GPT is an error, to Linux not`() {
        var disk = Self.gpt()
        disk.bad = [10, disk.capacity - 1]
        #expect(disk.scan().error == .unreadable(sector: 8))
        #expect(disk.scan().table == nil)
        // The Amiga's label may be there.
        #expect(disk.scan(.kernel).error == .unreadable(sector: 8))
    }

    @Test func `because it is past the end is an error when nothing claims the disk`() {
        let disk = GPTImage().changing { $0.entriesBlock = 2040 }.disk()
        for policy in [PartitionPolicy.platter, .kernel] {
            #expect(disk.scan(policy).error == .unreadable(sector: 2048))
        }
    }

    @Test func `is not tried again`() {
        var disk = TestDisk([.data(1, 1)])
        disk.bad = [3]
        // The page of sector 31 is the other one.
        #expect(disk.cost().reads == 2)
    }

    @Test func `is what an answer of the wrong length is`() {
        for difference in [-512, -1, 1, 512] {
            var source = LyingSource(logicalBlockSize: 512, difference: difference)
            #expect(scanPartitions(&source) == PartitionScan(error: .unreadable(sector: 0)))
        }
        var honest = LyingSource(logicalBlockSize: 512, difference: 0)
        #expect(scanPartitions(&honest).table == .dos)
    }

    @Test(arguments: [-1, 0, 1, 511, 513, 1536, 8192, Int.max, Int.min])
    func `is not even made for a block size that cannot be`(_ blockSize: Int) {
        var source = LyingSource(logicalBlockSize: blockSize, difference: 0)
        #expect(scanPartitions(&source) == PartitionScan(error: .unsupportedBlockSize(blockSize)))
    }

    @Test func `has its text in an error`() {
        #expect(PartitionScanError.unreadable(sector: 7).description == "sector 7 cannot be read")
        #expect(PartitionScanError.unsupportedBlockSize(7).description == "blocks of 7 bytes are not supported")
    }

    @Test func `never happens twice for one page of a common disk`() {
        #expect(Self.gpt().cost().bytes <= 64 << 10)
        #expect(Self.gpt().cost().reads <= 24)
        #expect(Self.gpt(blockSize: 4096).cost().bytes <= 64 << 10)
        #expect(Self.chain().cost().bytes <= 64 << 10)
    }
}
