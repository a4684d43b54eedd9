// SPDX-License-Identifier: Apache-2.0

public import CPlatter
public import Synchronization

/// How a gate's counters and its state are ordered against each other.
public enum UsageKind: Sendable, CaseIterable {
    /// Plain stores on stripes of the thread's own and a compiler fence; the closer makes every thread pass a barrier.
    case asymmetric
    /// Locked additions on shared stripes, everything sequentially consistent; for where membarrier is refused and
    /// under the thread sanitizer.
    case locked

    /// The best kind that this process can have.
    public static var best: UsageKind { StripeArena.shared.hasMembarrier ? .asymmetric : .locked }
}

/// The counters and the state word of one gate, and sixteen cells of statistics beside them; a trivial handle to memory
/// that is never unmapped.
///
/// Promises:
/// 1. `enter` that answers true happened before the close, or the closer's sums have it.
/// 2. When ``isBalanced`` is true after a close and its ``heavyFence()``, nobody is inside, and nobody gets in.
/// 3. Nothing is touched after the last access of `leave` but this memory.
///
/// The order that makes them true: the counter goes up *before* the state is read, the state is shut *before* the
/// counters are summed, and outs are summed before ins. A heavy fence stands between the two halves of one side only.
@frozen @safe public struct UsageCells: Sendable {
    // SAFETY: the memory behind is immortal and reached by atomic operations only (see StripeArena).
    @usableFromInline nonisolated(unsafe) let state: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let offset: UInt
    /// All ones where a thread may count on stripes of its own; zero where everybody shares. One "and" and one branch
    /// then answer both questions of the fast halves: may it, and has it any.
    @usableFromInline let ownMask: UInt
    @usableFromInline var isLocked: Bool {
        @inline(__always) get { ownMask == 0 }
    }

    /// Cells of a stripe.
    @usableFromInline static var entered: Int { 0 }
    @usableFromInline static var left: Int { 1 }
    /// The first of the fourteen cells that are free for statistics.
    @usableFromInline static var firstStatistic: Int { 2 }

    /// Takes an index; nil when all 65,535 are taken. The counters go on from where the last user left them.
    public init?(kind: UsageKind = .best) {
        let arena = StripeArena.shared
        guard let index = arena.takeIndex() else { return nil }
        state = arena.state(index: index)
        offset = UInt(index * StripeArena.stripeBytes)
        ownMask = kind == .locked || !arena.hasMembarrier ? 0 : .max
    }

    /// Gives the index back. Late readers of the state do no harm; late counters must not exist.
    public func giveBack() { StripeArena.shared.giveBack(index: Int(offset) / StripeArena.stripeBytes) }

    /// Indexes in use in the whole process.
    public static var inUse: Int { StripeArena.shared.indexesInUse }

    /// Which kind it is.
    public var kind: UsageKind { isLocked ? .locked : .asymmetric }

    // MARK: The two fast halves

