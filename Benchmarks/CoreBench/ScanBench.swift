// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockPartitions
import BlockSystem

/// What it costs to look for a partition table.
enum ScanBench {
    static func run() {
        measure("scan.gpt128", gpt(entries: 128))
        measure("scan.none", [UInt8](repeating: 0, count: 1 << 20))
    }

    private static func measure(_ name: String, _ image: [UInt8]) {
        let count = 200
        let start = Instant.now
        scan(image, count)
        let nanoseconds = Instant.now.nanoseconds - start.nanoseconds
        Report.figure(name, Double(nanoseconds) / Double(count) / 1000, "us")
    }

    /// Scans an image that often.
    static func scan(_ image: [UInt8], _ count: Int) {
        var source = MemoryPartitionSource(image)
        for _ in 0..<count {
            let scan = scanPartitions(&source)
            invariant(scan.error == nil, "the image can be read")
        }
    }

    /// A disk of 1 MiB with a GPT whose entries are all in use.
    static func gpt(entries count: Int) -> [UInt8] {
        var image = [UInt8](repeating: 0, count: 1 << 20)
        func put(_ value: UInt64, _ bytes: Int, at offset: Int) {
            for index in 0..<bytes { image[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
        }
        put(0xEE, 1, at: 450)
        put(1, 4, at: 454)
        put(2047, 4, at: 458)
        put(0xAA55, 2, at: 510)
        for index in 0..<count {
            for (table, _) in copies {
                let entry = table * 512 + index * 128
                put(0x4772_8483_0FC6_3DAF, 8, at: entry)
                put(UInt64(index + 1), 8, at: entry + 16)
                put(UInt64(40 + index), 8, at: entry + 32)
                put(UInt64(40 + index), 8, at: entry + 40)
                for letter in 0..<16 { put(0x41 + UInt64(letter), 2, at: entry + 56 + 2 * letter) }
            }
        }
        for (table, header) in copies {
            let at = header * 512
            for (index, byte) in "EFI PART".utf8.enumerated() { image[at + index] = byte }
            put(92, 4, at: at + 12)
            put(UInt64(header), 8, at: at + 24)
            put(UInt64(header == 1 ? 2047 : 1), 8, at: at + 32)
            put(34, 8, at: at + 40)
            put(2014, 8, at: at + 48)
            put(UInt64(table), 8, at: at + 72)
            put(128, 4, at: at + 80)
            put(128, 4, at: at + 84)
            put(UInt64(CRC32(of: image[table * 512..<table * 512 + 16384]).value), 4, at: at + 88)
            put(UInt64(CRC32(of: image[at..<at + 92]).value), 4, at: at + 16)
        }
        return image
    }

    /// Blocks of the entries and of the header, of both copies.
    private static let copies = [(2, 1), (2015, 2047)]
}
