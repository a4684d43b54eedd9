// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockCore
import BlockDrivers
import BlockPartitions
import BlockSystem

/// What it costs to look for a partition table.
enum ScanBench {
    static func run() {
        measure("gpt128", gpt(entries: 128))
        measure("mbr", mbr())
        measure("none", [UInt8](repeating: 0, count: 1 << 20))
    }

    /// From memory, which is the parser alone, and of a disk of the ram driver: its reads through the core, and the
    /// comparison with the partitions that are there.
    private static func measure(_ name: String, _ image: [UInt8]) {
        let parsed = Measure.nanoseconds(per: 1) { scan(image, 1) }
        Report.figure("scan.\(name)", parsed / 1000, "us")
        let rig = Rig(ramDriver(UInt64(image.count)))
        rig.write(image)
        rescan(rig)
        let scanned = Measure.onWorker { Measure.nanoseconds(per: 1) { rescan(rig) } }
        Report.figure("scan.ram.\(name)", scanned / 1000, "us")
    }

    private static func ramDriver(_ bytes: UInt64) -> RamDriver {
        do throws(SystemError) {
            return RamDriver(capacity: bytes / 512, memory: try SparseMemory())
        } catch {
            invariantBroken("no memory for the disk")
        }
    }

    private static func rescan(_ rig: Rig) {
        do throws(DiskError) {
            _ = try rig.opener.rescanDisk()
        } catch {
            invariantBroken(error.reason)
        }
    }

    /// Scans an image that often.
    static func scan(_ image: [UInt8], _ count: Int) {
        var source = MemoryPartitionSource(image)
        for _ in 0..<count {
            let scan = scanPartitions(&source)
            invariant(scan.error == nil, "the image can be read")
        }
    }

    /// A disk of 1 MiB with an MBR whose four slots are in use.
    static func mbr() -> [UInt8] {
        var image = [UInt8](repeating: 0, count: 1 << 20)
        for slot in 0..<4 {
            let at = 446 + 16 * slot
            image[at + 4] = 0x83
            image[at + 9] = UInt8(slot)
            image[at + 8] = 64
            image[at + 12] = 128
        }
        (image[510], image[511]) = (0x55, 0xAA)
        return image
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
