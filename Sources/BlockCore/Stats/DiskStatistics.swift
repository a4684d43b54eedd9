// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The counters of a disk or a partition at some moment, in the terms of Linux's `/proc/diskstats`.
public struct DiskStatistics: Sendable, Codable, Equatable {
    /// One kind of operation.
    public struct Group: Sendable, Codable, Equatable {
        /// Completed, failed ones included.
        public var completed: UInt64 = 0
        /// 512-byte sectors.
        public var sectors: UInt64 = 0
        /// Time spent, summed over all, overlapping ones each in full.
        public var nanoseconds: UInt64 = 0
    }

    /// Reads.
    public var reads = Group()
    /// Writes and write zeroes.
    public var writes = Group()
    /// Discards.
    public var discards = Group()
    /// Flushes, as they were asked for.
    public var flushes = Group()
    /// Flush commands that the driver was given: one for several that come together, one more after a write that must be
    /// durable. None for a partition: a flush is of the whole disk.
    public var flushCommands = Group()
    /// How long there was something under way, in steps of about a millisecond; never more than has passed.
    public var busyNanoseconds: UInt64 = 0
    /// Reads that were accepted.
    public var startedReads: UInt64 = 0
    /// Everything else that was accepted.
    public var startedOthers: UInt64 = 0

    /// Reads under way; never negative.
    public var readsInFlight: UInt64 {
        startedReads > reads.completed ? startedReads - reads.completed : 0
    }
    /// Everything else under way; never negative.
    public var writesInFlight: UInt64 {
        let done = writes.completed + discards.completed + flushes.completed
        return startedOthers > done ? startedOthers - done : 0
    }
    /// What is under way.
    public var inFlight: UInt64 { readsInFlight + writesInFlight }

    static let startedReads = 12
    /// One after the reads: a submission finds its cell without a branch.
    static let startedOthers = 13

    @inline(__always)
    static func group(of operation: BioOperation) -> Int {
        // Of read, write, flush, discard, write zeroes, from the right: a jump through a table would cost more.
        0x1_2_3_1_0 &>> (Int(operation.rawValue) &* 4) & 0xf
    }

    /// What the cells say now, less `baseline`: an index that had another owner does not start at zero.
    init(_ cells: UsageCells, baseline: [UInt64]) {
        func value(_ cell: Int) -> UInt64 { cells.total(of: cell) &- baseline[cell] }
        // Completed before started: what is seen completed is seen started.
        reads = Group(completed: value(0), sectors: value(1), nanoseconds: value(2))
        writes = Group(completed: value(3), sectors: value(4), nanoseconds: value(5))
        discards = Group(completed: value(6), sectors: value(7), nanoseconds: value(8))
        flushes = Group(completed: value(9), sectors: value(10), nanoseconds: value(11))
        startedReads = value(Self.startedReads)
        startedOthers = value(Self.startedOthers)
    }

    /// Whether anything is under way, by the fewest sums.
    static func isBusy(_ cells: UsageCells, baseline: [UInt64]) -> Bool {
        // Completed before started, as above.
        var completed: UInt64 = 0
        for cell in [0, 3, 6, 9] { completed &+= cells.total(of: cell) &- baseline[cell] }
        let started = (startedReads...startedOthers).reduce(UInt64(0)) {
            $0 &+ cells.total(of: $1) &- baseline[$1]
        }
        return started > completed
    }

    init() {}

    /// Nothing has happened yet.
    public static let none = DiskStatistics()

    static func baseline(of cells: UsageCells) -> [UInt64] { (0..<14).map { cells.total(of: $0) } }
}

/// What became of everything a disk accepted: `accepted = ok + failed + aborted + quarantined + inFlight`; at the end of
/// its life with nothing in flight, and nothing in quarantine.
public struct Ledger: Sendable, Codable, Equatable {
    /// Let in through the gate.
    public var accepted: UInt64
    /// Answered by the driver, well.
    public var ok: UInt64
    /// Answered by the driver (or for it, when it dropped the request) with an error.
    public var failed: UInt64
    /// Answered with an error in the driver's stead, by a timeout or by the deadline of a removal; the driver's own answer
    /// came later, and was dropped.
    public var aborted: UInt64
    /// Answered so, too, and the driver still owes its own answer.
    public var quarantined: UInt64
    /// Not answered yet.
    public var inFlight: UInt64
    /// Of those aborted and in quarantine, those that a timeout answered.
    public var timedOut: UInt64
    /// Of those aborted and in quarantine, those that the deadline of a removal answered.
    public var expired: UInt64
    /// Answers of the driver that came after all, and were dropped: as many as were aborted.
    public var late: UInt64
    /// Never let in: refused because the disk was gone, or parked when it died.
    public var refused: UInt64
    /// Requests that the driver dropped without an answer.
    public var driverFaults: UInt64
}
