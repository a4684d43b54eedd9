// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import TestSupport
import Testing

@Suite("Hostile bytes")
struct HostileBytesTests {
    /// What holds for every scan of every disk.
    private static func check(_ disk: TestDisk, seed: UInt64) {
        for policy in PartitionPolicy.allCases {
            var source = disk
            let scan = scanPartitions(&source, policy: policy)
            #expect(source.bytesRead <= PartitionScanLimits.bytes, "seed \(seed)")
            let numbers = scan.entries.map(\.number)
            #expect(numbers == Array(Set(numbers)).sorted(), "seed \(seed)")
            #expect(numbers.allSatisfy { (1...255).contains($0) }, "seed \(seed)")
            let areOnDisk = policy == .blkid || scan.entries.allSatisfy { fits($0, disk, policy) }
            #expect(areOnDisk, "seed \(seed)")
            #expect(scan.warnings.count <= 257 && !scan.warnings.contains { $0.contains("\n") }, "seed \(seed)")
            #expect(scan.table != nil || scan.entries.isEmpty, "seed \(seed)")
            #expect(scan.error == nil || scan.table == nil, "seed \(seed)")
        }
        let platter = disk.scan()
        let kernel = disk.scan(.kernel)
        if kernel.table != nil, kernel.table == platter.table {
            let sound = kernel.entries.filter { fits($0, disk, .platter) }
            #expect(sound.map(\.number) == platter.entries.map(\.number), "seed \(seed)")
            #expect(sound.map(\.start) == platter.entries.map(\.start), "seed \(seed)")
        }
    }

    /// Whether a partition lies on its disk; by Linux' rules its end may wrap instead.
    private static func fits(_ entry: PartitionEntry, _ disk: TestDisk, _ policy: PartitionPolicy) -> Bool {
        let (end, wraps) = entry.start.addingReportingOverflow(entry.size)
        return entry.size > 0 && entry.start < disk.capacity && end <= disk.capacity && (!wraps || policy == .kernel)
    }

