// SPDX-License-Identifier: Apache-2.0

package import BlockSystem

/// The one thread that waits for all drains and all deadlines, so that no other thread ever has to.
///
/// It sleeps on an immortal word that every leaver of a shut gate bumps. What it calls must be quick and must not
/// wait: long work goes to a thread of its own.
package final class Reaper: Sendable {
    /// The one of the process; its thread starts with the first watch and then sleeps for ever.
    package static let shared = Reaper()

    package enum Outcome {
        case drained, deadline
        /// The gate was opened before it was empty, whatever became of it since.
        case thawed
    }

    private struct Watch {
        /// nil: a plain timer.
        let cells: UsageCells?
        /// That the gate was shut in.
        let generation: UInt64
        /// Leases that nobody will give back soon: not waited for.
        let owed: Counter?
        /// What is waited for instead of "nobody inside".
        let condition: (@Sendable () -> Bool)?
        let deadline: Instant
        /// Whose it is, so that all of a removal's timers are forgotten together; 0: nobody's.
        let tag: UInt64
        let then: @Sendable (Outcome) -> Void

        func outcome(_ now: Instant) -> Outcome? {
            if let cells {
                if !isShut(cells) { return .thawed }
                // Again after the sums: equality in a gate that was opened meanwhile says nothing.
                if isDone(cells) { return isShut(cells) ? .drained : .thawed }
            }
            return deadline <= now ? .deadline : nil
        }

        private func isShut(_ cells: UsageCells) -> Bool {
            let word = cells.stateWord
            return word & 3 != GateStateMachine.State.open.rawValue && word >> 2 == generation
        }

        private func isDone(_ cells: UsageCells) -> Bool {
            if let condition { return condition() }
            let inside = cells.outstanding
            // The leases first: a lease that becomes an owed one between the two looks is then counted as such.
            return inside <= UInt64(clamping: owed?.value ?? 0)
        }
    }
    private struct State {
        var nextID: UInt64 = 1
        /// Tags that were given out and not cancelled yet.
        var tags: Set<UInt64> = []
        var watches: [Watch] = []
        var isRunning = false
    }
    private let state = Lock(State())

    /// Calls `then` once: with `drained` when nobody is inside any more, with `thawed` when the gate was opened first, or
    /// with `deadline` when that has passed first.
    ///
    /// With a tag that is cancelled already nothing is kept and `then` is never called: who decided under a lock to wait
    /// may get here after whoever ended what he waits for.
    ///
    /// - Parameters:
    ///   - generation: what the freeze returned; nil, where nobody else can open the gate: the present one.
    ///   - owed: leases that are not waited for.
    ///   - condition: asked instead of "nobody inside", on the reaper's thread and under its lock, after each leaving:
    ///     it takes no lock.
    package func watch(
        _ cells: UsageCells?, generation: UInt64? = nil, owed: Counter? = nil, until deadline: Instant, tag: UInt64 = 0,
        condition: (@Sendable () -> Bool)? = nil, then: @escaping @Sendable (Outcome) -> Void
    ) {
        let generation = generation ?? (cells?.stateWord ?? 0) >> 2
        // Each drainer its own barrier, after it has seen the state shut: it makes every exit that still read "open"
        // visible in the sums, which is what keeps its wake-up from being lost.
        cells?.heavyFence()
        let start = state.withLock { state -> Bool? in
            guard tag == 0 || state.tags.contains(tag) else { return nil }
            state.watches.append(
                Watch(
                    cells: cells, generation: generation, owed: owed, condition: condition, deadline: deadline,
                    tag: tag, then: then))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard let start else { return }
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

    /// A number for the watches that belong together; whoever takes it cancels it in the end.
    package func newTag() -> UInt64 {
        state.withLock { state in
            defer { state.nextID += 1 }
            state.tags.insert(state.nextID)
            return state.nextID
        }
    }

    /// Ends a tag: forgets its watches, those too that are still to come; the `then` of one may just be running.
    package func cancel(tag: UInt64) {
        if state.withLock({ $0.tags.remove(tag) }) != nil { forget(tag: tag) }
    }

    /// Forgets the watches that a tag has now; others may follow.
    package func forget(tag: UInt64) {
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
    /// Tags that nobody has cancelled yet.
    var tagsInUse: Int { state.withLock { $0.tags.count } }

    private func run() {
        while true {
            let word = WakeWord.value
            let (due, next) = state.withLock { state in
                let now = Instant.now
                var due: [(Watch, Outcome)] = []
                state.watches.removeAll { watch in
                    guard let outcome = watch.outcome(now) else { return false }
                    due.append((watch, outcome))
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
