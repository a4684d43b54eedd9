// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Which of the steps of a verb that can fail does: what a fault loop counts through. Given to a disk with
/// ``DiskOptions/faults``; a disk without one asks a nil, on control paths only.
package final class FaultPlan: Sendable {
    /// What can fail.
    package enum Step: String, Sendable, CaseIterable {
        /// A step of the add, before it does anything.
        case step
        /// There is no gate left.
        case gate
        /// There is no name or number for a partition.
        case partition
        /// There is no memory for a buffer.
        case memory
        /// The driver refuses to be opened.
        case driverOpen
        /// The driver fails to change its size.
        case driverResize
        /// The remover's flush fails.
        case flush
    }

    private struct State {
        var failing: Int
        let isPermanent: Bool
        var passed: [Step] = []
        var failed: [Step] = []
    }
    private let state: Lock<State>

    /// - Parameters:
    ///   - number: which step fails, counted from 1; 0: none.
    ///   - isPermanent: the same kind of step fails from then on, too.
    package init(failing number: Int, isPermanent: Bool = false) {
        state = Lock(State(failing: number, isPermanent: isPermanent))
    }

    /// Counts a step. True: it is to fail.
    package func fails(_ step: Step) -> Bool {
        state.withLock { state in
            state.passed.append(step)
            let isIt = state.passed.count == state.failing
            guard isIt || (state.isPermanent && state.failed.first == step) else { return false }
            state.failed.append(step)
            return true
        }
    }

    /// Nothing fails any more, and counting begins anew: a try that must succeed.
    package func mend() { begin(failing: 0) }

    /// Counting begins anew.
    package func begin(failing number: Int) {
        state.withLock { $0 = State(failing: number, isPermanent: $0.isPermanent) }
    }

    /// The steps that came by.
    package var steps: [Step] { state.withLock { $0.passed } }
    /// Those that failed.
    package var failures: [Step] { state.withLock { $0.failed } }
}
