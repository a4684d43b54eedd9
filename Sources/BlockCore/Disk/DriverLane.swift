// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The way into a driver for what is no I/O: settings and notes. It leads past the gate, because a driver that owes
/// answers has to be reached, too.
///
/// A driver may hang in any call. So each disk has one such call at a time, on a thread of its own; whoever asks waits no
/// longer than he said, and neither the cooperative pool nor a verb of another disk ever waits for it.
final class DriverLane: Sendable {
    /// Why a call did not bring an answer.
    enum Refusal: Error, Equatable {
        /// The driver is gone, or going.
        case gone
        /// The time was up before the call began; it never will.
        case notBegun
        /// The time was up while the driver was inside the call; it may still take effect.
        case notReturned
    }

    private struct Job: Sendable {
        let run: @Sendable (any BlockDriver) -> Void
        let refuse: @Sendable () -> Void
    }
    private struct State {
        var machine = LaneMachine()
        var jobs: [UInt64: Job] = [:]
        var nextID: UInt64 = 1
    }
    private let state = Lock(State())
    /// Up once the lane is closed and nobody is inside.
    private let over = Parker()

    /// Calls the driver on a thread of its own, and waits for it until the deadline without holding a thread.
    func call<Result: Sendable>(
        _ disk: Disk, until deadline: Instant, _ body: @escaping @Sendable (any BlockDriver) -> Result
    ) async -> Swift.Result<Result, Refusal> {
        await withCheckedContinuation { continuation in
            let once = Once<Result>(continuation)
            let tag = Reaper.shared.newTag()
            let job = Job(
                run: { driver in
                    let result = body(driver)
                    Reaper.shared.cancel(tag: tag)
                    once.answer(.success(result))
                },
                refuse: {
                    Reaper.shared.cancel(tag: tag)
                    once.answer(.failure(.gone))
                })
            let (id, decision) = state.withLock { state in
                defer { state.nextID += 1 }
                let decision = state.machine.ask(state.nextID)
                if decision != .refuse { state.jobs[state.nextID] = job }
                return (state.nextID, decision)
            }
            switch decision {
            case .refuse: job.refuse()
            case .start: WorkerThread.detach(name: "pl-driver") { [self] in run(id, disk) }
            case .wait: break
            }
            Reaper.shared.watch(nil, until: deadline, tag: tag) { [self] _ in
                Reaper.shared.cancel(tag: tag)
                let never = state.withLock { state in
                    guard state.machine.withdraw(id) else { return false }
                    state.jobs[id] = nil
                    return true
                }
                once.answer(.failure(never ? .notBegun : .notReturned))
            }
        }
    }

    private func run(_ first: UInt64, _ disk: Disk) {
        var next: UInt64? = first
        while let id = next {
            let job = state.withLock { $0.jobs.removeValue(forKey: id) }
            // The lane keeps the driver where it is until `finished`.
            if let driver = disk.queue.driver { job?.run(driver) } else { job?.refuse() }
            let isOver: Bool
            (next, isOver) = state.withLock { ($0.machine.finished(), $0.machine.isOver) }
            if isOver { over.raise() }
        }
    }

    /// Lets nobody in any more, and waits until whoever is inside has come out. On a thread of the control side: a driver
    /// that hangs in a setting keeps it.
    func closeAndWait() {
        let (refused, isOver) = state.withLock { state in
            let refused = state.machine.close().compactMap { state.jobs.removeValue(forKey: $0) }
            return (refused, state.machine.isOver)
        }
        for job in refused { job.refuse() }
        if isOver { over.raise() }
        over.wait()
    }
}

/// A continuation that two may want to answer: the first one does.
private final class Once<Result: Sendable>: Sendable {
    typealias Answer = Swift.Result<Result, DriverLane.Refusal>
    private struct Held {
        var continuation: CheckedContinuation<Answer, Never>?
    }
    private let held: Lock<Held>

    init(_ continuation: CheckedContinuation<Answer, Never>) { held = Lock(Held(continuation: continuation)) }

    func answer(_ answer: Answer) { held.withLock { $0.continuation.take() }?.resume(returning: answer) }
}
