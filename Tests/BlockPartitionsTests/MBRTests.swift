// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("An MBR")
struct MBRTests {
    @Test func `gives its slots by their index`() {
        let scan = TestDisk([.data(2048, 1000), .empty, Slot(boot: 0x80, type: 0xFD, start: 4096, count: 10), .empty])
            .scan()
        #expect(scan.table == .dos)
        #expect(scan.tableID == "1234abcd")
        #expect(
            scan.entries == [
                PartitionEntry(number: 1, start: 2048, size: 1000, type: "0x83", uuid: "1234abcd-01"),
                PartitionEntry(
                    number: 3, start: 4096, size: 10, type: "0xfd", uuid: "1234abcd-03", isBootable: true,
                    isRAID: true),
            ])
        #expect(scan.warnings == [])
    }

    @Test func `scales by the block size`() {
        for (blockSize, scale) in [(512, 1), (1024, 2), (2048, 4), (4096, 8)] as [(Int, UInt64)] {
            let scan = TestDisk([.data(100, 50)], capacity: 8000, logicalBlockSize: blockSize).scan()
            #expect(scan.places == [[1, 100 * scale, 50 * scale]])
        }
    }

    @Test func `counts a slot by its length, not by its type`() {
        #expect(TestDisk([.data(10, 5, type: 0), .data(20, 0)]).scan().places == [[1, 10, 5]])
        #expect(TestDisk([.data(10, 5, type: 0)]).scan().entries.first?.type == "0x0")
    }

    @Test func `with no slots used is a table without partitions`() {
        let scan = TestDisk([]).scan()
        #expect(scan.table == .dos)
        #expect(scan == PartitionScan(table: .dos, tableID: "1234abcd"))
    }

    @Test func `without a signature has no identity, its partitions have`() {
        let scan = TestDisk([.data(10, 5)], signature: 0).scan()
        #expect(scan.tableID == nil)
        #expect(scan.entries.first?.uuid == "00000000-01")
    }

    @Test func `needs its end mark`() {
        for mark: [UInt8] in [[0, 0], [0x55, 0], [0, 0xAA], [0xAA, 0x55]] {
            var disk = TestDisk(capacity: 1000)
            disk.write(bootRecord([.data(10, 5)], mark: mark), sector: 0)
            #expect(disk.scan() == PartitionScan())
        }
    }

    @Test(arguments: 0..<4) func `needs sane boot bytes, in empty slots too`(_ index: Int) {
        for boot in UInt8.min...UInt8.max {
            var slots = [Slot.data(10, 5), .empty, .empty, .empty]
            slots[index].boot = boot
            let isSane = boot == 0 || boot == 0x80
            #expect(TestDisk(slots).scan().table == (isSane ? .dos : nil))
        }
    }

    @Test func `may have any type but the protective one`() {
        for type in UInt8.min...UInt8.max {
            let scan = TestDisk([.data(10, 5), .data(20, 5, type: type)]).scan()
            let isExtended = [0x05, 0x0F, 0x85].contains(type)
            #expect(scan.entries.last?.size == (type == 0xEE ? nil : isExtended ? 2 : 5))
            #expect(scan.entries.contains { $0.isRAID } == (type == 0xFD))
        }
    }

    @Test func `shows an extended partition as its boot record`() throws {
        let cases: [(Int, UInt32, UInt64)] = [
            (512, 1, 1), (512, 2, 2), (512, 9, 2), (1024, 9, 2), (4096, 9, 8), (4096, 1, 8),
        ]
        for (blockSize, count, size) in cases {
            let disk = TestDisk([.link(100, count)], logicalBlockSize: blockSize)
            let entry = try #require(disk.scan().entries.first)
            #expect(entry.size == size)
            #expect(entry.uuid == nil)
        }
    }

    @Test func `does not remap disk manager types`() {
        for type: UInt8 in [0x51, 0x53, 0x54, 0x55] {
            #expect(TestDisk([.data(63, 5, type: type)]).scan().places == [[1, 63, 5]])
        }
    }

    @Test func `with AIX's mark and label is left alone`() {
        func disk(_ slots: [Slot], label: String) -> TestDisk {
            var disk = TestDisk(slots)
            disk.write([0xC9, 0xC2, 0xD4, 0xC1], sector: 0)
            disk.write(Array(label.utf8), sector: 7)
            return disk
        }
        #expect(disk([.data(10, 5, type: 0x41)], label: "_LVM").scan().table == nil)
        #expect(disk([], label: "_LVM").scan().warns("AIX"))
        #expect(disk([.data(10, 5, type: 0x41)], label: "_LVN").scan().table == .dos)
        for type: UInt8 in [0x82, 0x83, 0x8E, 0xFD, 0x05, 0x0F, 0x85] {
            #expect(disk([.data(10, 5, type: type)], label: "_LVM").scan().table == .dos)
        }
    }

    @Test func `is not there on an empty disk, for the price of a few reads`() {
        for capacity: UInt64 in [1, 7, 8, 31, 32, 100_000, .max] {
            let disk = TestDisk(capacity: capacity)
            #expect(disk.scan() == PartitionScan())
            for policy in PartitionPolicy.allCases {
                #expect(disk.cost(policy).reads <= PartitionScanLimits.readsOfEmptyDisk)
                #expect(disk.cost(policy).bytes <= 64 << 10)
            }
        }
    }

    @Test func `without logical partitions costs one read`() {
        #expect(TestDisk([.data(10, 5), .data(20, 5)]).cost() == (1, 4096))
    }
}

@Suite("A FAT boot sector")
struct FATTests {
    /// A boot sector with these fields, and text where the slots would be.
    private static func disk(reserved: UInt16 = 1, copies: UInt8 = 2, media: UInt8 = 0xF8, slot: Int = 0) -> TestDisk {
        var slots = [Slot.data(10, 5), .data(20, 5), .data(30, 5), .data(40, 5)]
        slots[slot].boot = 0x65
        var disk = TestDisk(slots)
        disk.write(little(reserved) + [copies], sector: 0, offset: 0x0E)
        disk.write([media], sector: 0, offset: 0x15)
        return disk
    }

    @Test func `is no table, and its text makes no partitions`() {
        for media: UInt8 in [0xF0, 0xF8, 0xFF] {
            #expect(Self.disk(media: media).scan() == PartitionScan())
        }
    }

    @Test func `that is implausible is nobody's`() {
        for disk in [
            Self.disk(reserved: 0), Self.disk(copies: 0), Self.disk(media: 0xF1), Self.disk(media: 0xF7),
            Self.disk(slot: 1),
        ] {
            #expect(disk.scan() == PartitionScan())
        }
    }

    @Test func `with sane slots is an MBR`() {
        var disk = Self.disk()
        disk.change(sector: 0, offset: 0x1BE, to: 0x80)
        #expect(disk.scan().places.count == 4)
    }
}
