// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A chain of extended boot records")
struct ExtendedChainTests {
    /// An extended partition from block 1000 on, 9000 blocks long.
    private static func disk(blockSize: Int = 512, records: [(UInt64, [Slot])]) -> TestDisk {
        var disk = TestDisk([.link(1000, 9000)], logicalBlockSize: blockSize)
        for (block, slots) in records {
            disk.writeRecord(slots, block: block)
        }
        return disk
    }

    /// Records in a row, 8 blocks apart, each linked to the next, the last one to what is not there; `data` says which have any.
    private static func row(_ count: UInt32, data: (UInt32) -> Bool) -> [(UInt64, [Slot])] {
        (0..<count).map { index in
            let first: Slot = data(index) ? .data(1, 7) : .empty
            return (1000 + UInt64(index) * 8, [first, .link((index + 1) * 8, 8)])
        }
    }

    private static func logicals(_ scan: PartitionScan) -> [[UInt64]] { scan.places.filter { $0[0] > 4 } }

    @Test func `numbers data from 5 on: data from its record, links from the start`() {
        let scan = Self.disk(records: [
            (1000, [.data(63, 100), .link(2000, 500)]),
            (3000, [Slot(boot: 0x80, type: 0xFD, start: 1, count: 499), .link(4000, 500, type: 0x85)]),
            (5000, [.data(2, 498)]),
        ]).scan()
        #expect(scan.places == [[1, 1000, 2], [5, 1063, 100], [6, 3001, 499], [7, 5002, 498]])
        #expect(scan.entries.map(\.uuid) == [nil, "1234abcd-05", "1234abcd-06", "1234abcd-07"])
        #expect(scan.entries[2].isRAID && scan.entries[2].isBootable)
        #expect(scan.warnings == [])
    }

    @Test func `scales by the block size`() {
        let scan = Self.disk(blockSize: 4096, records: [(1000, [.data(1, 9), .link(100, 50)]), (1100, [.data(2, 8)])])
            .scan()
        #expect(scan.places == [[1, 8000, 8], [5, 8008, 72], [6, 8816, 64]])
    }

