// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// Sectors of Acorn's interfaces, with good sums.
enum AcornImage {
    static func ics(_ rows: [(UInt32, Int32)]) -> [UInt8] {
        var bytes = rows.flatMap { little($0.0) + little($0.1) }
        bytes += Array(repeating: 0, count: 508 - bytes.count)
        return bytes + little(bytes.reduce(UInt32(0x5061_7274)) { $0 &+ UInt32($1) })
    }

    static func powerTec(_ rows: [(UInt32, UInt32)]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        for (index, row) in rows.enumerated() { bytes.put(little(row.0) + little(row.1), at: 28 * index + 8) }
        bytes[511] = bytes.prefix(511).reduce(UInt8(0x2A)) { $0 &+ $1 }
        return bytes
    }

    static func eesox(_ starts: [UInt32]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 256)
        for (index, start) in starts.enumerated() {
            bytes.put(text("Eesox"), at: 32 * index)
            bytes.put(little(start), at: 32 * index + 16)
        }
        let key = Array("Neil Critchell  ".utf8)
        return bytes.enumerated().map { $1 ^ key[$0 % 16] } + Array(repeating: 7, count: 256)
    }

    /// A boot block of a file system of `sectors`, with 4 heads of 8 sectors.
    static func boot(sectors: UInt32, system: UInt8 = 0, cylinder: UInt16 = 0) -> [UInt8] {
        var bytes = sector((0x1C1, [8, 4]), (0x1D0, little(sectors &* 512)), (0x1FC, [system] + little(cylinder)))
        var sum: UInt32 = 0
        for byte in bytes.prefix(511).reversed() { sum = (sum & 0xFF) + (sum >> 8) + UInt32(byte) }
        bytes[511] = UInt8(truncatingIfNeeded: sum)
        return bytes
    }
}

@Suite("A disk of Acorn's")
struct AcornTests {
    private static let cumana = PartitionScanOptions(formats: [.acornCumana, .acornADFS])

    @Test func `behind the ICS interface has signed sizes`() {
        var sectors: [UInt64: [UInt8]] = [
            0: AcornImage.ics([(10, 100), (200, -50), (400, -60), (600, -1), (0, 0), (9, 9)])
        ]
        sectors[400] = text("LinuxPart")
        sectors[600] = text("LinuxPart")
        let scan = TestDisk(sectors: sectors).scan()
        #expect(scan.table == .acornICS)
        #expect(scan.places == [[1, 10, 100], [2, 200, 50], [3, 401, 59], [4, 600, 1]])
        var bad = AcornImage.ics([(10, 100)])
        bad[508] ^= 1
        #expect(TestDisk(sectors: [0: bad]).scan().table == nil)
        let full = TestDisk(sectors: [0: AcornImage.ics((0..<63).map { (UInt32($0 * 10 + 10), 5) })])
        #expect(full.scan().entries.count == 63)
    }

    @Test func `behind the PowerTec interface is asked for by name only`() {
        let disk = TestDisk(sectors: [0: AcornImage.powerTec([(10, 100), (5, 0), (200, 50)])])
        #expect(disk.scan().table == nil)
        #expect(disk.scan(.kernel).places == [[1, 10, 100], [2, 200, 50]])
        let named = disk.scan(PartitionScanOptions(formats: [.acornPowerTec]))
        #expect(named.table == .acornPowerTec)
        #expect(named.entries.count == 2)
        // With the mark of an MBR the sum does not count.
        var bytes = AcornImage.powerTec([(10, 100)])
        bytes.put([0x55, 0xAA], at: 510)
        bytes[0] = 0xAA &- bytes.prefix(511).reduce(UInt8(0x2A)) { $0 &+ $1 }
        #expect(TestDisk(sectors: [0: bytes]).scan(PartitionScanOptions(formats: [.acornPowerTec])).table == nil)
    }

