// SPDX-License-Identifier: Apache-2.0

/// One timer of a reactor, to cancel it by.
public struct ReactorTimer: Hashable, Sendable {
    let number: UInt64
}

/// Timers that fire once, soonest first: a heap.
struct TimerHeap {
    private struct Entry {
        let deadline: Instant
        let number: UInt64
        let body: () -> Void
    }

    private var entries: [Entry] = []
    private var next: UInt64 = 1

    var soonest: Instant? { entries.first?.deadline }
    var count: Int { entries.count }

    mutating func add(at deadline: Instant, _ body: @escaping () -> Void) -> ReactorTimer {
        let timer = ReactorTimer(number: next)
        next += 1
        entries.append(Entry(deadline: deadline, number: timer.number, body: body))
        siftUp(entries.count - 1)
        return timer
    }

    /// Forgets a timer; one that has fired is none any more.
    mutating func cancel(_ timer: ReactorTimer) {
        // A walk: there are as many timers as connections in their handshake, and each is cancelled once.
        guard let index = entries.firstIndex(where: { $0.number == timer.number }) else { return }
        removeEntry(at: index)
    }

    /// The next timer that is due, taken out.
    mutating func popDue(at now: Instant) -> (() -> Void)? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        removeEntry(at: 0)
        return first.body
    }

    mutating func removeAll() { entries.removeAll() }

    private mutating func removeEntry(at index: Int) {
        let last = entries.count - 1
        entries.swapAt(index, last)
        entries.removeLast()
        guard index < last else { return }
        siftUp(index)
        siftDown(index)
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (entries[left].deadline, entries[left].number) < (entries[right].deadline, entries[right].number)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, isBefore(index, (index - 1) / 2) {
            entries.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < entries.count && isBefore(child, least) {
                least = child
            }
            if least == index { return }
            entries.swapAt(index, least)
            index = least
        }
    }
}
