// SPDX-License-Identifier: Apache-2.0

/// The counters of a device since it was added; the names are those of the metrics page.
public struct StatisticsModel: Codable, Sendable, Equatable {
    /// The device.
    public var device: String
    /// One kind of I/O.
    public struct Kind: Codable, Sendable, Equatable {
        /// How many were answered, with errors too.
        public var completed: UInt64
        /// How many bytes they moved or covered.
        public var bytes: UInt64
        /// How long they took, added up.
        public var seconds: Double

        /// Counters.
        public init(completed: UInt64 = 0, bytes: UInt64 = 0, seconds: Double = 0) {
            self.completed = completed
            self.bytes = bytes
            self.seconds = seconds
        }
    }
    /// Reads.
    public var reads: Kind
    /// Writes, zeroes included.
    public var writes: Kind
    /// Discards.
    public var discards: Kind
    /// Flushes.
    public var flushes: Kind
    /// Flush commands that the driver was given; of a disk only.
    public var flushCommands: Kind
    /// How long there was something under way.
    public var busySeconds: Double
    /// What is under way.
    public var inFlight: UInt64

    enum CodingKeys: String, CodingKey {
        case device, reads, writes, discards, flushes
        case flushCommands = "flush_commands"
        case busySeconds = "busy_seconds"
        case inFlight = "in_flight"
    }

    /// Counters at zero.
    public init(device: String) {
        self.device = device
        reads = Kind()
        writes = Kind()
        discards = Kind()
        flushes = Kind()
        flushCommands = Kind()
        busySeconds = 0
        inFlight = 0
    }
}

/// What became of everything a disk accepted: accepted = ok + failed + aborted + quarantined + in flight.
public struct LedgerModel: Codable, Sendable, Equatable {
    /// Let in.
    public var accepted: UInt64
    /// Answered well.
    public var ok: UInt64
    /// Answered with an error.
    public var failed: UInt64
    /// Answered with an error in the driver's stead, whose own answer came later and was dropped.
    public var aborted: UInt64
    /// Answered so, too, and the driver still owes its own answer.
    public var quarantined: UInt64
    /// Not answered yet.
    public var inFlight: UInt64
    /// Of those aborted and in quarantine, those that a timeout answered.
    public var timedOut: UInt64
    /// Of those aborted and in quarantine, those that the deadline of a removal answered.
    public var expired: UInt64
    /// Answers that came after all, and were dropped.
    public var late: UInt64
    /// Never let in.
    public var refused: UInt64
    /// Requests that the driver dropped without an answer.
    public var driverFaults: UInt64

    enum CodingKeys: String, CodingKey {
        case accepted, ok, failed, aborted, quarantined
        case inFlight = "in_flight"
        case timedOut = "timed_out"
        case expired, late, refused
        case driverFaults = "driver_faults"
    }

    /// A ledger.
    public init(
        accepted: UInt64, ok: UInt64, failed: UInt64, aborted: UInt64, quarantined: UInt64, inFlight: UInt64,
        timedOut: UInt64, expired: UInt64, late: UInt64, refused: UInt64, driverFaults: UInt64
    ) {
        self.accepted = accepted
        self.ok = ok
        self.failed = failed
        self.aborted = aborted
        self.timedOut = timedOut
        self.expired = expired
        self.quarantined = quarantined
        self.late = late
        self.inFlight = inFlight
        self.refused = refused
        self.driverFaults = driverFaults
    }
}
