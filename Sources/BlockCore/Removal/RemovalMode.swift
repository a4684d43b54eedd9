// SPDX-License-Identifier: Apache-2.0

/// How a disk is to go, from the politest to the rudest.
public enum RemovalMode: String, Sendable, Codable, CaseIterable, Comparable {
    /// Only if nobody has it open; flushed.
    case safe
    /// When the last opener closes; new openers are let in meanwhile; flushed.
    case deferred
    /// When the last opener closes; new openers are refused; flushed.
    case hide
    /// As hide, and the openers are asked to leave.
    case soft
    /// Openers are cut once the flush is done or the deadline has passed.
    case hard
    /// Openers are cut now; nothing is flushed.
    case surprise

    /// Its place in the order in which a stronger removal takes over a weaker one.
    public var rank: Int {
        switch self {
        case .safe: 0
        case .deferred: 1
        case .hide: 2
        case .soft: 3
        case .hard: 4
        case .surprise: 5
        }
    }

    /// Whether it waits for openers to leave, and so answers at once.
    public var leavesToOpeners: Bool { self == .deferred || self == .hide || self == .soft }

    /// The deadline that holds where none is given.
    public var defaultDeadline: Duration { self == .surprise ? .seconds(1) : .seconds(30) }

    /// How long the flush may take of the whole time. The rest is for the driver's answers after the cut: one that lives,
    /// and only does not answer the flush, owes nothing in the end.
    package static func flushShare(of timeout: Duration) -> Duration { timeout - min(timeout / 10, .seconds(1)) }

    /// Whether one is weaker than another.
    public static func < (left: RemovalMode, right: RemovalMode) -> Bool { left.rank < right.rank }
}

/// Who has a disk or a partition open.
public struct OpenerIdentity: Sendable, Codable, Equatable {
    /// What kind of opener: `nbd`, `scan`, `api`.
    public var kind: String
    /// The process, where it is known.
    public var process: Int32?
    /// Its user.
    public var user: UInt32?
    /// Its program.
    public var program: String?
    /// Where it is connected from.
    public var address: String?

    /// An identity.
    public init(
        kind: String, process: Int32? = nil, user: UInt32? = nil, program: String? = nil, address: String? = nil
    ) {
        self.kind = kind
        self.process = process
        self.user = user
        self.program = program
        self.address = address
    }
}

/// One open handle, as listings and reports show it.
public struct OpenerRecord: Sendable, Codable, Equatable {
    /// The disk or partition it was opened through.
    public var device: String
    /// `r`, `w` or `rw`, with an `x` for a claim.
    public var mode: String
    /// Who it is.
    public var identity: OpenerIdentity
    /// Seconds since 1970.
    public var since: Double
    /// I/Os that it had under way when this was written down.
    public var inFlight: Int
    /// Who claims it through this handle: the disk that stands on it, for example.
    public var holder: String?

    /// In a few words of a line: `fuse bash[277]`.
    var who: String {
        let process = identity.process.map { "[\($0)]" } ?? ""
        let words = [identity.kind, (identity.program ?? "") + process, holder ?? ""].filter { !$0.isEmpty }
        return words.joined(separator: " ")
    }
}

/// What a removal did, truthfully (R9).
public struct RemovalReport: Sendable, Codable, Equatable {
    /// What became of the flush.
    public enum Flush: String, Sendable, Codable {
        /// Nothing is cached, or nobody had written.
        case notNeeded = "not needed"
        /// Done: everything acknowledged is durable.
        case done
        /// The device failed it.
        case failed
        /// The deadline passed before it answered, or a stronger removal took over.
        case abandoned
        /// The mode does not flush.
        case skipped
    }
    /// The name.
    public var disk = ""
    /// The DISKSEQ.
    public var sequence: UInt64 = 0
    /// What ran.
    public var mode = RemovalMode.safe
    /// The state in the end.
    public var state = ""
    /// I/Os that the driver had when the gate was shut.
    public var inFlight = 0
    /// I/Os that were parked at the frozen gate, or waiting for a worker; they were failed at once.
    public var parked = 0
    /// I/Os that were answered with an error because of the removal.
    public var failed = 0
    /// I/Os that the driver still owed at the deadline.
    public var quarantined = 0
    /// Bytes of memory that the driver may still touch.
    public var quarantinedBytes = 0
    /// Who had it open when it was cut or refused.
    public var openers: [OpenerRecord] = []
    /// Bytes of writes that were answered with an error, over the disk's whole life.
    public var failedWriteBytes: UInt64 = 0
    /// Bytes that were acknowledged and not flushed; nil where the disk declares no write cache.
    public var unflushedBytes: UInt64?
    /// What became of the flush.
    public var flush = Flush.notNeeded
    /// From the request to the end.
    public var durationNanoseconds: UInt64 = 0
    /// Whether the deadline passed: then something is quarantined or the driver's stop has not returned.
    public var deadlinePassed = false
    /// Requests that the driver dropped, over the disk's whole life.
    public var driverFaults = 0
    /// Answers that were on their way to a submitter that did not take them by the deadline.
    public var stuckSinks = 0
    /// Anything else worth a line.
    public var notes: [String] = []

    init() {}
}

/// How a request to remove a disk ended.
public enum RemovalOutcome: Sendable {
    /// It is gone. `deadlinePassed` in the report: not without something left in quarantine.
    case removed(RemovalReport)
    /// It goes when its openers leave.
    case pending(RemovalReport)
    /// Somebody has it open.
    case busy(RemovalReport)
    /// The flush failed; the disk lives.
    case failed(RemovalReport)
    /// It was not published yet; its add was cancelled.
    case neverPublished
    /// A cancel took the removal back.
    case cancelled
    /// No such disk.
    case noSuchDisk
}

extension RemovalOutcome: CustomStringConvertible {
    /// One line for people; the report has the rest.
    public var description: String {
        switch self {
        case .removed(let report):
            "\(report.disk) is removed (\(report.mode.rawValue)): \(report.failed) I/Os failed, "
                + "\(report.quarantined) in quarantine, flush \(report.flush.rawValue)"
        case .pending(let report): "\(report.disk) goes when its openers have left"
        case .busy(let report): "\(report.disk) is in use by \(report.openers.count) openers, and stays"
        case .failed(let report): "\(report.disk) could not be flushed, and stays"
        case .neverPublished: "the add was cancelled"
        case .cancelled: "the removal was taken back"
        case .noSuchDisk: "there is no such disk"
        }
    }
}
