// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Threads for what may wait for a driver: opens, closes, attributes.
///
/// The bound is each disk's own: at most two at a time work for one, so a driver that does not come back has two of them
/// and nobody else's. One server may stand behind many disks: when many threads are at work, a disk has one of them; it
/// always has that one, however many others hang. What is about no disk (0) has no bound but the sum. They exist while there is
/// something to run, and for a moment after.
final class TreeHelpers: Sendable {
    // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
    private struct Job: Sendable {
        let run: @Sendable () -> Void
    }
    private struct Line {
        var jobs: [Job] = []
        /// Places in the line of those who may run, and threads that do.
        var turns = 0
        /// Threads that do.
        var running = 0
    }
    private struct State {
        var lines: [UInt64: Line] = [:]
        /// Lines with a job that may run, in the order in which they came to have one.
        var ready: [UInt64] = []
        var threads = 0
        var idle = 0
        /// Threads that run something about a disk.
        var busy = 0
        /// Threads that run something.
        var running = 0

        /// Whether a thread may run the next job for that disk.
        func mayRun(_ disk: UInt64) -> Bool {
            disk == 0 || busy < TreeHelpers.sharedMax || lines[disk]?.running ?? 0 == 0
        }

        /// Where in `ready` the next is that may run.
        var next: Int? { ready.firstIndex(where: mayRun) }

        /// How somebody comes to run what is ready.
        mutating func help() -> Wish {
            guard next != nil else { return .nothing }
            // Those that neither run anything nor wait are about to look.
            let looking = threads - idle - running
            if looking >= ready.count { return .nothing }
            if looking + idle >= ready.count || threads >= TreeHelpers.threadsMax { return .ring }
            threads += 1
            return .thread
        }
    }
    private enum Wish { case thread, ring, nothing, refuse }
    private let state = Lock(State())
    private let bell = Bell()

    static let threadName = "pl-tree-help"
    static let perDisk = 2
    /// Far above what hangs anywhere, and below what a system lets a process have.
    static let threadsMax = 8192
    /// From so many busy threads on, a disk has one of them.
    static let sharedMax = 128
    /// Jobs that may wait for one disk; what comes beyond is refused.
    static let waitingMax = 4096
    private static let idleTime = Duration.seconds(1)

    /// Runs `job` soon, after those that came before it for the same disk. False: too many wait for that disk.
    @discardableResult
    func run(for disk: UInt64, _ job: @escaping @Sendable () -> Void) -> Bool {
        let wish = state.withLock { state -> Wish in
            guard state.lines[disk, default: Line()].jobs.count < Self.waitingMax else { return .refuse }
            state.lines[disk, default: Line()].jobs.append(Job(run: job))
            guard state.lines[disk, default: Line()].turns < Self.perDisk else { return .nothing }
            state.lines[disk, default: Line()].turns += 1
            state.ready.append(disk)
            return state.help()
        }
        if case .refuse = wish { return false }
        grant(wish)
        return true
    }

    private func grant(_ wish: Wish) {
        switch wish {
        case .thread:
            do throws(SystemError) {
                _ = try WorkerThread.start(name: Self.threadName) { [self] in work() }
            } catch {
                // Another one of ours takes it when it comes back. Only where there is none is it the process's spare thread,
                // which others need, too.
                let isAlone = state.withLock { state in
                    if state.threads == 1 { return true }
                    state.threads -= 1
                    return false
                }
                if isAlone { WorkerThread.detach(name: Self.threadName) { [self] in work() } } else { bell.ring() }
            }
        case .ring: bell.ring()
        case .nothing, .refuse: break
        }
    }

    /// Threads that there are now.
    var threads: Int { state.withLock { $0.threads } }

    private func work() {
        while true {
            let heard = bell.value
            if let (disk, job, wish) = take() {
                // What one thread gave back may be enough for two.
                grant(wish)
                job.run()
                done(disk)
                continue
            }
            bell.wait(after: heard, until: Instant.now + Self.idleTime)
            let goesOn = state.withLock { state in
                state.idle -= 1
                if state.next == nil, bell.value == heard {
                    state.threads -= 1
                    return false
                }
                return true
            }
            if !goesOn { return }
        }
    }

    /// What a thread runs next; nil: nothing, and it is idle now.
    private func take() -> (disk: UInt64, job: Job, wish: Wish)? {
        state.withLock { state in
            while let next = state.next {
                let disk = state.ready.remove(at: next)
                guard var line = state.lines[disk] else { continue }
                guard !line.jobs.isEmpty else {
                    Self.endTurn(&state, disk)
                    continue
                }
                let job = line.jobs.removeFirst()
                line.running += 1
                state.lines[disk] = line
                state.running += 1
                if disk != 0 { state.busy += 1 }
                return (disk, job, state.help())
            }
            state.idle += 1
            return nil
        }
    }

    private func done(_ disk: UInt64) {
        state.withLock { state in
            state.lines[disk]?.running -= 1
            state.running -= 1
            if disk != 0 { state.busy -= 1 }
            if state.lines[disk]?.jobs.isEmpty == false {
                // This thread takes it, or another one that is before it.
                state.ready.append(disk)
            } else {
                Self.endTurn(&state, disk)
            }
        }
    }

    private static func endTurn(_ state: inout State, _ disk: UInt64) {
        guard var line = state.lines[disk] else { return }
        line.turns -= 1
        state.lines[disk] = line.jobs.isEmpty && line.turns == 0 ? nil : line
    }
}
