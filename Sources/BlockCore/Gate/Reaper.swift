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
        /// nil: a plain timer.
        let cells: UsageCells?
        let deadline: Instant
        /// Whose it is, so that all of a removal's timers are forgotten together; 0: nobody's.
        let tag: UInt64
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
    func watch(
        _ cells: UsageCells?, until deadline: Instant, tag: UInt64 = 0, then: @escaping @Sendable (Outcome) -> Void
    ) {
        // Each drainer its own barrier, after it has seen the state shut: it makes every exit that still read "open"
        // visible in the sums, which is what keeps its wake-up from being lost.
        cells?.heavyFence()
        let start = state.withLock { state in
            state.watches.append(Watch(cells: cells, deadline: deadline, tag: tag, then: then))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if start {
            do throws(SystemError) {
                _ = try WorkerThread.start(name: "pl-reaper") { [self] in run() }
            } catch {
                invariantBroken("no thread for the reaper: \(error)")
            }
        } else {
            WakeWord.bump()
        }
    }

    /// A number for the watches that belong together.
    func newTag() -> UInt64 {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
    }

    /// Forgets the watches of a tag; the `then` of one may just be running.
    func cancel(tag: UInt64) {
        // What they hold is dropped outside the lock.
        let dropped = state.withLock { state -> [Watch] in
            let dropped = state.watches.filter { $0.tag == tag }
            if !dropped.isEmpty { state.watches.removeAll { $0.tag == tag } }
            return dropped
        }
        _ = consume dropped
    }

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
            let isIdle = due.isEmpty
            for (watch, outcome) in consume due { watch.then(outcome) }
            if isIdle { WakeWord.wait(while: word, until: next) }
        }
    }
}
