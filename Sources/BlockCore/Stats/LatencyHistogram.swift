// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// How long one kind of I/O took, from the moment the disk let it in to its answer.
///
/// What a driver answers inside one batch of submissions shares the time of the batch in equal parts, as the clock is
/// read once for all of them.
public struct LatencyHistogram: Sendable, Equatable {
    /// What was asked.
    public enum Operation: String, Sendable, CaseIterable, Codable {
        case read, write, discard, flush
    }

    /// How many took how long: bucket by bucket, as ``LatencyCells`` has them.
    let counts: [UInt64]
    /// The longest, in nanoseconds.
    public let longest: UInt64
    /// How many there are.
    public let count: UInt64

    package init(counts: [UInt64], longest: UInt64) {
        self.counts = counts
        self.longest = longest
        count = counts.reduce(0, &+)
    }

    /// Nanoseconds within which `part` (0...1) of them were answered: within its bucket by proportion, so at most a
    /// quarter off; never more than the longest. nil: there are none.
    public func percentile(_ part: Double) -> UInt64? {
        guard count > 0 else { return nil }
        let rank = max(1, UInt64((Double(count) * part).rounded(.up)))
        var before: UInt64 = 0
        for (bucket, here) in counts.enumerated() where here > 0 {
            guard before + here < rank else {
                let low = LatencyCells.lowerBound(of: bucket)
                let width = LatencyCells.lowerBound(of: bucket + 1) - low
                let share = Double(rank - before) / Double(here)
                return min(low + UInt64(Double(width) * share), longest)
            }
            before += here
        }
        return longest
    }

    /// The buckets with their upper ends in nanoseconds (exclusive), from the first to the last that is not empty.
    public var buckets: [(below: UInt64, count: UInt64)] {
        guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 }) else {
            return []
        }
        return (first...last).map { (below: LatencyCells.lowerBound(of: $0 + 1), count: counts[$0]) }
    }
}

extension Disk {
    /// How long its I/O took, by operation; write zeroes are writes. Of the disk with all its partitions, since its add.
    /// - Context: any thread; does not block.
    public func latencies(of operation: LatencyHistogram.Operation) -> LatencyHistogram {
        let group =
            switch operation {
            case .read: 0
            case .write: 1
            case .discard: 2
            case .flush: 3
            }
        let (counts, longest) = latency.totals(group: group)
        return LatencyHistogram(counts: counts, longest: longest)
    }

    /// How many I/Os were answered with which error, since the add; those with none are not in it.
    public var errorCounts: [BlockStatus: UInt64] {
        var counts: [BlockStatus: UInt64] = [:]
        for status in BlockStatus.allCases {
            let count = accounts.count(status)
            if count > 0 { counts[status] = count }
        }
        return counts
    }
}
