// SPDX-License-Identifier: Apache-2.0

public import BlockSystem
internal import Synchronization

/// What a bio asks, copied out of it: for the time that the bio itself is parked in a ``BioTable``.
public struct BioWork: Sendable {
    /// What is asked.
    public let operation: BioOperation
    /// How it is to be done.
    public let flags: BioFlags
    /// The sectors it is about, of the disk.
    public let range: SectorRange
    /// The memory to fill or to take from; valid until the bio is answered.
    public let memory: IOMemory

    init(_ bio: borrowing Bio) {
        operation = bio.operation
        flags = bio.flags
        range = bio.range
        memory = bio.memory
    }
}

/// Parks bios while their parts are done elsewhere: what a driver keeps its parents in that hands their I/O on to other
/// devices. Bounded, and without an allocation per bio: what finds it full waits in line.
///
/// A parent is answered once all its parts are, with the first error among them. It keeps a lease of its disk, so the
/// driver and everything that the parts need are there until then.
public final class BioTable: Sendable {
    private struct Entry: ~Copyable {
        var token: UInt64 = 0
        let parts = Atomic<Int>(0)
        let status = Atomic<UInt8>(0)
    }
    private struct State: ~Copyable {
        var free: [Int]
        var waiting = BioQueue()
    }

    /// How many bios it parks at a time.
    public let capacity: Int
    private let entries: Stable<Entry>
    private let state: Lock<State>
    private static let pool = StablePool<Entry>()

    /// An empty table for so many bios.
    public init(capacity: Int) {
        self.capacity = capacity
        entries = Self.pool.take(capacity) { _ in Entry() }
        state = Lock(State(free: Array((0..<capacity).reversed())))
    }

    deinit { Self.pool.giveBack(entries, count: capacity) }

    /// Seats in use.
    public var inUse: Int { state.withLock { capacity - $0.free.count } }
    /// Bios in line.
    public var waiting: Int { state.withLock { $0.waiting.count } }

    /// Parks a bio and has it begun, now or when a seat is free.
    ///
    /// - Parameter begin: adds the parts of the bio, each with ``addPart(_:)`` before it is submitted; every one must be
    ///   answered with ``answerPart(_:_:begin:)``. Called without any lock held.
    public func run(_ bio: consuming Bio, begin: (Int, BioWork) -> Void) {
        var bio: Bio? = consume bio
        let seat = state.withLock { state -> Int? in
            if let seat = state.free.popLast() { return seat }
            if let bio = bio.take() { state.waiting.append(bio) }
            return nil
        }
        guard let seat else { return }
        while let one = bio.take() { bio = start(one, seat, begin) }
    }

    /// Returns the next in line, if this one is answered already.
    private func start(_ bio: consuming Bio, _ seat: Int, _ begin: (Int, BioWork) -> Void) -> Bio? {
        let work = BioWork(bio)
        let entry = entries.advanced(by: seat)
        entry.element.token = bio.intoToken()
        entry.element.status.store(BlockStatus.ok.rawValue, ordering: .relaxed)
        // One for the beginning itself, so that a part which is answered at once is not the last.
        entry.element.parts.store(1, ordering: .releasing)
        begin(seat, work)
        return settle(seat, .ok)
    }

    /// One more part belongs to the bio on this seat.
    public func addPart(_ seat: Int) {
        entries.advanced(by: seat).element.parts.wrappingAdd(1, ordering: .relaxed)
    }

    /// A part is answered; with the last one, so is the bio, and the next in line begins.
    public func answerPart(_ seat: Int, _ status: BlockStatus, begin: (Int, BioWork) -> Void) {
        // A loop: each of those in line may be answered at once, and the line may be long.
        var next = settle(seat, status)
        while let one = next.take() { next = start(one, seat, begin) }
    }

    private func settle(_ seat: Int, _ status: BlockStatus) -> Bio? {
        let entry = entries.advanced(by: seat)
        if status != .ok {
            _ = entry.element.status.compareExchange(
                expected: BlockStatus.ok.rawValue, desired: status.rawValue, ordering: .relaxed)
        }
        guard entry.element.parts.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue == 1 else {
            return nil
        }
        let token = entry.element.token
        let answer = BlockStatus(rawValue: entry.element.status.load(ordering: .relaxed)) ?? .ioError
        let next = state.withLock { state -> Bio? in
            let next = state.waiting.popFirst()
            if next == nil { state.free.append(seat) }
            return next
        }
        // With the answer the disk may go, and this table with it, unless there is a next one: that has a lease, too.
        if let bio = Bio.fromToken(token) { bio.complete(answer) }
        return next
    }

    /// Answers what is in line; what is parked is answered by its parts.
    public func failWaiting(_ status: BlockStatus) {
        var waiting = state.withLock { $0.waiting.takeAll() }
        while let bio = waiting.popFirst() { bio.complete(status) }
    }
}
