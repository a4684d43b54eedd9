// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Runs what may block, away from the reactors, on threads that exist only while there is something to run.
///
/// A stuck driver holds up one thread here, and nobody else.
final class NBDHelpers: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var threads = 0
    }
    private let state = Lock(State())
    private static let threadsMax = 64

    func run(_ job: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.jobs.append(job)
            guard state.threads < Self.threadsMax else { return false }
            state.threads += 1
            return true
        }
        if needsThread { WorkerThread.detach(name: "pl-nbd-help") { [self] in work() } }
    }

    private func work() {
        while true {
            let job = state.withLock { state -> (@Sendable () -> Void)? in
                if state.jobs.isEmpty {
                    state.threads -= 1
                    return nil
                }
                return state.jobs.removeFirst()
            }
            guard let job else { return }
            job()
        }
    }
}
