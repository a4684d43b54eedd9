// SPDX-License-Identifier: Apache-2.0

import BlockPartitions

/// A sparse disk in memory that counts reads, and fails those that touch a bad sector.
struct TestDisk: PartitionSource {
    var capacity: UInt64
    var logicalBlockSize = 512
    var bad: Set<UInt64> = []
    /// The read that fails, counted from 1.
    var failingRead: Int?
    private(set) var reads = 0
    private(set) var bytesRead = 0
    private var sectors: [UInt64: [UInt8]] = [:]

    init(capacity: UInt64, logicalBlockSize: Int = 512) {
        self.capacity = capacity
        self.logicalBlockSize = logicalBlockSize
    }

    mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        reads += 1
        bytesRead += count * 512
        guard reads != failingRead, sector < capacity, UInt64(count) <= capacity - sector else { return nil }
        let range = sector..<sector + UInt64(count)
        guard bad.isEmpty || !range.contains(where: bad.contains) else { return nil }
        return range.flatMap { sectors[$0] ?? Self.blank }
    }

    private static let blank = [UInt8](repeating: 0, count: 512)

    /// Writes bytes over what is there, from an offset within a sector on. Sectors past the capacity are allowed.
    mutating func write(_ bytes: [UInt8], sector: UInt64, offset: Int = 0) {
        var written = 0
        while written < bytes.count {
            let position = offset + written
            let part = bytes[written..<min(bytes.count, written + 512 - position % 512)]
            let range = position % 512..<position % 512 + part.count
            sectors[sector + UInt64(position / 512), default: Self.blank].replaceSubrange(range, with: part)
            written += part.count
        }
    }

    /// The sectors that were ever written, ascending.
    var written: [UInt64] { sectors.keys.sorted() }

    /// Sets one byte to another value.
    mutating func change(sector: UInt64, offset: Int, to value: UInt8) {
        sectors[sector, default: Self.blank][offset] = value
    }

    func byte(sector: UInt64, offset: Int) -> UInt8 { sectors[sector]?[offset] ?? 0 }

    /// The whole disk in one piece; only for small ones.
    var bytes: [UInt8] { (0..<capacity).flatMap { sectors[$0] ?? Self.blank } }

    /// What a scan finds.
    func scan(_ policy: PartitionPolicy = .platter) -> PartitionScan {
        var disk = self
        return scanPartitions(&disk, policy: policy)
    }

    /// What a scan costs.
    func cost(_ policy: PartitionPolicy = .platter) -> (reads: Int, bytes: Int) {
        var disk = self
        _ = scanPartitions(&disk, policy: policy)
        return (disk.reads, disk.bytesRead)
    }
}

/// The bytes of a number, least significant first.
func little<Field: FixedWidthInteger>(_ value: Field) -> [UInt8] {
    (0..<Field.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

extension [UInt8] {
    /// Puts bytes over those at an offset.
    mutating func put(_ bytes: [UInt8], at offset: Int) {
        replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}

extension PartitionScan {
    /// Numbers, starts and sizes, for short comparisons.
    var places: [[UInt64]] { entries.map { [UInt64($0.number), $0.start, $0.size] } }

    /// Whether some warning has all of these words.
    func warns(_ words: String...) -> Bool {
        warnings.contains { line in words.allSatisfy { line.contains($0) } }
    }
}
