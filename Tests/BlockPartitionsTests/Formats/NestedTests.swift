// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A table inside an MBR's partition")
struct NestedTests {
    /// A disk whose second slot has this type and lies from 1000 on, with what is written at an offset in it.
    private static func disk(_ type: UInt8, at offset: UInt64, _ bytes: [UInt8], blockSize: Int = 512) -> TestDisk {
        let scale = UInt32(blockSize / 512)
        var disk = TestDisk(
            [.data(100, 100), .data(1000 / scale, 8000 / scale, type: type), .link(10_000 / scale, 800)],
            logicalBlockSize: blockSize)
        disk.writeRecord([.data(10, 5)], block: UInt64(10_000 / scale))
        disk.write(bytes, sector: 1000 + offset)
        return disk
    }

    @Test(arguments: [0xA5, 0xA6, 0xA9] as [UInt8]) func `of a BSD is numbered after the logical ones`(_ type: UInt8) {
        let label = bsdLabel([
            (500, 1000, 7), (100, 1500, 0), (8000, 1000, 1), (600, 2000, 7), (9, 100, 7), (9, 8999, 7),
        ])
        let scan = Self.disk(type, at: 1, label).scan()
        #expect(scan.places.suffix(3) == [[5, 10_010, 5], [6, 1000, 500], [7, 2000, 600]])
        #expect(scan.entries.last?.nested == .bsd)
        #expect(scan.entries.last?.uuid == nil)
        #expect(scan.warns("partition 2", "slice at sector 100 lies outside"))
        #expect(scan.warns("partition 2", "slice at sector 8999 lies outside"))
        #expect(Self.disk(type, at: 0, label).scan().entries.count == 4)
        #expect(Self.disk(type, at: 1, Array(repeating: 1, count: 512)).scan().entries.count == 4)
    }

    @Test func `of FreeBSD counts from its partition if its third slice begins at 0`() {
        let label = bsdLabel([(500, 16, 7), (100, 600, 1), (8000, 0, 0)])
        #expect(Self.disk(0xA5, at: 1, label).scan().places.suffix(2) == [[6, 1016, 500], [7, 1600, 100]])
        // Those of the others never do, to Linux.
        #expect(Self.disk(0xA6, at: 1, label).scan().entries.count == 4)
        // Even if it is not announced.
        let short = bsdLabel([(500, 16, 7)])
        #expect(Self.disk(0xA5, at: 1, short).scan().places.last == [6, 1016, 500])
    }

    @Test func `lies a sector after the start, however large the blocks`() {
        let label = bsdLabel([(500, 1000, 7)])
        #expect(Self.disk(0xA9, at: 1, label, blockSize: 4096).scan().places.last == [6, 1000, 500])
    }

    @Test(arguments: [0x82, 0xBF] as [UInt8]) func `of Solaris has 8 or 16 slices`(_ type: UInt8) {
        func table(_ count: UInt16, version: UInt32 = 1) -> [UInt8] {
            var bytes = sector((12, little(UInt32(0x600D_DEEE)) + little(version)), (30, little(count)))
            for index in 0..<16 {
                bytes.put(
                    little(UInt16(index)) + [0, 0] + little(UInt32(10 * index)) + little(UInt32(index == 3 ? 0 : 10)),
                    at: 72 + 12 * index)
            }
            return bytes
        }
        let scan = Self.disk(type, at: 1, table(8)).scan()
        #expect(scan.entries.count == 4 + 7)
        #expect(scan.places.dropFirst(4).first == [6, 1000, 10])
        #expect(scan.entries.dropFirst(8).first?.isWholeDisk == true)
        #expect(Self.disk(type, at: 1, table(0)).scan().entries.count == 11)
        #expect(Self.disk(type, at: 1, table(9)).scan().entries.count == 19)
        #expect(Self.disk(type, at: 1, table(8, version: 2)).scan().entries.count == 4)
        // libblkid takes one slice less, not the one for the whole, and only of one type.
        #expect(Self.disk(type, at: 1, table(8)).scan(.blkid).entries.count == (type == 0x82 ? 9 : 4))
    }

    @Test func `of UnixWare counts from the disk's beginning`() {
        func table(_ mark: UInt32 = 0xCA5E_600D) -> [UInt8] {
            var bytes = sector((4, little(mark)), (156, little(UInt32(0x600D_DEEE))))
            for index in 0..<16 {
                bytes.put(
                    little(UInt16(index == 2 ? 0 : 3)) + [0, 2] + little(UInt32(2000 + index))
                        + little(UInt32(index == 4 ? 0 : 7)), at: 216 + 12 * index)
            }
            return bytes
        }
        let scan = Self.disk(0x63, at: 29, table()).scan()
        // Slice 4 has no size, and uses up its number.
        #expect(scan.places.dropFirst(4).prefix(3) == [[6, 2001, 7], [7, 2003, 7], [9, 2005, 7]])
        #expect(scan.entries.count == 4 + 13)
        #expect(Self.disk(0x63, at: 29, table(1)).scan().entries.count == 4)
        #expect(Self.disk(0x63, at: 29, table()).scan(.blkid).entries.count == 4)
    }

    @Test func `of Minix needs its first slot, and counts from the disk's beginning`() {
        let slots = [
            Slot.data(1001, 9, type: 0x81), .data(5, 5), .data(1020, 0, type: 0x81), .data(9500, 9, type: 0x81),
        ]
        let scan = Self.disk(0x81, at: 0, bootRecord(slots)).scan()
        #expect(scan.places.suffix(3) == [[5, 10_010, 5], [6, 1001, 9], [8, 9500, 9]])
        let other = [Slot.data(5, 5), slots[0]]
        #expect(Self.disk(0x81, at: 0, bootRecord(other)).scan().entries.count == 4)
        #expect(Self.disk(0x81, at: 0, bootRecord(other)).scan(.blkid).places.last == [6, 1001, 9])
    }

    @Test func `ends with the numbers`() {
        var disk = TestDisk([.data(1000, 8000, type: 0xA6), .link(10_000, 9000)])
        for index: UInt32 in 0..<250 {
            disk.writeRecord([.data(1, 1), .link(2 * index + 2, 2)], block: 10_000 + UInt64(2 * index))
        }
        disk.write(bsdLabel([(500, 1000, 7), (600, 2000, 7)]), sector: 1001)
        let scan = disk.scan()
        #expect(scan.places.last == [255, 1000, 500])
        #expect(scan.warns("partition 1", "no numbers are left"))
    }

    @Test func `is left alone if its format is not asked`() {
        let label = bsdLabel([(500, 1000, 7)])
        let options = PartitionScanOptions(formats: [.dos])
        #expect(Self.disk(0xA6, at: 1, label).scan(options).entries.count == 4)
    }

    @Test func `of a logical partition is not looked for`() {
        var disk = TestDisk([.link(1000, 9000)])
        disk.writeRecord([.data(10, 1000, type: 0xA6)], block: 1000)
        disk.write(bsdLabel([(50, 1010, 7)]), sector: 1011)
        #expect(disk.scan().entries.map(\.number) == [1, 5])
    }
}