    @Test func `behind the EESOX interface has starts only`() {
        let disk = TestDisk(sectors: [7: AcornImage.eesox([100, 500, 2000])])
        #expect(disk.scan().table == .acornEESOX)
        #expect(disk.scan().places == [[1, 100, 400], [2, 500, 1500], [3, 2000, 98_000]])
        let descending = TestDisk(sectors: [7: AcornImage.eesox([500, 100])])
        #expect(descending.scan().places == [[2, 100, 99_900]])
        #expect(descending.scan().warns("partition 1", "2^64", "dropped"))
        #expect(descending.scan(.kernel).places == [[1, 500, .max - 399], [2, 100, 99_900]])
    }

    @Test func `with a file system of Acorn's has Linux behind it`() {
        let table = [(UInt32(0xDEAF_A1DE), UInt32(2), UInt32(100)), (0xDEAF_AB1E, 102, 50), (0, 9, 9)]
        // 3 cylinders of 32 sectors.
        let disk = TestDisk(sectors: [
            6: AcornImage.boot(sectors: 96, system: 9, cylinder: 3),
            96: table.flatMap { little($0.0) + little($0.1) + little($0.2) },
        ])
        let scan = disk.scan()
        #expect(scan.table == .acornADFS)
        #expect(scan.places == [[1, 0, 96], [2, 96, 2], [3, 98, 100], [4, 198, 50]])
        // Asked first, Cumana claims it; its first partition behind has no size.
        let cumana = disk.scan(Self.cumana)
        #expect(cumana.table == .acornCumana)
        #expect(cumana.places == [[1, 0, 96], [3, 98, 100], [4, 198, 50]])
        #expect(disk.scan(.kernel).table == .acornCumana)
    }

    @Test func `with a file system of Acorn's has RISC iX behind it`() {
        func slice(_ start: UInt32, _ size: UInt32, _ used: UInt32, _ name: String) -> [UInt8] {
            little(start) + little(size) + little(used) + text(name, count: 16)
        }
        let table =
            little(UInt32(0x4A65_7320)) + [0, 0, 0, 0] + slice(100, 50, 1, "Root") + slice(0, 999, 1, "All")
            + slice(200, 50, 0, "No") + slice(300, 10, 2, "Swap")
        let disk = TestDisk(sectors: [6: AcornImage.boot(sectors: 96, system: 1, cylinder: 3), 96: table])
        #expect(disk.scan().places == [[1, 0, 96], [2, 96, 2], [3, 100, 50], [4, 300, 10]])
        #expect(disk.scan().entries.map(\.name) == [nil, nil, "Root", "Swap"])
        // Without its mark all of the rest is one partition.
        let blank = TestDisk(sectors: [6: AcornImage.boot(sectors: 96, system: 2, cylinder: 3)], capacity: 1000)
        #expect(blank.scan().places == [[1, 0, 96], [2, 96, 904]])
    }

    @Test func `alone has one partition, and needs its checksum`() {
        #expect(TestDisk(sectors: [6: AcornImage.boot(sectors: 500)]).scan().places == [[1, 0, 500]])
        var bad = AcornImage.boot(sectors: 500)
        bad[511] ^= 1
        #expect(TestDisk(sectors: [6: bad]).scan().table == nil)
        #expect(TestDisk(sectors: [6: AcornImage.boot(sectors: 0)]).scan().table == nil)
    }

    @Test func `behind the Cumana interface has boot blocks that follow each other`() {
        // Each is 3 cylinders of 32 sectors further; blocks count twice.
        let disk = TestDisk(sectors: [
            6: AcornImage.boot(sectors: 90, cylinder: 3), 102: AcornImage.boot(sectors: 80, cylinder: 3),
            198: AcornImage.boot(sectors: 70),
        ])
        #expect(disk.scan(Self.cumana).places == [[1, 0, 90], [2, 96, 80], [3, 192, 70]])
        #expect(disk.scan().places == [[1, 0, 90]])
        let cut = TestDisk(sectors: [6: AcornImage.boot(sectors: 90, cylinder: 3)], capacity: 102)
        #expect(cut.scan(PartitionScanOptions(formats: [.acornCumana])).error == .unreadable(sector: 102))
    }
}
