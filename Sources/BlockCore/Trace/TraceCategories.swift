// SPDX-License-Identifier: Apache-2.0

/// What a step of an I/O belongs to, as Linux's `blktrace_api.h` numbers it: each record has several of them.
public struct TraceCategories: OptionSet, Sendable, Hashable {
    /// The bits.
    public let rawValue: UInt16
    /// From bits.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The I/O reads.
    public static let read = TraceCategories(rawValue: 1)
    /// The I/O writes.
    public static let write = TraceCategories(rawValue: 1 << 1)
    /// It is a flush, or has one before it.
    public static let flush = TraceCategories(rawValue: 1 << 2)
    /// It was submitted, or moved on before the driver has it.
    public static let queue = TraceCategories(rawValue: 1 << 4)
    /// The driver gave it back to be tried again.
    public static let requeue = TraceCategories(rawValue: 1 << 5)
    /// The driver gets it.
    public static let issue = TraceCategories(rawValue: 1 << 6)
    /// It was answered.
    public static let complete = TraceCategories(rawValue: 1 << 7)
    /// Not of an I/O: who a process is, what time it is, what was lost.
    public static let notify = TraceCategories(rawValue: 1 << 10)
    /// The I/O discards.
    public static let discard = TraceCategories(rawValue: 1 << 13)
    /// Durable when it is answered.
    public static let fua = TraceCategories(rawValue: 1 << 15)

    /// All of them, those that Linux has and Platter never sets included.
    public static let all = TraceCategories(rawValue: .max)

    /// The names that `blktrace --act-mask` takes, of those that occur here.
    public static let names: [(name: String, value: TraceCategories)] = [
        ("read", .read), ("write", .write), ("flush", .flush), ("queue", .queue), ("requeue", .requeue),
        ("issue", .issue), ("complete", .complete), ("notify", .notify), ("discard", .discard), ("fua", .fua),
    ]

    /// The category of a name.
    public init?(name: String) {
        guard let known = Self.names.first(where: { $0.name == name }) else { return nil }
        self = known.value
    }

    /// What an I/O is, whatever happens to it. A flush is none of the two directions' writes, as in Linux.
    init(_ operation: BioOperation, _ flags: BioFlags) {
        self = operation.isWrite ? .write : .read
        if operation == .flush || flags.contains(.preflush) { insert(.flush) }
        if operation == .discard { insert(.discard) }
        if flags.contains(.fua) { insert(.fua) }
    }
}

/// What happens to an I/O, as Linux's `blktrace_api.h` numbers it; the letter is the one that `blkparse` prints.
enum TraceAction: UInt32 {
    /// `Q`: submitted.
    case queued = 1
    /// `G`: it has all it needs of the disk's.
    case gotRequest = 4
    /// `S`: it waits for one of the driver's tags.
    case sleepsForRequest = 5
    /// `R`: the driver gave it back.
    case requeued = 6
    /// `D`: the driver gets it.
    case issued = 7
    /// `C`: answered.
    case completed = 8
    /// `X`: cut, because it is more than one request may be.
    case split = 13
    /// `A`: it came from another device: a partition, or a disk that stands on this one.
    case remapped = 15

    var categories: TraceCategories {
        switch self {
        case .queued, .gotRequest, .sleepsForRequest, .remapped: .queue
        case .requeued: .requeue
        case .issued: .issue
        case .completed: .complete
        // Linux gives it none but the direction's.
        case .split: []
        }
    }
}
