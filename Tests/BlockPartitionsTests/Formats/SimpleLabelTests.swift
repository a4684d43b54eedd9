// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A label of SGI")
struct SGITests {
    static func label(_ slots: [(UInt32, UInt32, UInt32)]) -> [UInt8] {
        var bytes = sector((0, big(UInt32(0x0BE5_A941))))
        for (index, slot) in slots.enumerated() {
            bytes.put(big(slot.0) + big(slot.1) + big(slot.2), at: 312 + 12 * index)
        }
        balance(&bytes, words: 128, at: 504)
        return bytes
    }

    @Test func `gives its slots by their index, the volume header too`() {
        var slots = Array(repeating: (UInt32(0), UInt32(0), UInt32(0)), count: 16)
        slots[0] = (1000, 3000, 0xFD)
        slots[8] = (2000, 0, 0)
        slots[15] = (1, 99_999, 0x83)
        let scan = TestDisk(sectors: [0: Self.label(slots)]).scan()
        #expect(scan.table == .sgi)
        #expect(scan.places == [[1, 3000, 1000], [9, 0, 2000], [16, 99_999, 1]])
        #expect(scan.entries.map(\.isRAID) == [true, false, false])
        #expect(scan.entries.map(\.type) == ["0xfd", "0x0", "0x83"])
    }

    @Test func `needs its checksum and mark`() {
        var bytes = Self.label([(1000, 3000, 0)])
        #expect(TestDisk(sectors: [0: bytes]).scan().table == .sgi)
        bytes[200] ^= 1
        #expect(TestDisk(sectors: [0: bytes]).scan().table == nil)
        bytes = Self.label([(1000, 3000, 0)])
        bytes[3] ^= 1
        balance(&bytes, words: 128, at: 504)
        #expect(TestDisk(sectors: [0: bytes]).scan().table == nil)
    }
}

@Suite("A label of Sun")
struct SunTests {
    /// Slots of first cylinder, sectors, tag; 16 heads of 63 sectors.
    static func label(
        _ slots: [(UInt32, UInt32, UInt16)], version: UInt32 = 1, sanity: UInt32 = 0x600D_DEEE, count: UInt16 = 8,
        heads: UInt16 = 16
    ) -> [UInt8] {
        var bytes = sector(
            (128, big(version)), (140, big(count)), (188, big(sanity)), (436, big(heads) + big(UInt16(63))),
            (508, big(UInt16(0xDABE))))
        for (index, slot) in slots.enumerated() {
            bytes.put(big(slot.2), at: 142 + 4 * index)
            bytes.put(big(slot.0) + big(slot.1), at: 444 + 8 * index)
        }
        let sum = stride(from: 0, to: 510, by: 2).reduce(UInt16(0)) {
            $0 ^ UInt16(bytes[$1]) << 8 ^ UInt16(bytes[$1 + 1])
        }
        bytes.put(big(sum), at: 510)
        return bytes
    }

    @Test func `starts at cylinders, and names the slot for the whole`() {
        let slots: [(UInt32, UInt32, UInt16)] = [(0, 2016, 2), (2, 1008, 0xFD), (0, 100_000, 5)]
        let scan = TestDisk(sectors: [0: Self.label(slots)]).scan()
        #expect(scan.table == .sun)
        #expect(scan.places == [[1, 0, 2016], [2, 2016, 1008], [3, 0, 100_000]])
        #expect(scan.entries.map(\.isWholeDisk) == [false, false, true])
        #expect(scan.entries.map(\.isRAID) == [false, true, false])
        #expect(scan.warnings == [])
        #expect(TestDisk(sectors: [0: Self.label(slots)]).scan(.blkid).places == [[1, 0, 2016], [2, 2016, 1008]])
    }

    @Test func `has as many slots as it says, if its table is good`() {
        let slots = (0..<8).map { (UInt32($0), UInt32(1008), UInt16(5)) }
        #expect(TestDisk(sectors: [0: Self.label(slots, count: 2)]).scan().entries.count == 2)
        // A bad table counts for nothing, and so do its tags.
        for bad in [Self.label(slots, version: 2), Self.label(slots, sanity: 1), Self.label(slots, count: 9)] {
            let scan = TestDisk(sectors: [0: bad]).scan()
            #expect(scan.entries.count == 8)
            #expect(!scan.entries.contains { $0.isWholeDisk })
        }
        // Without a table the tags count.
        let old = TestDisk(sectors: [0: Self.label(slots, version: 0, sanity: 0, count: 0)]).scan()
        #expect(old.entries.filter(\.isWholeDisk).count == 8)
    }

    @Test func `with a great cylinder does not wrap`() {
        let bytes = Self.label([(1, 10, 2)], heads: 0xFFFF)
        let scan = TestDisk(sectors: [0: bytes], capacity: 1 << 40).scan()
        #expect(scan.places == [[1, 0xFFFF * 63, 10]])
    }

    @Test func `needs its checksum`() {
        var bytes = Self.label([(0, 2016, 2)])
        bytes[300] ^= 1
        #expect(TestDisk(sectors: [0: bytes]).scan().table == nil)
    }
}

@Suite("A label of Ultrix")
struct UltrixTests {
    static func label(_ slots: [(Int32, UInt32)]) -> [UInt8] {
        var bytes = sector((440, little(UInt32(0x032957)) + little(UInt32(1))))
        for (index, slot) in slots.enumerated() {
            bytes.put(little(slot.0) + little(slot.1), at: 448 + 8 * index)
        }
        return bytes
    }

