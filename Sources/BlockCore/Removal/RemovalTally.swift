// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The removals of a registry's life that ran in one mode: how many, and how long they took.
public struct RemovalTally: Sendable, Equatable {
    /// The mode that ran.
    public let mode: RemovalMode
    /// How many have ended.
    public internal(set) var count: UInt64 = 0
    /// Of those, how many their deadline ended.
    public internal(set) var expired: UInt64 = 0
    /// I/Os that were answered with an error because of them.
    public internal(set) var failed: UInt64 = 0
    /// How long they took together, from the request to the end.
    public internal(set) var nanoseconds: UInt64 = 0
    /// How many took no longer than each of ``bounds``.
    public internal(set) var within: [UInt64]

    /// Nanoseconds, ascending.
    public static let bounds: [UInt64] =
        [1, 5, 10, 50, 100, 500, 1000, 5000, 10_000, 30_000].map { $0 * 1_000_000 }

    init(_ mode: RemovalMode) {
        self.mode = mode
        within = Array(repeating: 0, count: Self.bounds.count)
    }

    mutating func add(_ report: RemovalReport) {
        count += 1
        if report.deadlinePassed { expired += 1 }
        failed += UInt64(clamping: report.failed)
        nanoseconds &+= report.durationNanoseconds
        for (index, bound) in Self.bounds.enumerated() where report.durationNanoseconds <= bound { within[index] += 1 }
    }
}

/// The tallies of all modes.
final class RemovalTallies: Sendable {
    private let tallies = Lock(RemovalMode.allCases.map { RemovalTally($0) })

    func add(_ report: RemovalReport) { tallies.withLock { $0[report.mode.rank].add(report) } }
    var all: [RemovalTally] { tallies.withLock { $0 } }
}

extension DiskRegistry {
    /// The removals that have ended, by the mode that ran; those of disks that died by themselves are surprises.
    /// - Context: any thread; does not block.
    public var removalTallies: [RemovalTally] { removals.all }
}
