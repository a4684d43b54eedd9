// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// The place of one I/O in its opener's slab: what a ``Bio`` points to.
///
/// Two words decide who answers it, and they are two on purpose: with one, a submitter that takes the slot again
/// could be answered by the deadline of its last life.
/// - `mine` goes up when the driver's side begins to answer, before it looks at the gate.
/// - `owner` is contested only when the gate is shut: driver's side and deadline's side each try to take it, one wins.
struct BioSlot: ~Copyable {
    /// Where the slot is in its life; written by the submitter and by the answer, read by the deadline's walk.
    enum Phase: UInt32 {
        /// In the free list.
        case free = 0
        /// Taken and filled in; may be parked. Not counted at the gate.
        case filled = 1
        /// On its way through the gate: either `entered` or back to `filled` within a few instructions.
        case entering = 2
        /// Counted, and the driver's; anything but a read.
        case entered = 3
        /// The same, a read.
        case enteredRead = 7

        /// Whether a value is one of the last two.
        static func isInside(_ value: UInt32) -> Bool { value & 3 == entered.rawValue }
    }
    enum Owner: UInt32 {
        case nobody = 0, driver = 1, deadline = 2
        /// The deadline has won and still reads the slot: a late answer waits those few instructions before it gives
        /// the slot back.
        case claiming = 3
        /// A look at a request that is out for too long: taken for a few instructions, and given back or kept.
        case timing = 4
    }

    /// Keeps the atomic words off the slot's own address: that is where the thread sanitizer notes a change of any other
    /// field, and would take an atomic word there for part of it.
    private let head: UInt64 = 0
    let mine = Atomic<UInt32>(0)
    let owner = Atomic<UInt32>(0)
    let phase = Atomic<UInt32>(0)
    /// Tells the lives of the slot apart, so that a token that was used up is recognised.
    let generation = Atomic<UInt32>(0)
    private let todoBits = Atomic<UInt16>(0)
    var operation: BioOperation = .read
    var flags: BioFlags = []
    /// Whether a worker runs the driver's submit, and gives the submit lease back after it.
    var isForWorker = false

    /// The next in whatever list the slot is in; 0: the last.
    var next: UInt = 0
    /// What keeps it alive: the disk's table of openers, until the opener is closed and every slot is back.
    var core: Unretained<OpenerCore>?
    /// Absolute on the disk.
    var sector: UInt64 = 0
    var sectorCount: UInt64 = 0
    var token: UInt64 = 0
    /// Nanoseconds; when the statistics saw it start.
    var start: UInt64 = 0
    /// For a flush: the sectors written when it was submitted.
    var flushMark: UInt64 = 0
    /// What the driver reads and fills.
    var memory = IOMemory.none
    /// The submitter's memory, where the driver got a copy.
    var bounced = IOMemory.none
    var buffer: IOBuffer?
    /// When the driver got it, on a disk that has a timeout; 0: the driver does not have it. Never the same twice.
    let dispatched = Atomic<UInt64>(0)
    /// The last value of ``dispatched``.
    var lastDispatched: UInt64 = 0
    /// What was asked, while the fields above say what its present step is; only with ``Todo/planned``.
    var whole = WholeRequest()

    /// Empty for most: then an answer is delivered without another look. One thread at a time changes it; the deadline's
    /// side may look at it meanwhile.
    var todo: Todo {
        @inline(__always) get { Todo(rawValue: todoBits.load(ordering: .relaxed)) }
        @inline(__always) nonmutating set { todoBits.store(newValue.rawValue, ordering: .relaxed) }
    }

    var byteCount: Int { operation.hasData ? memory.count : 0 }
}

/// Slots in a row, linked through themselves. Belongs to whoever has the value; copies are not to be used.
struct SlotList: Sendable {
    private(set) var head: UInt = 0
    private var tail: UInt = 0
    private(set) var count = 0

    init() {}

    var isEmpty: Bool { head == 0 }

    mutating func append(_ slot: Stable<BioSlot>) {
        slot.element.next = 0
        if let last = Stable<BioSlot>(bits: tail) { last.element.next = slot.bits } else { head = slot.bits }
        tail = slot.bits
        count += 1
    }

    mutating func popFirst() -> Stable<BioSlot>? {
        guard let first = Stable<BioSlot>(bits: head) else { return nil }
        head = first.element.next
        if head == 0 { tail = 0 }
        count -= 1
        return first
    }

    mutating func takeAll() -> SlotList {
        defer { self = SlotList() }
        return self
    }
}