    @Test func `does not ask for sane boot bytes`() {
        let scan = Self.disk(records: [(1000, [Slot(boot: 0x33, type: 0x83, start: 5, count: 5)])]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5]])
    }

    @Test func `may have its link before its data, only the first link counts`() {
        let scan = Self.disk(records: [
            (1000, [.link(100, 50), .data(5, 5), .link(200, 50), .empty]), (1100, [.data(6, 6)]),
            (1200, [.data(7, 7)]),
        ]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5], [6, 1106, 6]])
    }

    @Test func `takes a link without a length for none`() {
        let scan = Self.disk(records: [(1000, [.data(5, 5), .link(100, 0)]), (1100, [.data(6, 6)])]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5]])
    }

    @Test func `takes slots 3 and 4 only if they lie inside`() {
        let scan = Self.disk(records: [
            (1000, [.data(5, 5), .data(50000, 5), .data(8999, 1), .data(8999, 2)])
        ]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5], [6, 51000, 5], [7, 9999, 1]])
        #expect(scan.warns("slot 4 of the boot record at sector 1000 points outside: ignored"))

        let second = Self.disk(records: [
            (1000, [.link(2000, 100)]), (3000, [.empty, .empty, .data(99, 1), .data(100, 1)]),
        ]).scan()
        #expect(Self.logicals(second) == [[5, 3099, 1]])
        let stray = Self.disk(records: [
            (1000, [.link(20000, 100)]), (21000, [.data(1, 1), .empty, .data(2, 1), .data(0xFFFF_FFFF, 0xFFFF_FFFF)]),
        ]).scan()
        #expect(Self.logicals(stray) == [[5, 21001, 1]])
    }

    @Test func `follows links backwards and outside, and says so`() {
        let scan = Self.disk(records: [
            (1000, [.data(5, 5), .link(5000, 10)]), (6000, [.data(6, 6), .link(3000, 10)]),
            (4000, [.data(7, 7), .link(50000, 10)]), (51000, [.data(8, 8)]),
        ]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5], [6, 6006, 6], [7, 4007, 7], [8, 51008, 8]])
        #expect(scan.warnings == ["partition 1: its chain leaves it for sector 51000: followed"])
    }

    @Test func `that links to itself makes 251 equal partitions`() {
        let scan = Self.disk(records: [(1000, [.data(5, 5), .link(0, 10)])]).scan()
        #expect(Self.logicals(scan) == (5...255).map { [$0, 1005, 5] })
        #expect(scan.warns("partition 1: no numbers are left"))
        #expect(scan.warns("partition 6: overlaps partition 5"))
    }

    @Test func `that loops without data makes none`() {
        let records: [(UInt64, [Slot])] = [(1000, [.link(100, 10)]), (1100, [.link(0, 10)])]
        let disk = Self.disk(records: records)
        #expect(Self.logicals(disk.scan()) == [])
        #expect(disk.scan().warns("partition 1: 100 boot records in a row without data"))
        #expect(disk.cost().reads <= 3)
    }

    @Test func `gets over 99 records without data, not over 100`() {
        for (empty, found) in [(99, 1), (100, 0)] as [(UInt32, Int)] {
            var records = Self.row(empty + 1) { $0 == empty }
            records[Int(empty)].1[1] = .empty
            let scan = Self.disk(records: records).scan()
            #expect(Self.logicals(scan).count == found)
            #expect(scan.warnings.isEmpty == (found == 1))
        }
    }

    @Test func `starts to count anew after data`() {
        let scan = Self.disk(records: Self.row(300) { $0 % 90 == 89 }).scan()
        #expect(Self.logicals(scan).map { $0[0] } == [5, 6, 7])
    }

    @Test func `of 300 records ends at number 255`() {
        let disk = Self.disk(records: Self.row(300) { _ in true })
        let scan = disk.scan()
        #expect(Self.logicals(scan) == (0..<251).map { [$0 + 5, 1001 + $0 * 8, 7] })
        #expect(scan.warnings == ["partition 1: no numbers are left for its other logical partitions"])
        #expect(disk.cost().reads == 252)
    }

    @Test func `of exactly 251 partitions says nothing`() {
        var records = Self.row(251) { _ in true }
        records[250].1[1] = .empty
        let scan = Self.disk(records: records).scan()
        #expect(scan.entries.last?.number == 255)
        #expect(scan.warnings == [])
    }

    @Test func `with several data slots a record ends at number 255 too`() {
        let scan = Self.disk(records: [(1000, [.data(1, 1), .data(2, 1), .data(3, 1), .link(0, 9)])]).scan()
        #expect(scan.entries.map(\.number) == [1] + Array(5...255))
    }

    @Test func `past the end of the disk stops, what was found stays`() {
        let scan = Self.disk(records: [(1000, [.data(5, 5), .link(0xFFFF_FFFF, 10)])]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5]])
        #expect(scan.error == nil)
        #expect(scan.warns("boot record at sector 4294968295 cannot be read"))
    }

    @Test func `without its mark stops, what was found stays`() {
        let scan = Self.disk(records: [(1000, [.data(5, 5), .link(100, 10)])]).scan()
        #expect(Self.logicals(scan) == [[5, 1005, 5]])
        #expect(scan.warns("sector 1100 is no boot record"))
    }

    @Test func `from block 0 reads the MBR as its first record`() {
        let scan = TestDisk([.data(10, 5), .link(0, 1000), .data(20, 5)]).scan()
        #expect(scan.places.prefix(5) == [[1, 10, 5], [2, 0, 2], [3, 20, 5], [5, 10, 5], [6, 20, 5]])
        #expect(scan.entries.last?.number == 255)
    }

    @Test func `shares its numbers with that of another extended partition`() {
        var disk = TestDisk([.link(1000, 100), .data(5000, 5), .link(2000, 100, type: 0x0F)])
        disk.writeRecord([.data(1, 9)], block: 1000)
        disk.writeRecord([.data(2, 8)], block: 2000)
        #expect(
            disk.scan().places == [[1, 1000, 2], [2, 5000, 5], [3, 2000, 2], [5, 1001, 9], [6, 2002, 8]])
        #expect(disk.scan().warnings == [])
    }

    @Test func `longer than the bound on reads is cut short`() {
        // 99 records without data before each with data: Linux would read 25 000 pages.
        var disk = TestDisk([.link(0x1000, 0x10_0000)], capacity: 0x20_0000)
        for index: UInt32 in 0..<5000 {
            let data: Slot = index % 100 == 99 ? .data(1, 7) : .empty
            disk.writeRecord([data, .link((index + 1) * 8, 8)], block: 0x1000 + UInt64(index) * 8)
        }
        for policy in [PartitionPolicy.platter, .kernel] {
            #expect(disk.cost(policy).bytes == PartitionScanLimits.bytes)
            let scan = disk.scan(policy)
            #expect(Self.logicals(scan).count == 40)
            #expect(scan.warns("would be read past the limit"))
        }
    }
}
