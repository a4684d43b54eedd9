// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

/// State behind a lock. A leaf: no lock is taken, nothing waits and no foreign code runs inside `withLock`
/// unless the lock order of ARCHITECTURE.md says so.
public final class Lock<State: ~Copyable>: @unchecked Sendable {
    // SAFETY: `state` is reached under the mutex only. A mutex of the C library, because the thread sanitizer sees it.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let state: UnsafeMutablePointer<State>

    /// A lock around `state`.
    public init(_ state: consuming State) {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        self.state = .allocate(capacity: 1)
        self.state.initialize(to: state)
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with the state, alone.
    @discardableResult
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state.pointee)
    }
}

/// A number that any thread may add to; relaxed: it orders nothing.
public final class Counter: Sendable {
    private let cell = Atomic<Int>(0)

    /// A counter at zero.
    public init() {}

    /// Adds, and returns the new value.
    @discardableResult
    public func add(_ amount: Int = 1) -> Int { cell.wrappingAdd(amount, ordering: .relaxed).newValue }

    /// The value at some moment between call and return.
    public var value: Int { cell.load(ordering: .relaxed) }
}

/// A flag that goes up once, and on which threads sleep.
///
/// Raising publishes everything the raiser did before to everybody who sees it up.
public final class Parker: @unchecked Sendable {
    // SAFETY: `word` is touched by atomic operations and the futex call only, and lives as long as self.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    /// A flag that is down.
    public init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    /// Whether it is up. Pairs with ``raise()``.
    public var isRaised: Bool { word.pointee.load(ordering: .acquiring) != 0 }

    /// Puts it up and wakes everybody who waits.
    public func raise() {
        // Pairs with the load in `isRaised`: what was done before the raise is seen after the wait.
        if word.pointee.exchange(1, ordering: .acquiringAndReleasing) == 0 { futexWake(word) }
    }

    /// Sleeps until it is up or the deadline has passed; returns whether it is up.
    @discardableResult
    public func wait(until deadline: Instant = .never) -> Bool {
        while !isRaised {
            if deadline != .never, Instant.now >= deadline { return false }
            futexWait(word, whileEqual: 0, until: deadline)
        }
        return true
    }

    /// Takes it down again; only by the one thread that waits on it.
    public func lower() { word.pointee.store(0, ordering: .releasing) }
}

/// Sleeps while the word holds `value`; may return early.
func futexWait(_ word: UnsafeMutablePointer<Atomic<UInt32>>, whileEqual value: UInt32, until deadline: Instant) {
    let raw = UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self)
    _ = platter_futex_wait(raw, value, deadline == .never ? 0 : max(deadline.nanoseconds, 1))
}

/// Wakes everybody who sleeps on the word.
func futexWake(_ word: UnsafeMutablePointer<Atomic<UInt32>>) {
    _ = platter_futex_wake(UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self), .max)
}

/// A bell that threads sleep by: each reads how often it has rung, looks for work, and waits for the next ring.
public final class Bell: @unchecked Sendable {
    // SAFETY: as in Parker.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    /// A bell that has not rung.
    public init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    /// How often it has rung; read it before looking for work.
    public var value: UInt32 { word.pointee.load(ordering: .acquiring) }

    /// Wakes one sleeper.
    public func ring() {
        word.pointee.wrappingAdd(1, ordering: .releasing)
        _ = platter_futex_wake(UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self), 1)
    }

    /// Wakes all sleepers.
    public func ringAll() {
        word.pointee.wrappingAdd(1, ordering: .releasing)
        futexWake(word)
    }

    /// Sleeps until it has rung since `value` was read, or the deadline has passed; may return early.
    public func wait(after value: UInt32, until deadline: Instant = .never) {
        futexWait(word, whileEqual: value, until: deadline)
    }
}