    /// Counts `leases` in, and says whether the state was open. If not, the caller must `leave` as many.
    @inlinable @inline(__always)
    public func enter(_ leases: UInt64) -> Bool {
        let own = platter_get_stripes() & ownMask
        if own != 0 {
            let cell = unsafe Self.cells(own &+ offset) + Self.entered
            unsafe cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ leases, ordering: .relaxed)
            #if DEBUG
                UsageHooks.counted(self)
            #endif
            platter_compiler_fence()
            // Acquire: what was changed while the gate was shut is seen by those whom it lets in again.
            return unsafe state.pointee.load(ordering: .acquiring) & 3 == 0
        }
        return enterShared(leases)
    }

    /// Counts `leases` out. True: the state was open. False: the caller must ``wake()``.
    @inlinable @inline(__always)
    public func leave(_ leases: UInt64) -> Bool {
        let own = platter_get_stripes() & ownMask
        if own != 0 {
            let cell = unsafe Self.cells(own &+ offset) + Self.left
            // Release: all that was done inside is seen by the closer that sums this.
            unsafe cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ leases, ordering: .releasing)
            platter_compiler_fence()
            return unsafe state.pointee.load(ordering: .acquiring) & 3 == 0
        }
        return leaveShared(leases)
    }

    @usableFromInline
    func enterShared(_ leases: UInt64) -> Bool {
        let cell = unsafe StripeArena.shared.sharedStripe(offset: offset) + Self.entered
        if isLocked {
            unsafe cell.pointee.wrappingAdd(leases, ordering: .sequentiallyConsistent)
            #if DEBUG
                UsageHooks.counted(self)
            #endif
            return unsafe state.pointee.load(ordering: .sequentiallyConsistent) & 3 == 0
        }
        unsafe cell.pointee.wrappingAdd(leases, ordering: .relaxed)
        #if DEBUG
            UsageHooks.counted(self)
        #endif
        platter_compiler_fence()
        return unsafe state.pointee.load(ordering: .acquiring) & 3 == 0
    }

    @usableFromInline
    func leaveShared(_ leases: UInt64) -> Bool {
        let cell = unsafe StripeArena.shared.sharedStripe(offset: offset) + Self.left
        if isLocked {
            unsafe cell.pointee.wrappingAdd(leases, ordering: .sequentiallyConsistent)
            return unsafe state.pointee.load(ordering: .sequentiallyConsistent) & 3 == 0
        }
        unsafe cell.pointee.wrappingAdd(leases, ordering: .releasing)
        platter_compiler_fence()
        return unsafe state.pointee.load(ordering: .acquiring) & 3 == 0
    }

    /// Marks a word of the caller's own before the state is looked at: the same half of the same handshake, for a
    /// claim that the deadline's side may contest. True: the state was open.
    @inlinable @inline(__always)
    public func announce(_ word: borrowing Atomic<UInt32>) -> Bool {
        if isLocked {
            word.store(1, ordering: .sequentiallyConsistent)
            return unsafe state.pointee.load(ordering: .sequentiallyConsistent) & 3 == 0
        }
        word.store(1, ordering: .relaxed)
        platter_compiler_fence()
        return unsafe state.pointee.load(ordering: .acquiring) & 3 == 0
    }

    // MARK: The slow half

    /// The state word: the low two bits are zero while it is open, the rest is the owner's.
    @inlinable public var stateWord: UInt64 { unsafe state.pointee.load(ordering: .sequentiallyConsistent) }

    /// Sets the state word. Only under the owner's lock.
    public func setState(_ word: UInt64) { unsafe state.pointee.store(word, ordering: .sequentiallyConsistent) }

    /// The closer's barrier, between setting the state and summing. Each drainer issues its own.
    public func heavyFence() {
        if !isLocked { _ = platter_membarrier(Int32(PLATTER_MEMBARRIER_EXPEDITED)) }
    }

    /// Whether as many leases came back as were given out. Exact once the state is shut and fenced.
    public var isBalanced: Bool { outstanding == 0 }

    /// Leases that were given out and did not come back: never too few once the state is shut and fenced, and exact when
    /// nothing moves.
    public var outstanding: UInt64 {
        let arena = StripeArena.shared
        let outs = arena.sum(offset: offset, cell: Self.left, sequentially: isLocked)
        let ins = arena.sum(offset: offset, cell: Self.entered, sequentially: isLocked)
        return ins &- outs
    }

    /// Wakes the thread that waits for drains. Touches nothing but the immortal wake word.
    public func wake() { WakeWord.bump() }

    // MARK: Busy time

    /// Nanoseconds of one step of the busy time, as a power of two: about a millisecond.
    @usableFromInline static var busyShift: UInt64 { 20 }

    /// Whether the clock has made a step since the busy time moved last. Beside the state word, which is read anyway.
    @inlinable @inline(__always)
    public func isBehind(_ nanoseconds: UInt64) -> Bool {
        unsafe (state + 1).pointee.load(ordering: .relaxed) < nanoseconds &>> Self.busyShift
    }

    /// Moves the busy time on to now; what has passed since it moved last counts as busy if it was. Of several who move it
    /// one does, so no moment counts twice.
    public func moveBusy(to nanoseconds: UInt64, wasBusy: @autoclosure () -> Bool) {
        let now = nanoseconds >> Self.busyShift
        let last = unsafe (state + 1).pointee.load(ordering: .relaxed)
        guard now > last,
            unsafe (state + 1).pointee.compareExchange(
                expected: last, desired: now, ordering: .relaxed
            ).exchanged, wasBusy()
        else { return }
        unsafe (state + 2).pointee.wrappingAdd(now &- last, ordering: .relaxed)
    }

    /// Nanoseconds that were busy, whoever had these cells.
    public var busyNanoseconds: UInt64 { unsafe (state + 2).pointee.load(ordering: .relaxed) << Self.busyShift }

    // MARK: Statistics

    /// Adds to one of fourteen cells; on a thread with stripes of its own without a locked instruction.
    @inlinable @inline(__always)
    public func add(_ amount: UInt64, to statistic: Int) {
        let own = platter_get_stripes() & ownMask
        if own != 0 {
            let cell = unsafe Self.cells(own &+ offset) + (Self.firstStatistic + statistic)
            unsafe cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
        } else {
            addShared(amount, to: statistic)
        }
    }

    /// Adds 1 to a cell and `amount` to the next: a count and what was counted.
    @inlinable @inline(__always)
    public func count(_ amount: UInt64, at statistic: Int) {
        let own = platter_get_stripes() & ownMask
        if own != 0 {
            let cell = unsafe Self.cells(own &+ offset) + (Self.firstStatistic + statistic)
            unsafe cell[0].store(cell[0].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
            unsafe cell[1].store(cell[1].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
        } else {
            addShared(1, to: statistic)
            addShared(amount, to: statistic + 1)
        }
    }

    @usableFromInline
    func addShared(_ amount: UInt64, to statistic: Int) {
        let cell = unsafe StripeArena.shared.sharedStripe(offset: offset) + (Self.firstStatistic + statistic)
        unsafe cell.pointee.wrappingAdd(amount, ordering: .relaxed)
    }

    /// The sum of a cell over all threads.
    public func total(of statistic: Int) -> UInt64 {
        StripeArena.shared.sum(offset: offset, cell: Self.firstStatistic + statistic, sequentially: false)
    }

    @inlinable @inline(__always)
    static func cells(_ address: UInt) -> UnsafeMutablePointer<Atomic<UInt64>> {
        // The chunk of a registered thread is never zero; checked by the caller.
        unsafe UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address).unsafelyUnwrapped
    }
}

