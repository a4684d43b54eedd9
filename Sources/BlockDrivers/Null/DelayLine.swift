// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// Answers bios with success in the order they came: at once, after a latency, or not before it is opened.
///
/// It has a thread only while a latency asks for one, and that sleeps until the next answer is due.
final class DelayLine: Sendable {
    let latency: Duration

    private struct State {
        /// What is held, oldest first from `first`. The latency never changes, so this is the order of the due times.
        var held: [(due: Instant, token: UInt64)] = []
        var first = 0
        var isOpen: Bool
        var isEnding = false
        var thread: WorkerThread?
    }
    private let state: Lock<State>
    private let parker = Parker()
    /// Whether bios pass without being held: the data path reads nothing else. A stale value only takes the lock.
    private let passes: Atomic<Bool>

    init(latency: Duration, isOpen: Bool) {
        self.latency = latency
        state = Lock(State(isOpen: isOpen))
        passes = Atomic(isOpen && latency <= .zero)
    }

    /// Whether answers are given. Opening gives what is due.
    var isOpen: Bool {
        get { state.withLock { $0.isOpen } }
        set {
            passes.store(newValue && latency <= .zero, ordering: .relaxed)
            state.withLock { $0.isOpen = newValue }
            if latency > .zero { parker.raise() } else { giveDue() }
        }
    }

    /// Answers the bio now or later.
    func pass(_ bio: consuming Bio) {
        if passes.load(ordering: .relaxed) {
            bio.complete(.ok)
        } else {
            hold(bio.intoToken())
        }
    }

    private func hold(_ token: UInt64) {
        let due = latency > .zero ? Instant.now + latency : Instant(nanoseconds: 0)
        let isHeld = state.withLock { state in
            state.held.append((due, token))
            if latency <= .zero { return !state.isOpen }
            if state.thread == nil, !state.isEnding {
                state.thread = try? WorkerThread.start(name: "platter-delay") { [self] in run() }
            }
            return state.thread != nil
        }
        // Opened meanwhile, or there is no thread to be had: an early answer is better than none.
        if !isHeld { giveDue(all: latency > .zero) } else if latency > .zero { parker.raise() }
    }

    /// Answers what is due, and returns when the next is.
    @discardableResult
    private func giveDue(all: Bool = false) -> Instant {
        while true {
            let now = latency > .zero ? Instant.now : Instant(nanoseconds: 0)
            let (token, next) = state.withLock { state -> (UInt64?, Instant) in
                guard state.isOpen || all, state.first < state.held.count else { return (nil, .never) }
                let (due, token) = state.held[state.first]
                guard due <= now || all else { return (nil, due) }
                state.first += 1
                if state.first == state.held.count {
                    state.held.removeAll(keepingCapacity: true)
                    state.first = 0
                } else if state.first >= 1024, state.first * 2 >= state.held.count {
                    state.held.removeFirst(state.first)
                    state.first = 0
                }
                return (token, due)
            }
            guard let token else { return next }
            // Outside the lock: the answer may bring the next bio.
            if let bio = Bio.fromToken(token) { bio.complete(.ok) }
        }
    }

    private func run() {
        while true {
            // Down before looking: what comes after the look puts it up again.
            parker.lower()
            let next = giveDue()
            if state.withLock({ $0.isEnding && $0.held.isEmpty }) { return }
            parker.wait(until: next)
        }
    }

    /// Ends the thread when nothing is held any more. Waits for it if that is so already; else the thread gives what it
    /// owes when its time comes, and ends then.
    func stop() {
        let (thread, isEmpty) = state.withLock { state in
            state.isEnding = true
            return (state.thread.take(), state.held.isEmpty)
        }
        parker.raise()
        if isEmpty { thread?.join() }
    }
}
