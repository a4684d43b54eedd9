// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// Holds bios for a time, or until it is opened, and then hands them on in the order in which they are due.
///
/// It has a thread only while something is held for a time, and that sleeps until the next is due.
final class DelayLine: Sendable {
    private struct State {
        /// What is held from `first` on, earliest first; what is due at the same time in the order in which it came.
        var held: [(due: Instant, token: UInt64)] = []
        var first = 0
        var isOpen: Bool
        var isEnding = false
        /// Told of its death: what is held was answered, and what comes is not held any more.
        var hasDied = false
        var thread: WorkerThread?
    }
    private let state: Lock<State>
    private let parker = Parker()
    private let isPassing: Atomic<Bool>
    private let handOn: @Sendable (consuming Bio) -> Void

    /// How long it holds everything, where that is the same for all.
    let latency: Duration

    /// A line that hands on to `handOn`, on a thread of its own or on that of whoever opens it.
    init(latency: Duration = .zero, isOpen: Bool, handOn: @escaping @Sendable (consuming Bio) -> Void) {
        self.latency = latency
        state = Lock(State(isOpen: isOpen))
        isPassing = Atomic(isOpen && latency <= .zero)
        self.handOn = handOn
    }

    /// Whether what need not wait passes: the data path reads nothing else. A stale value only takes the lock.
    var passes: Bool { isPassing.load(ordering: .relaxed) }

    /// Whether anything is handed on. Opening hands on what is due.
    var isOpen: Bool {
        get { state.withLock { $0.isOpen } }
        set {
            isPassing.store(newValue && latency <= .zero, ordering: .relaxed)
            state.withLock { $0.isOpen = newValue }
            handOnDue()
            parker.raise()
        }
    }

    /// How many it holds.
    var count: Int { state.withLock { $0.held.count - $0.first } }

    /// Keeps a bio for so long, and at least while it is closed.
    func hold(_ bio: consuming Bio, for time: Duration) {
        let token = bio.intoToken()
        let due = time > .zero ? Instant.now + time : Instant(nanoseconds: 0)
        let (isHeld, isNext) = state.withLock { state -> (Bool, Bool) in
            if state.hasDied { return (false, false) }
            var place = state.held.count
            while place > state.first, state.held[place - 1].due > due { place -= 1 }
            state.held.insert((due, token), at: place)
            if time <= .zero { return (!state.isOpen, false) }
            if state.thread == nil, !state.isEnding {
                state.thread = try? WorkerThread.start(name: "platter-delay") { [self] in run() }
            }
            return (state.thread != nil, place == state.first)
        }
        if isHeld {
            if isNext { parker.raise() }
        } else if state.withLock({ $0.hasDied }) {
            if let bio = Bio.fromToken(token) { bio.complete(.gone) }
        } else {
            // Opened meanwhile, or there is no thread to be had: early is better than never.
            handOnDue(all: time > .zero)
        }
    }

    /// Hands on what is due, and returns when the next is.
    @discardableResult
    private func handOnDue(all: Bool = false) -> Instant {
        while true {
            let now = Instant.now
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
            // Outside the lock: what it is handed to may bring the next bio.
            if let bio = Bio.fromToken(token) { handOn(bio) }
        }
    }

    /// The end of the disk: what is held is answered at once, and what still comes too.
    func die() {
        let held = state.withLock { state in
            defer {
                state.hasDied = true
                state.held = []
                state.first = 0
            }
            return state.held[state.first...].map(\.token)
        }
        for token in held { if let bio = Bio.fromToken(token) { bio.complete(.gone) } }
        parker.raise()
    }

    private func run() {
        while true {
            // Down before looking: what comes after the look puts it up again.
            parker.lower()
            let next = handOnDue()
            if state.withLock({ $0.isEnding && $0.held.isEmpty }) { return }
            parker.wait(until: next)
        }
    }

    /// Ends the thread when nothing is held any more. Waits for it if that is so already; else the thread hands on what
    /// it has when the time comes, and ends then.
    func stop() {
        let (thread, isEmpty) = state.withLock { state in
            state.isEnding = true
            return (state.thread.take(), state.held.isEmpty)
        }
        parker.raise()
        if isEmpty { thread?.join() }
    }
}
