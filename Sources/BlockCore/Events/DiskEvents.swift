// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What an observer is given.
public enum EventDelivery: Sendable {
    /// The next event.
    case event(DiskEvent)
    /// The observer was too slow, or asked for what is no longer kept: this many events are lost to it.
    case lost(UInt64)
}

/// The events of a registry: one order, gap-free numbers, a bounded memory.
///
/// An event takes its number inside the critical section that made the change it tells of; it is delivered later,
/// outside all locks. Each observer goes at its own pace, one delivery at a time and in order: a slow one loses events
/// and is told how many; neither a disk nor another observer waits for it. An observer that does not come back costs a
/// thread, an idle one costs none.
public final class DiskEvents: Sendable {
    // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
    private struct Observer: Sendable {
        let deliver: @Sendable (EventDelivery) -> Void
    }
    private struct State {
        var board: EventBoard
        var observers: [UInt64: Observer] = [:]
        var settlers: [UInt64: Settler] = [:]
    }
    /// Somebody who waits for the observers.
    private struct Settler: Sendable {
        let done: @Sendable (Int) -> Void
        /// Looked at after each event: if it holds, nothing more is waited for.
        let isEnough: (@Sendable () -> Bool)?
    }
    private let state: Lock<State>
    /// How long one delivery may take before another thread is started for those who wait behind it.
    static let patience: Duration = .milliseconds(1)

    init(capacity: Int) { state = Lock(State(board: EventBoard(capacity: capacity))) }

    /// The number of the last event; 0 before the first.
    public var last: UInt64 { state.withLock { $0.board.next - 1 } }

    /// Threads that deliver now: what the tests hold against a baseline.
    package var deliverers: Int { state.withLock { $0.board.workers } }

    /// Who waits for the observers: for tests.
    package var settlersWaiting: Int { state.withLock { $0.settlers.count } }

    /// Appends in one piece. Leaf lock: called inside the critical sections of disks. The caller pumps after unlocking.
    func append(_ events: [DiskEvent]) { state.withLock { $0.board.append(events) } }

    /// Sees to it that what is new is delivered, by threads of their own.
    func pump() {
        let (wish, askers) = state.withLock { state in
            (state.board.pump(), state.settlers.isEmpty ? [] : state.settlers.filter { $0.value.isEnough != nil })
        }
        act(wish)
        for (id, settler) in askers where settler.isEnough?() == true { endSettling(id) }
    }

    private func act(_ wish: EventBoard.Wish) {
        if wish.worker { WorkerThread.detach(name: "pl-events") { [self] in work() } }
        if wish.watch {
            Reaper.shared.watch(nil, until: Instant.now + Self.patience) { [self] _ in
                act(state.withLock { $0.board.watched() })
            }
        }
    }

    private func work() {
        var turn: EventBoard.Turn?
        while true {
            let (delivery, wish, observer, settled) = state.withLock { state in
                let next = state.board.nextDelivery(&turn)
                return (
                    next.delivery, next.wish, turn.flatMap { state.observers[$0.observer] }, Self.takeSettled(&state)
                )
            }
            act(wish)
            for settler in settled { settler.done(0) }
            guard let delivery else { return }
            observer?.deliver(delivery)
        }
    }

    /// Calls `deliver` for each event after `sequence` (nil: from now on), one at a time, on a thread of the registry.
    ///
    /// - Parameter deliver: may call back into the registry, and may end this very observation. While it does not return
    ///   this observer hears nothing else.
    /// - Returns: a token; when it is cancelled or dropped, deliveries end (one may just be under way).
    public func observe(
        after sequence: UInt64? = nil, _ deliver: @escaping @Sendable (EventDelivery) -> Void
    ) -> EventObserver {
        let (id, wish) = state.withLock { state in
            let id = state.board.addObserver(after: sequence)
            state.observers[id] = Observer(deliver: deliver)
            return (id, state.board.pump())
        }
        act(wish)
        return EventObserver { [weak self] in
            // Dropped outside the lock: what the closure holds is foreign.
            guard let self else { return }
            let (dropped, settled) = state.withLock { state in
                state.board.removeObserver(id)
                return (state.observers.removeValue(forKey: id), Self.takeSettled(&state))
            }
            _ = consume dropped
            for settler in settled { settler.done(0) }
        }
    }

    // MARK: Settling

    /// Waits until every observer that is there now has handled every event that there is now: its delivery has returned.
    ///
    /// A delivery that waits for this waits for itself, until the deadline.
    ///
    /// - Parameters:
    ///   - limit: how long.
    ///   - isEnough: looked at now and after each event; if it holds, nothing more is waited for. Called outside all locks.
    /// - Returns: how many observers are still behind; 0: none, or it is enough.
    /// - Context: any task; nothing but the caller waits.
    public func settle(within limit: Duration, or isEnough: (@Sendable () -> Bool)? = nil) async -> Int {
        if isEnough?() == true { return 0 }
        let end = Instant.now + limit
        return await withCheckedContinuation { continuation in
            let tag = Reaper.shared.newTag()
            let settler = Settler(
                done: { behind in
                    Reaper.shared.cancel(tag: tag)
                    continuation.resume(returning: behind)
                }, isEnough: isEnough)
            let id = state.withLock { state -> UInt64? in
                let id = state.board.settle()
                if let id { state.settlers[id] = settler }
                return id
            }
            guard let id else { return settler.done(0) }
            // What it looks for may have come since the first look.
            if isEnough?() == true { return endSettling(id) }
            Reaper.shared.watch(nil, until: end, tag: tag) { [self] _ in endSettling(id, isLate: true) }
        }
    }

    private func endSettling(_ id: UInt64, isLate: Bool = false) {
        let (settler, behind) = state.withLock { state in
            (state.settlers.removeValue(forKey: id), state.board.endSettlement(id))
        }
        settler?.done(isLate ? behind : 0)
    }

    private static func takeSettled(_ state: inout State) -> [Settler] {
        state.board.takeSettled().compactMap { state.settlers.removeValue(forKey: $0) }
    }
}

/// Keeps an observation alive.
public final class EventObserver: Sendable {
    private let end: @Sendable () -> Void
    init(end: @escaping @Sendable () -> Void) { self.end = end }
    /// Ends it.
    public func cancel() { end() }
    deinit { end() }
}
