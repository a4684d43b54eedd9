// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A volume of IBM's")
struct IBMTests {
    private static let geometry = DiskGeometry(cylinders: 100, heads: 15, sectorsPerTrack: 12)
    /// EBCDIC.
    private static let vol1: [UInt8] = [0xE5, 0xD6, 0xD3, 0xF1]
    private static let lnx1: [UInt8] = [0xD3, 0xD5, 0xE7, 0xF1]
    private static let cms1: [UInt8] = [0xC3, 0xD4, 0xE2, 0xF1]

    private static func disk(_ blocks: [UInt64: [UInt8]], blockSize: Int = 4096) -> TestDisk {
        let scale = UInt64(blockSize / 512)
        let sectors = Dictionary(uniqueKeysWithValues: blocks.map { ($0 * scale, $1) })
        return TestDisk(sectors: sectors, capacity: 100 * 15 * 12 * scale, logicalBlockSize: blockSize)
    }

    private static func scan(_ disk: TestDisk, _ geometry: DiskGeometry? = geometry) -> PartitionScan {
        disk.scan(PartitionScanOptions(geometry: geometry))
    }

    /// A label of a data set from one cylinder and head to another.
    private static func dataSet(_ format: UInt8, _ first: (UInt16, UInt16) = (0, 0), _ last: (UInt16, UInt16) = (0, 0))
        -> [UInt8]
    {
        let name: [UInt8] = [0xC1, 0xC2, 0x4B, 0xF1] + Array(repeating: 0x40, count: 40)
        let extent: [UInt16] = [first.0, first.1, last.0, last.1]
        return sector((0, name), (44, [format]), (107, extent.flatMap { big($0) }))
    }

    @Test func `with a table of contents has a partition for each data set`() {
        // The table lies on cylinder 0, head 1, block 2.
        let label = sector((0, Self.vol1 + Self.vol1), (15, big(UInt16(0)) + big(UInt16(1)) + [2]))
        let disk = Self.disk([
            2: label, 15: Self.dataSet(0xF4), 16: Self.dataSet(0xF5), 17: Self.dataSet(0xF1, (0, 2), (10, 14)),
            18: Self.dataSet(0xF7), 19: Self.dataSet(0xF8, (11, 0), (99, 14)), 20: Self.dataSet(0xF9),
        ])
        let scan = Self.scan(disk)
        #expect(scan.table == .ibm)
        #expect(scan.places == [[1, 192, 15_648], [2, 15_840, 128_160]])
        #expect(scan.entries.map(\.name) == ["AB.1", "AB.1"])
    }

    @Test func `finds great cylinders in the upper bits of the head`() {
        let label = sector((0, Self.vol1), (15, big(UInt16(0)) + big(UInt16(0)) + [2]))
        let disk = Self.disk([2: label, 3: Self.dataSet(0xF1, (0, 0x10), (0, 0x10))])
        #expect(Self.scan(disk).warns("partition 1", "starts at sector \(65536 * 15 * 12 * 8)"))
    }

    @Test func `without an end of its table is an error`() {
        let label = sector((0, Self.vol1), (15, big(UInt16(99)) + big(UInt16(14)) + [10]))
        let disk = Self.disk([2: label, 17_999: Self.dataSet(0xF4)])
        #expect(Self.scan(disk).error == .unreadable(sector: 144_000))
    }

    @Test func `in Linux' layout is one partition`() {
        #expect(Self.scan(Self.disk([2: sector((0, Self.lnx1))])).places == [[1, 24, 144_000 - 24]])
        let sized = sector((0, Self.lnx1), (79, [0xF2]), (80, big(UInt64(1000))))
        #expect(Self.scan(Self.disk([2: sized])).places == [[1, 24, 8000 - 24]])
        let other = DiskGeometry(cylinders: 99, heads: 15, sectorsPerTrack: 12)
        #expect(Self.scan(Self.disk([2: sector((0, Self.lnx1))]), other) == PartitionScan(table: .ibm))
    }

    @Test func `of CMS is one partition, or a disk inside it`() {
        let plain = sector((0, Self.cms1), (12, big(UInt32(1024))), (28, big(UInt32(500))))
        #expect(Self.scan(Self.disk([2: plain], blockSize: 512)).places == [[1, 4, 996]])
        let inner = sector((0, Self.cms1), (12, big(UInt32(1024))), (28, big(UInt32(500))), (52, big(UInt32(20))))
        #expect(Self.scan(Self.disk([1: inner], blockSize: 512)).places == [[1, 40, 998 - 40]])
        #expect(Self.scan(Self.disk([1: plain], blockSize: 512)).places == [[1, 4, 996]])
    }

