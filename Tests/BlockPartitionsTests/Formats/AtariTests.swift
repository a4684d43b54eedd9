// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// Sectors of AHDI's.
enum AtariImage {
    typealias Row = (flags: UInt8, id: String, start: UInt32, size: UInt32)

    static func entry(_ row: Row) -> [UInt8] {
        [row.flags] + Array(text(row.id, count: 3).prefix(3)) + big(row.start) + big(row.size)
    }

    static func sector(_ primaries: [Row], further: [Row] = [], diskSize: UInt32 = 100_000) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        for (index, row) in further.enumerated() { bytes.put(entry(row), at: 0x156 + 12 * index) }
        bytes.put(big(diskSize), at: 0x1C2)
        for (index, row) in primaries.enumerated() { bytes.put(entry(row), at: 0x1C6 + 12 * index) }
        return bytes
    }
}

@Suite("A disk of Atari's")
struct AtariTests {
    @Test func `gives its primaries by their index`() {
        let disk = TestDisk(sectors: [
            0: AtariImage.sector([(1, "GEM", 2, 1000), (0, "BGM", 5, 5), (0x81, "BGM", 2000, 500)])
        ])
        for policy in PartitionPolicy.allCases {
            let scan = disk.scan(policy)
            #expect(scan.table == .atari)
            #expect(scan.places == [[1, 2, 1000], [3, 2000, 500]])
            #expect(scan.entries.map(\.type) == ["GEM", "BGM"])
        }
    }

    @Test func `needs one plausible primary, and blocks of 512 bytes`() {
        func table(_ row: AtariImage.Row, blockSize: Int = 512) -> PartitionTableKind? {
            TestDisk(sectors: [0: AtariImage.sector([row])], logicalBlockSize: blockSize).scan().table
        }
        #expect(table((1, "GEM", 2, 1000)) == .atari)
        #expect(table((1, "GEM", 2, 1000), blockSize: 1024) == nil)
        #expect(table((0, "GEM", 2, 1000)) == nil)
        #expect(table((1, "G-M", 2, 1000)) == nil)
        #expect(table((1, "GEM", 100_001, 0)) == nil)
        #expect(table((1, "GEM", 2, 99_999)) == nil)
        #expect(table((1, "GEM", 100_000, 0)) == .atari)
        #expect(table((1, "GEM", 2, .max)) == .atari)
    }

    /// XGM at 1000; its chain lies at 1000, 1100 and 1200.
    private static func chain(last: AtariImage.Row = (0, "", 0, 0)) -> TestDisk {
        TestDisk(sectors: [
            0: AtariImage.sector([(1, "GEM", 2, 100), (1, "XGM", 1000, 900), (1, "BGM", 2000, 500)]),
            1000: AtariImage.sector([(1, "GEM", 1, 9), (1, "XGM", 100, 99)]),
            1100: AtariImage.sector([(1, "BGM", 1, 8), (1, "XGM", 200, 99)]),
            1200: AtariImage.sector([(1, "RAW", 1, 7), last]),
        ])
    }

    @Test func `numbers a chain from its slot on`() {
        let places: [[UInt64]] = [[1, 2, 100], [2, 1001, 9], [3, 1101, 8], [4, 1201, 7], [5, 2000, 500]]
        #expect(Self.chain().scan().places == places)
        #expect(Self.chain().scan(.blkid).places == places)
    }

    @Test func `with a chain that loops fills up to 255, to libblkid it ends`() {
        let disk = Self.chain(last: (1, "XGM", 0, 9))
        #expect(disk.scan().entries.count == 255)
        #expect(disk.scan().warns("atari", "no numbers are left"))
        #expect(disk.scan(.blkid).entries.count == 5)
    }

    @Test func `with a chain that leaves the disk is an error`() {
        #expect(Self.chain(last: (1, "XGM", 200_000, 9)).scan().error == .unreadable(sector: 201_000))
    }

    @Test func `has eight further entries if the first of them has a common id`() {
        let primaries: [AtariImage.Row] = [(1, "GEM", 2, 100)]
        func disk(_ further: [AtariImage.Row], link: Bool = false) -> TestDisk {
            let all = primaries + (link ? [(flags: 1, id: "XGM", start: 1000, size: 9)] : [])
            return TestDisk(sectors: [0: AtariImage.sector(all, further: further)])
        }
        let rows: [AtariImage.Row] = [(0, "LNX", 0, 0), (1, "SWP", 500, 9), (1, "ABC", 600, 9), (1, "RAW", 700, 9)]
        #expect(disk(rows).scan().places == [[1, 2, 100], [6, 500, 9], [8, 700, 9]])
        #expect(disk([(1, "ABC", 500, 9)] + rows).scan().places == [[1, 2, 100]])
        #expect(disk(rows, link: true).scan().places == [[1, 2, 100]])
    }

    @Test func `must say a size that can be to libblkid`() {
        for size: UInt32 in [0, 1, 100_001] {
            let disk = TestDisk(sectors: [0: AtariImage.sector([(1, "GEM", 2, 1000)], diskSize: size)])
            #expect(disk.scan(.blkid).table == nil)
            #expect(disk.scan(.kernel).table == .atari)
        }
    }
}
