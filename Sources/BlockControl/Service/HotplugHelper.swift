// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem
public import Logging

/// Calls a program for each event, as a kernel with a hotplug helper does: one at a time, in order, with `block` as its
/// argument and the event as its environment.
///
/// The program's environment is the event's keys in their order, then `HOME=/` and
/// `PATH=/sbin:/bin:/usr/sbin:/usr/bin`, and nothing else. One that takes longer than its limit is killed with its process
/// group. No disk waits for it: it is an observer like any other, so while it is slow events are kept for it, and what
/// is lost to it is told to it (`ACTION=lost`, `PLATTER_LOST=` with the count) and to the log.
public final class HotplugHelper: Sendable {
    private let program: String
    private let limit: Duration
    private let logger: Logger

    private struct State {
        var observer: EventObserver?
        var child: ChildProcess?
        var isStopped = false
        /// What went wrong last, and how often since it was said.
        var trouble: String?
        var repeats = 0
    }
    private let state = Lock(State())

    /// A helper that is not called yet.
    ///
    /// - Parameters:
    ///   - program: the file; nothing is searched for.
    ///   - limit: how long one call may take.
    public init(program: String, limit: Duration = .seconds(30), logger: Logger) {
        self.program = program
        self.limit = limit
        self.logger = logger
    }

    /// Calls it for what happens from now on.
    public func start(_ events: DiskEvents) {
        let observer = events.observe { [weak self] delivery in self?.handle(delivery) }
        let isLate = state.withLock { state in
            state.observer = observer
            return state.isStopped
        }
        if isLate { observer.cancel() }
    }

    /// Whether a call is under way that ``stop()`` would end: what the tests look at.
    package var isCalling: Bool { state.withLock { $0.child != nil } }

    /// It is not called any more; a call that is under way is ended.
    public func stop() {
        let (observer, child) = state.withLock { state in
            state.isStopped = true
            return (state.observer.take(), state.child)
        }
        observer?.cancel()
        child?.kill()
    }

    /// On the thread of the events that serves this observer: it may wait for the program.
    private func handle(_ delivery: EventDelivery) {
        switch delivery {
        case .event(let event): call(event.properties.map { "\($0.key)=\($0.value)" })
        case .lost(let count):
            logger.warning("events lost to the hotplug helper", metadata: ["count": "\(count)"])
            call(["ACTION=lost", "SUBSYSTEM=block", "PLATTER_LOST=\(count)"])
        }
    }

    private func call(_ keys: [String]) {
        guard !state.withLock({ $0.isStopped }) else { return }
        let child: ChildProcess
        do throws(SystemError) {
            child = try ChildProcess(
                program, arguments: [program, "block"],
                environment: keys + ["HOME=/", "PATH=/sbin:/bin:/usr/sbin:/usr/bin"], .errors)
        } catch {
            return note("it cannot be started: \(error)")
        }
        let tag = Reaper.shared.newTag()
        let isLate = Lock(false)
        // Before it is seen by `stop`, so that whoever comes first ends it.
        Reaper.shared.watch(nil, until: Instant.now + limit, tag: tag) { _ in
            isLate.withLock { $0 = true }
            child.kill()
        }
        let isStopped = state.withLock { state in
            state.child = child
            return state.isStopped
        }
        if isStopped { child.kill() }
        let end = child.wait()
        Reaper.shared.cancel(tag: tag)
        let wasStopped = state.withLock { state in
            state.child = nil
            return state.isStopped
        }
        guard !wasStopped else { return }
        switch end {
        case .exited(0): note(nil)
        case .exited(let status): note("it ended with status \(status)")
        case .killed where isLate.withLock { $0 }: note("it took longer than \(limit) and was killed")
        case .killed(let signal): note("it was ended by signal \(signal)")
        }
    }

    /// What goes wrong each time is said once, and how often it did when it is over.
    private func note(_ trouble: String?) {
        let (says, before, repeats) = state.withLock { state in
            guard trouble != state.trouble else {
                state.repeats += trouble == nil ? 0 : 1
                return (false, nil as String?, 0)
            }
            defer {
                state.trouble = trouble
                state.repeats = 0
            }
            return (true, state.trouble, state.repeats)
        }
        guard says else { return }
        if let before, repeats > 0 {
            logger.warning("hotplug helper: \(before)", metadata: ["times": "\(repeats + 1)"])
        }
        if let trouble {
            logger.warning("hotplug helper: \(trouble)", metadata: ["program": "\(program)"])
        } else if before != nil {
            logger.info("hotplug helper: it works again", metadata: ["program": "\(program)"])
        }
    }
}