    @Test func `needs a geometry and a label`() {
        #expect(Self.scan(Self.disk([2: sector((0, Self.lnx1))]), nil).table == nil)
        #expect(Self.scan(Self.disk([3: sector((0, Self.lnx1))])).table == nil)
        for text in ["", "1/2", "1/2/0", "a/b/c", "1/2/3/4", "-1/2/3"] {
            #expect(DiskGeometry(text) == nil)
        }
        #expect(DiskGeometry("100/15/12") == Self.geometry)
    }
}

@Suite("A disk of AIX")
struct AIXTests {
    private struct Volume {
        /// Physical partitions of each logical volume, by its index.
        var lengths: [Int: UInt16] = [:]
        /// Logical volume and logical partition of each physical one.
        var map: [(UInt16, UInt16)] = []
        var version: UInt16 = 1
        var shift: UInt16 = 20

        /// The area lies at sector 128, its names at 128 + 500 - 33.
        var disk: TestDisk {
            var disk = TestDisk([], capacity: 1_000_000)
            disk.write([0xC9, 0xC2, 0xD4, 0xC1], sector: 0)
            let label = sector(
                (0, text("_LVM")), (24, big(UInt32(500)) + big(UInt32(128))), (46, big(shift)), (60, big(version)))
            disk.write(label, sector: 7)
            disk.write(sector((24, big(UInt16(lengths.count)))), sector: 128)
            for (index, length) in lengths {
                let place = UInt64(index)
                disk.write(big(length), sector: 129 + place / 16, offset: index % 16 * 32 + 14)
                disk.write(text("lv\(index)"), sector: 595 + place / 8, offset: index % 8 * 64)
            }
            var bytes = [UInt8](repeating: 0, count: 32 + 32 * map.count)
            bytes.put(big(UInt16(map.count)), at: 16)
            bytes.put(big(UInt32(4352)), at: 20)
            for (index, row) in map.enumerated() {
                bytes.put(big(row.0) + [0, 0, 0, 0] + big(row.1), at: 32 + 32 * index)
            }
            disk.write(bytes, sector: 145)
            return disk
        }
    }

    @Test func `has a partition for each volume that lies in one piece`() {
        let scan = Volume(
            lengths: [0: 2, 2: 3, 3: 2], map: [(1, 1), (1, 2), (0, 0), (3, 1), (3, 2), (3, 3), (4, 1), (1, 2)]
        )
        .disk.scan()
        #expect(scan.table == .aix)
        #expect(scan.places == [[1, 4352, 4096], [3, 10_496, 6144]])
        #expect(scan.entries.map(\.name) == ["lv0", "lv2"])
        #expect(scan.warns("logical volume 1", "one piece"))
    }

    @Test func `reads descriptors past their first sector`() {
        let lengths = Dictionary(uniqueKeysWithValues: (0..<20).map { ($0, UInt16(1)) })
        let scan = Volume(lengths: lengths, map: [(20, 1)]).disk.scan()
        #expect(scan.places == [[20, 4352, 2048]])
    }

    @Test func `of another version, without volumes or with none in one piece is nobody's`() {
        var good = Volume(lengths: [0: 1], map: [(1, 1)])
        #expect(good.disk.scan().table == .aix)
        good.version = 2
        #expect(good.disk.scan().table == nil)
        good.version = 1
        good.shift = 32
        #expect(good.disk.scan().table == nil)
        #expect(Volume(lengths: [:], map: [(1, 1)]).disk.scan().table == nil)
        #expect(Volume(lengths: [0: 2], map: [(1, 2), (1, 1)]).disk.scan().table == nil)
    }

    @Test func `is known by its mark alone to libblkid`() {
        var disk = TestDisk([.data(10, 5)])
        disk.write([0xC9, 0xC2, 0xD4, 0xC1], sector: 0)
        #expect(disk.scan(.blkid) == PartitionScan(table: .aix))
        #expect(disk.scan().table == .dos)
    }

    @Test func `is read only if its format is asked, and an MBR in no case`() {
        let disk = Volume(lengths: [0: 1], map: [(1, 1)]).disk
        #expect(disk.scan(PartitionScanOptions(formats: [.dos])).table == nil)
        #expect(disk.scan(PartitionScanOptions(formats: [.aix])).table == .aix)
    }
}
