// SPDX-License-Identifier: Apache-2.0

/// The ring of events, where each observer stands in it, and who is to be served next: pure, behind the lock of
/// ``DiskEvents``.
///
/// ```
///              append             a worker takes it            nothing left, or its turn is over
///   caught up ───────▶ in line ─────────────────────▶ served ────────────────────▶ caught up, or in line again
/// ```
/// One worker serves everybody, in turns. Only while it stands still with others in line is a second one started, and so
/// on: there are never more workers than observers that do not come back, and one.
package struct EventBoard {
    /// What is to be done after unlocking.
    package struct Wish: Equatable {
        /// A worker is to be started; it is counted already.
        package var worker = false
        /// ``watched()`` is to be called in a while.
        package var watch = false
    }

    /// What a worker does now: whom it serves, and how much of the turn is left.
    package struct Turn: Equatable {
        package let observer: UInt64
        package var left: Int
    }

    private struct Cursor {
        var next: UInt64
        /// In line, or served by a worker.
        var isBusy = false
        /// Inside a delivery: what was delivered last is not handled yet.
        var isInside = false

        /// Everything below was handled.
        var handled: UInt64 { isInside ? from : next }
        /// The first number of what is being delivered.
        var from: UInt64 = 0
    }

    /// Somebody who waits until everybody that is here now has handled what there is now.
    private struct Settlement {
        let before: UInt64
        var behind: Set<UInt64>
    }

    /// After so many deliveries the next in line has its turn.
    package static let turnLength = 64

    private let capacity: Int
    private var ring: [DiskEvent] = []
    private(set) var next: UInt64 = 1
    private var cursors: [UInt64: Cursor] = [:]
    private var nextObserver: UInt64 = 1
    private var line: [UInt64] = []
    private(set) var workers = 0
    private var isWatched = false
    /// Deliveries begun: a worker that moves needs no other beside it.
    private var begun: UInt64 = 0
    private var begunWhenWatched: UInt64 = 0
    private var settlements: [UInt64: Settlement] = [:]
    private var nextSettlement: UInt64 = 1

    package init(capacity: Int) { self.capacity = max(capacity, 1) }

    package mutating func append(_ events: [DiskEvent]) {
        for var event in events where !event.isSilent {
            event.sequence = next
            next += 1
            ring.append(event)
        }
        // Cut in one go, so that an append costs no shifting most of the time.
        if ring.count > capacity * 2 { ring.removeFirst(ring.count - capacity) }
    }

    package mutating func addObserver(after sequence: UInt64?) -> UInt64 {
        defer { nextObserver += 1 }
        let from = min(sequence.map { $0 &+ 1 } ?? next, next)
        cursors[nextObserver] = Cursor(next: max(from, 1))
        return nextObserver
    }

    /// It may be in line or be served: whoever comes to it finds it gone.
    mutating func removeObserver(_ id: UInt64) { cursors[id] = nil }

    /// Puts everybody in line who has something to hear.
    package mutating func pump() -> Wish {
        for (id, cursor) in cursors where cursor.next < next && !cursor.isBusy {
            cursors[id]?.isBusy = true
            line.append(id)
        }
        guard !line.isEmpty else { return Wish() }
        guard workers == 0 else { return Wish(watch: watch()) }
        workers = 1
        return Wish(worker: true, watch: line.count > 1 && watch())
    }

    /// Whoever is in line behind others is watched over: the one in front may never come back.
    private mutating func watch() -> Bool {
        guard !isWatched, !line.isEmpty else { return false }
        isWatched = true
        begunWhenWatched = begun
        return true
    }

    /// The time to watch is over: if nothing moved meanwhile, one more worker is needed.
    mutating func watched() -> Wish {
        isWatched = false
        guard !line.isEmpty else { return Wish() }
        let standsStill = begun == begunWhenWatched
        if standsStill { workers += 1 }
        return Wish(worker: standsStill, watch: watch())
    }

    /// The next thing to deliver, to the observer of the turn; nil: the worker's work is over, and it is counted no more.
    package mutating func nextDelivery(_ turn: inout Turn?) -> (delivery: EventDelivery?, wish: Wish) {
        while true {
            if var current = turn {
                cursors[current.observer]?.isInside = false
                if current.left > 0, let delivery = take(for: current.observer) {
                    current.left -= 1
                    begun += 1
                    turn = current
                    return (delivery, Wish(watch: watch()))
                }
                endTurn(of: current.observer)
                turn = nil
            }
            guard !line.isEmpty else {
                workers -= 1
                return (nil, Wish())
            }
            turn = Turn(observer: line.removeFirst(), left: Self.turnLength)
        }
    }

    /// It has caught up, or its turn is over: then it goes to the end of the line.
    private mutating func endTurn(of id: UInt64) {
        guard let cursor = cursors[id] else { return }
        if cursor.next < next { line.append(id) } else { cursors[id]?.isBusy = false }
    }

    private mutating func take(for id: UInt64) -> EventDelivery? {
        guard let cursor = cursors[id], cursor.next < next else { return nil }
        let oldest = next - UInt64(min(ring.count, capacity))
        guard cursor.next >= oldest else {
            enter(id, next: oldest)
            return .lost(oldest - cursor.next)
        }
        enter(id, next: cursor.next + 1)
        return .event(ring[ring.count - Int(next - cursor.next)])
    }

    private mutating func enter(_ id: UInt64, next: UInt64) {
        guard let from = cursors[id]?.next else { return }
        cursors[id]?.from = from
        cursors[id]?.next = next
        cursors[id]?.isInside = true
    }

    // MARK: Settling

    /// Somebody waits for what is behind. nil: nobody is.
    mutating func settle() -> UInt64? {
        let behind = Set(cursors.filter { $0.value.handled < next }.keys)
        guard !behind.isEmpty else { return nil }
        defer { nextSettlement += 1 }
        settlements[nextSettlement] = Settlement(before: next, behind: behind)
        return nextSettlement
    }

    /// Who need not wait any longer: asked after each delivery and whenever an observer has gone.
    mutating func takeSettled() -> [UInt64] {
        guard !settlements.isEmpty else { return [] }
        var settled: [UInt64] = []
        for (id, settlement) in settlements {
            let behind = stillBehind(settlement)
            settlements[id]?.behind = behind
            if behind.isEmpty { settled.append(id) }
        }
        for id in settled { settlements[id] = nil }
        return settled.sorted()
    }

    /// He does not wait any longer. How many are still behind.
    mutating func endSettlement(_ id: UInt64) -> Int {
        settlements.removeValue(forKey: id).map { stillBehind($0).count } ?? 0
    }

    private func stillBehind(_ settlement: Settlement) -> Set<UInt64> {
        settlement.behind.filter { observer in
            cursors[observer].map { $0.handled < settlement.before } ?? false
        }
    }
}
