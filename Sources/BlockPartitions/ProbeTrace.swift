// SPDX-License-Identifier: Apache-2.0

/// What one format had to say about a disk.
public struct ProbeTrace: Sendable, Equatable {
    /// How the question ended.
    public enum Outcome: String, Sendable {
        /// The disk is this format's, even if it holds no partition.
        case claimed
        /// It is not.
        case no
        /// A sector that decides it cannot be read, or its table is broken.
        case error
    }

    /// The format that was asked.
    public var format: PartitionTableKind

    /// Whether it claimed the disk.
    public var outcome: Outcome

    /// Why it said no; of a claim, what it found.
    public var reason: String

    /// The sectors it looked at, in that order; neighbours are joined. At most 64 ranges are kept.
    public var sectors: [Range<UInt64>]
}

/// The sectors that a probe looks at, joined where they touch.
struct SectorTrail {
    private(set) var ranges: [Range<UInt64>] = []
    private static let limit = 64

    mutating func add(_ sector: UInt64, _ count: UInt64) {
        let end = sector &+ count
        guard end > sector else { return }
        if let last = ranges.last, sector >= last.lowerBound, sector <= last.upperBound {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, end)
        } else if ranges.count < Self.limit, !ranges.contains(where: { $0.contains(sector) && end <= $0.upperBound }) {
            ranges.append(sector..<end)
        }
    }

    mutating func take() -> [Range<UInt64>] {
        defer { ranges = [] }
        return ranges
    }
}
