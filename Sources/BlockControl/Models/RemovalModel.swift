// SPDX-License-Identifier: Apache-2.0

/// What a removal asks for: `POST /v1/disks/NAME/remove`.
public struct RemovalRequest: Codable, Sendable, Equatable {
    /// One of the six modes; `safe` where it is absent.
    public var mode: String?
    /// How long flush and drain may take.
    public var timeoutSeconds: Double?
    /// Whether the answer waits for the end also in the modes that answer at once.
    public var wait: Bool?
    /// Whether to tell only what would happen.
    public var dryRun: Bool?

    enum CodingKeys: String, CodingKey {
        case mode
        case timeoutSeconds = "timeout_seconds"
        case wait
        case dryRun = "dry_run"
    }

    /// A request.
    public init(mode: String? = nil, timeoutSeconds: Double? = nil, wait: Bool? = nil, dryRun: Bool? = nil) {
        self.mode = mode
        self.timeoutSeconds = timeoutSeconds
        self.wait = wait
        self.dryRun = dryRun
    }
}

/// The report of a removal: what was in flight, what was cut, what is owed, who held it.
public struct RemovalModel: Codable, Sendable, Equatable {
    /// How it ended: `removed`, `pending`, `busy`, `failed`, `cancelled`, or `would-…` of a dry run.
    public var outcome: String
    /// The name.
    public var disk: String
    /// The sequence number.
    public var diskseq: UInt64
    /// The mode that ran.
    public var mode: String
    /// The mode that was asked for.
    public var requestedMode: String
    /// Where the disk is in its life now.
    public var state: String
    /// How long it took.
    public var durationSeconds: Double
    /// Whether the deadline passed: then something is quarantined.
    public var deadlinePassed: Bool
    /// I/O inside the driver when the gate was shut.
    public var inFlight: Int
    /// I/O that waited to get in, and was failed.
    public var parked: Int
    /// I/O that was answered with an error.
    public var failed: Int
    /// Bytes of writes that were answered with an error.
    public var failedWriteBytes: UInt64
    /// Bytes that were acknowledged but not flushed; absent where the disk declares no write cache.
    public var unflushedBytes: UInt64?
    /// What became of the flush.
    public var flush: String
    /// I/O that the driver still owes.
    public var quarantined: Int
    /// The memory that it may still touch.
    public var quarantinedBytes: UInt64
    /// Requests that the driver dropped or answered twice.
    public var driverFaults: Int
    /// Holders that did not take their answers in time.
    public var stuckSinks: Int
    /// Who held the disk.
    public var openers: [OpenerModel]
    /// What else there is to say, a line each.
    public var notes: [String]

    enum CodingKeys: String, CodingKey {
        case outcome, disk, diskseq, mode
        case requestedMode = "requested_mode"
        case state
        case durationSeconds = "duration_seconds"
        case deadlinePassed = "deadline_passed"
        case inFlight = "in_flight"
        case parked, failed
        case failedWriteBytes = "failed_write_bytes"
        case unflushedBytes = "unflushed_bytes"
        case flush, quarantined
        case quarantinedBytes = "quarantined_bytes"
        case driverFaults = "driver_faults"
        case stuckSinks = "stuck_sinks"
        case openers, notes
    }

    /// A report in which nothing happened yet.
    public init(outcome: String, disk: String, diskseq: UInt64, mode: String, requestedMode: String, state: String) {
        self.outcome = outcome
        self.disk = disk
        self.diskseq = diskseq
        self.mode = mode
        self.requestedMode = requestedMode
        self.state = state
        durationSeconds = 0
        deadlinePassed = false
        inFlight = 0
        parked = 0
        failed = 0
        failedWriteBytes = 0
        unflushedBytes = nil
        flush = "not needed"
        quarantined = 0
        quarantinedBytes = 0
        driverFaults = 0
        stuckSinks = 0
        openers = []
        notes = []
    }

    /// How a verb of the command line ends with this report.
    public var exitStatus: ExitStatus {
        switch outcome {
        case "removed": deadlinePassed ? .deadlinePassed : .done
        case "busy", "would-be-busy": .busy
        // Who waited for the end, and it was taken back, has a disk that lives.
        case "failed", "cancelled": .failed
        default: .done
        }
    }
}

/// What is still owed after a deadline: what `quarantine` prints.
public struct QuarantineList: Codable, Sendable, Equatable {
    /// One entry for each disk that owes something.
    public var quarantine: [QuarantineModel]

    /// A list.
    public init(quarantine: [QuarantineModel]) { self.quarantine = quarantine }
}

/// What one disk still owes.
public struct QuarantineModel: Codable, Sendable, Equatable {
    /// The name it had.
    public var disk: String
    /// Its sequence number: `seq:N` reaches it.
    public var diskseq: UInt64
    /// Its driver.
    public var driver: String
    /// How many I/Os are unanswered.
    public var ios: Int
    /// How much memory is kept for them.
    public var bytes: UInt64
    /// Since when, in seconds since 1970.
    public var since: Double

    /// An entry.
    public init(disk: String, diskseq: UInt64, driver: String, ios: Int, bytes: UInt64, since: Double) {
        self.disk = disk
        self.diskseq = diskseq
        self.driver = driver
        self.ios = ios
        self.bytes = bytes
        self.since = since
    }
}