    private static func mutate(_ disk: TestDisk, using generator: inout SeededGenerator) -> TestDisk {
        var disk = disk
        let sectors = disk.written
        for _ in 0..<Int.random(in: 1...12, using: &generator) {
            guard let sector = sectors.randomElement(using: &generator) else { break }
            let offset = Int.random(in: generator.next() % 2 == 0 ? 0..<512 : 0x1BE..<0x1FE, using: &generator)
            let values: [UInt8] = [0, 1, 5, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &generator)]
            let value = values.randomElement(using: &generator) ?? 0
            disk.change(sector: sector, offset: offset, to: value)
        }
        if generator.next() % 8 == 0 {
            disk.capacity = UInt64.random(in: 0...disk.capacity, using: &generator)
        }
        if generator.next() % 8 == 0 {
            disk.bad = [UInt64.random(in: 0...disk.capacity, using: &generator)]
        }
        return disk
    }

    /// A number that is likely to hurt.
    private static func nasty(using generator: inout SeededGenerator) -> UInt64 {
        let values: [UInt64] = [
            0, 1, 2, 33, 34, 127, 128, 255, 256, 2014, 2046, 2047, 2048, 0xFFFF_FFFF, 1 << 32, 1 << 55, 1 << 61,
            1 << 63, .max - 1, .max, UInt64.random(in: 0...2048, using: &generator), generator.next(),
        ]
        return values.randomElement(using: &generator) ?? 0
    }

    /// A GPT with nasty fields and good checksums: mutation alone would stop at those.
    private static func nastyGPT(using generator: inout SeededGenerator) -> TestDisk {
        var image = GPTImage(blocks: 2048, blockSize: [512, 4096].randomElement(using: &generator) ?? 512)
        for number in 1...8 {
            var row = GPTRow(nasty(using: &generator), nasty(using: &generator))
            row.attributes = generator.next()
            row.name = (0..<36).map { _ in UInt16(truncatingIfNeeded: generator.next()) }
            image.entries[number] = row
        }
        func spoil(_ header: inout GPTImage.Header) {
            switch generator.next() % 10 {
            case 0: header.firstUsable = nasty(using: &generator)
            case 1: header.lastUsable = nasty(using: &generator)
            case 2: header.entriesBlock = nasty(using: &generator)
            case 3: header.count = [0, 1, 5, 129, 255, 256, 300, 32769, .max].randomElement(using: &generator) ?? 0
            case 4: header.headerSize = UInt32(truncatingIfNeeded: nasty(using: &generator))
            case 5: header.alternate = nasty(using: &generator)
            case 6: header.own = nasty(using: &generator)
            default: break
            }
        }
        spoil(&image.primary)
        spoil(&image.backup)
        return image.disk()
    }

    /// A web of boot records in few sectors, so that they link to each other.
    private static func nastyChain(using generator: inout SeededGenerator) -> TestDisk {
        func slot() -> Slot {
            let isNear = generator.next() % 4 != 0
            let start = UInt32(truncatingIfNeeded: isNear ? generator.next() % 16 : nasty(using: &generator))
            let count = UInt32(truncatingIfNeeded: nasty(using: &generator))
            return Slot(
                type: [0, 5, 0x0F, 0x83, 0xFD].randomElement(using: &generator) ?? 0, start: start, count: count)
        }
        let blockSize = [512, 4096].randomElement(using: &generator) ?? 512
        var disk = TestDisk(capacity: 2048, logicalBlockSize: blockSize)
        for block: UInt64 in 0..<16 {
            disk.writeRecord((0..<4).map { _ in slot() }, block: block)
        }
        return disk
    }

    @Test(arguments: seeds(1, 42, 77)) func `that are random neither trap nor cost more than the bound`(
        _ seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            var disk = TestDisk(capacity: UInt64.random(in: 1...64, using: &generator))
            disk.write((0..<8192).map { _ in UInt8.random(in: 0...255, using: &generator) }, sector: 0)
            if generator.next() % 2 == 0 {
                disk.write([0x55, 0xAA], sector: 0, offset: 510)
                for slot in 0..<4 {
                    disk.write([0], sector: 0, offset: 0x1BE + 16 * slot)
                }
            }
            Self.check(disk, seed: seed)
        }
    }

    @Test(arguments: seeds(1, 42, 77)) func `in good tables neither trap nor cost more than the bound`(
        _ seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        var image = GPTImage()
        image.entries = [1: GPTRow(100, 199), 128: GPTRow(200, 300)]
        var chain = TestDisk([.link(100, 900), .data(1500, 100)], capacity: 2048)
        chain.writeRecord([.data(1, 9), .link(100, 100)], block: 100)
        chain.writeRecord([.data(1, 9), .link(200, 100)], block: 200)
        for disk in [image.disk(), chain] {
            for _ in 0..<200 {
                Self.check(Self.mutate(disk, using: &generator), seed: seed)
            }
        }
    }

    @Test(arguments: seeds(1, 42, 77)) func `with good checksums neither trap nor cost more than the bound`(
        _ seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            Self.check(Self.nastyGPT(using: &generator), seed: seed)
        }
    }

    @Test(arguments: seeds(1, 42, 77)) func `in a web of boot records neither trap nor cost more than the bound`(
        _ seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            Self.check(Self.nastyChain(using: &generator), seed: seed)
        }
    }

    @Test func `cannot fill memory with warnings`() {
        var disk = TestDisk([.link(100, 900)], capacity: 2048)
        disk.writeRecord([.data(1, 9), .data(5000, 1), .data(5000, 1), .link(0, 9)], block: 100)
        let scan = disk.scan()
        #expect(scan.warnings.count == 257)
        #expect(scan.warnings.last?.hasSuffix("more warnings left out") == true)
    }
}
