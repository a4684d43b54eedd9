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
    /// What is under way.
    public var inFlight: UInt64

    enum CodingKeys: String, CodingKey {
        case device, reads, writes, discards, flushes
        case inFlight = "in_flight"
    }

    /// Counters at zero.
    public init(device: String) {
        self.device = device
        reads = Kind()
        writes = Kind()
        discards = Kind()
        flushes = Kind()
        inFlight = 0
    }
}

/// What became of everything a disk accepted: accepted = ok + failed + expired + in flight.
public struct LedgerModel: Codable, Sendable, Equatable {
    /// Let in.
    public var accepted: UInt64
    /// Answered well.
    public var ok: UInt64
    /// Answered with an error.
    public var failed: UInt64
    /// Answered by the deadline of a removal, because the driver had not.
    public var expired: UInt64
    /// Of those, what the driver still owes.
    public var quarantined: UInt64
    /// Of those, answers that came after all, and were dropped.
    public var late: UInt64
    /// Not answered yet.
    public var inFlight: UInt64
    /// Never let in.
    public var refused: UInt64
    /// Requests that the driver dropped without an answer.
    public var driverFaults: UInt64

    enum CodingKeys: String, CodingKey {
        case accepted, ok, failed, expired, quarantined, late
        case inFlight = "in_flight"
        case refused
        case driverFaults = "driver_faults"
    }

    /// A ledger.
    public init(
        accepted: UInt64, ok: UInt64, failed: UInt64, expired: UInt64, quarantined: UInt64, late: UInt64,
        inFlight: UInt64, refused: UInt64, driverFaults: UInt64
    ) {
        self.accepted = accepted
        self.ok = ok
        self.failed = failed
        self.expired = expired
        self.quarantined = quarantined
        self.late = late
        self.inFlight = inFlight
        self.refused = refused
        self.driverFaults = driverFaults
    }
}
