// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The one thread that waits for all drains and all deadlines, so that no other thread ever has to.
///
/// It sleeps on an immortal word that every leaver of a shut gate bumps. What it calls must be quick and must not
/// wait: long work goes to a thread of its own.
final class Reaper: Sendable {
    /// The one of the process; its thread starts with the first watch and then sleeps for ever.
    static let shared = Reaper()

    enum Outcome { case drained, deadline }

    private struct Watch {
        let id: UInt64
        /// nil: a plain timer.
        let cells: UsageCells?
        let deadline: Instant
        let then: @Sendable (Outcome) -> Void
    }
    private struct State {
        var nextID: UInt64 = 1
        var watches: [Watch] = []
        var isRunning = false
    }
    private let state = Lock(State())

    /// Calls `then` once: with `drained` when nobody is inside any more, or with `deadline` when it has passed first.
    ///
    /// The gate must have been shut for good before: then balance, once seen, stays.
    @discardableResult
    func watch(
        _ cells: UsageCells?, until deadline: Instant, then: @escaping @Sendable (Outcome) -> Void
    ) -> UInt64 {
        // Each drainer its own barrier, after it has seen the state shut: it makes every exit that still read "open"
        // visible in the sums, which is what keeps its wake-up from being lost.
        cells?.heavyFence()
        let (id, start) = state.withLock { state in
            let id = state.nextID
            state.nextID += 1
            state.watches.append(Watch(id: id, cells: cells, deadline: deadline, then: then))
            defer { state.isRunning = true }
            return (id, !state.isRunning)
        }
        if start {
            WorkerThread.detach(name: "pl-reaper") { [self] in run() }
        } else {
            WakeWord.bump()
        }
        return id
    }

    /// Forgets a watch; its `then` may just be running.
    func cancel(_ id: UInt64) { state.withLock { $0.watches.removeAll { $0.id == id } } }

    /// Watches under way: what the tests hold against a baseline.
    var pending: Int { state.withLock { $0.watches.count } }

    private func run() {
        while true {
            let word = WakeWord.value
            let (due, next) = state.withLock { state in
                let now = Instant.now
                var due: [(Watch, Outcome)] = []
                state.watches.removeAll { watch in
                    if let cells = watch.cells, cells.isBalanced {
                        due.append((watch, .drained))
                    } else if watch.deadline <= now {
                        due.append((watch, .deadline))
                    } else {
                        return false
                    }
                    return true
                }
                return (due, state.watches.map(\.deadline).min() ?? .never)
            }
            for (watch, outcome) in due { watch.then(outcome) }
            if due.isEmpty { WakeWord.wait(while: word, until: next) }
        }
    }
}