    @Test func `gives its slots by their index`() {
        let disk = TestDisk(sectors: [31: Self.label([(100, 0), (0, 5), (200, 1000)])])
        #expect(disk.scan().table == .ultrix)
        #expect(disk.scan().places == [[1, 0, 100], [3, 1000, 200]])
    }

    @Test func `with a negative count has a size that wraps`() {
        let disk = TestDisk(sectors: [31: Self.label([(-5, 10), (7, 20)])])
        #expect(disk.scan().places == [[2, 20, 7]])
        #expect(disk.scan().warns("partition 1", "2^64", "dropped"))
        #expect(disk.scan(.kernel).places == [[1, 10, .max - 4], [2, 20, 7]])
    }

    @Test func `is not looked for on a disk without sector 31, to Linux that is an error`() {
        let disk = TestDisk(sectors: [:], capacity: 31)
        #expect(disk.scan() == PartitionScan())
        #expect(disk.scan(.kernel).error == .unreadable(sector: 31))
    }
}

@Suite("A disk of the Karma")
struct KarmaTests {
    @Test func `has two slots, of which those of its type count`() {
        func slot(_ type: UInt8, _ start: UInt32, _ size: UInt32) -> [UInt8] {
            [0, 0, 0, 0, type, 0, 0, 0] + little(start) + little(size)
        }
        let mark: [UInt8] = [0x56, 0xAB]
        let disk = TestDisk(sectors: [0: sector((270, slot(0x4D, 63, 1000)), (286, slot(0x4D, 2000, 9)), (510, mark))])
        #expect(disk.scan().table == .karma)
        #expect(disk.scan().places == [[1, 63, 1000], [2, 2000, 9]])
        let second = TestDisk(sectors: [0: sector((270, slot(0x4E, 63, 9)), (286, slot(0x4D, 20, 9)), (510, mark))])
        #expect(second.scan().places == [[2, 20, 9]])
        let none = TestDisk(sectors: [0: sector((270, slot(0x4D, 63, 0)), (510, mark))])
        #expect(none.scan() == PartitionScan(table: .karma))
    }
}

@Suite("A disk of Motorola's System V")
struct SysV68Tests {
    static func disk(_ slices: [(UInt32, UInt32)], at position: UInt32 = 3, count: UInt16? = nil) -> TestDisk {
        let head = sector(
            (248, text("MOTOROLA")), (384, big(position)), (388, big(count ?? UInt16(slices.count))))
        return TestDisk(sectors: [0: head, 3: slices.flatMap { big($0.0) + big($0.1) }])
    }

    @Test func `leaves out its last slice, which is the whole`() {
        let scan = Self.disk([(100, 10), (0, 5), (200, 500), (100_000, 0)]).scan()
        #expect(scan.table == .sysv68)
        #expect(scan.places == [[1, 10, 100], [3, 500, 200]])
    }

    @Test func `has at most the 64 slices of a sector`() {
        let scan = Self.disk(Array(repeating: (5, 10), count: 64), count: 1000).scan()
        #expect(scan.entries.count == 64)
        #expect(scan.warns("1000 slices", "left out"))
        #expect(Self.disk([], count: 0).scan() == PartitionScan(table: .sysv68))
    }

    @Test func `with its table beyond the disk is an error`() {
        for position: UInt32 in [100_000, 0x7FFF_FFFF, 0x8000_0000, .max] {
            guard case .unreadable = Self.disk([(1, 1)], at: position).scan().error else {
                Issue.record("sector \(position) was read")
                continue
            }
        }
    }
}

@Suite("A label of OSF/1")
struct OSFTests {
    @Test func `gives its slices by their index, whatever their file system`() {
        let label = bsdLabel([(1000, 0, 0), (0, 5, 7), (2000, 3000, 1)])
        let disk = TestDisk(sectors: [0: sector((64, label))])
        #expect(disk.scan().table == .osf)
        #expect(disk.scan().places == [[1, 0, 1000], [3, 3000, 2000]])
        // The same bytes are a BSD label to libblkid: without gaps, and only what has a file system.
        #expect(disk.scan(.blkid).table == .bsd)
        #expect(disk.scan(.blkid).places == [[1, 5, 0], [2, 3000, 2000]])
    }

    @Test func `needs its second mark, and at most 18 slices`() {
        var label = bsdLabel([(1000, 0, 1)])
        label[132] ^= 1
        #expect(TestDisk(sectors: [0: sector((64, label))]).scan().table == nil)
        let many = bsdLabel(Array(repeating: (9, 9, 1), count: 18))
        #expect(TestDisk(sectors: [0: sector((64, Array(many.prefix(448))))]).scan().entries.count == 18)
        var more = many
        more.put(little(UInt16(19)), at: 138)
        #expect(TestDisk(sectors: [0: sector((64, Array(more.prefix(448))))]).scan().table == nil)
    }
}

/// A BSD label of slices of size, offset and file system.
func bsdLabel(_ slices: [(UInt32, UInt32, UInt8)]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 148 + 16 * max(16, slices.count))
    bytes.put(little(UInt32(0x8256_4557)), at: 0)
    bytes.put(little(UInt32(0x8256_4557)), at: 132)
    bytes.put(little(UInt16(slices.count)), at: 138)
    for (index, slice) in slices.enumerated() {
        bytes.put(little(slice.0) + little(slice.1) + [0, 0, 0, 0, slice.2, 0, 0, 0], at: 148 + 16 * index)
    }
    return bytes
}