/// The immortal word on which the thread that waits for drains sleeps.
public enum WakeWord {
    /// Its value, to be read before looking at what one waits for.
    public static var value: UInt32 { StripeArena.shared.wakeWord.pointee.load(ordering: .acquiring) }

    /// Changes it and wakes the sleeper. Pairs with ``value``.
    public static func bump() {
        let word = StripeArena.shared.wakeWord
        word.pointee.wrappingAdd(1, ordering: .releasing)
        futexWake(word)
    }

    /// Sleeps until it is no longer `value` or the deadline has passed; may return early.
    public static func wait(while value: UInt32, until deadline: Instant) {
        futexWait(StripeArena.shared.wakeWord, whileEqual: value, until: deadline)
    }
}

#if DEBUG
    /// Where a test stops a thread in the gap between counting itself in and looking at the state. Debug builds only.
    public enum UsageHooks {
        private static let isSet = Atomic<Bool>(false)
        // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
        private struct Body {
            var run: (@Sendable (UsageCells) -> Void)?
        }
        private static let body = Lock(Body())

        /// Sets what is called with the gate's cells after each count; nil: nothing.
        public static func set(_ hook: (@Sendable (UsageCells) -> Void)?) {
            body.withLock { $0.run = hook }
            isSet.store(hook != nil, ordering: .releasing)
        }

        @usableFromInline static func counted(_ cells: UsageCells) {
            if isSet.load(ordering: .acquiring) { body.withLock { $0.run }?(cells) }
        }
    }

    extension UsageCells {
        /// Whether two handles mean the same gate.
        public func isSame(as other: UsageCells) -> Bool { offset == other.offset }
    }
#endif
