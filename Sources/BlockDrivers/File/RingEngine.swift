// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// Does the jobs of one disk through a ring, on one thread that issues, sleeps and answers.
///
/// Promises:
/// 1. ``submit(_:)`` takes a lock for a few instructions and never does I/O: an event loop may call it.
/// 2. A job that the kernel has stays with its memory until the kernel has answered, also after ``abort()``.
/// 3. Jobs that come while the thread is at work go to the kernel together, without a waking.
final class RingEngine: Sendable {
    /// How many calls the kernel has at a time; more wait here.
    static let depth = 128

    private struct Inbox {
        var jobs: [FileJob] = []
        /// The thread sleeps or is about to: whoever brings something wakes it.
        var isAsleep = false
        var isAborting = false
        var isEnding = false
        var thread: WorkerThread?
    }
    private let inbox = Lock(Inbox())
    /// Jobs taken in and not answered; goes down before the answer, so that who has all answers sees zero.
    private let owed = Counter()
    private let ring: Ring
    private let backing: FileBacking

    private init(_ ring: Ring, _ backing: FileBacking) {
        self.ring = ring
        self.backing = backing
    }

    /// An engine with its thread running.
    /// - Throws: what keeps the machine from having rings, or threads.
    static func start(_ backing: FileBacking) throws(SystemError) -> RingEngine {
        let engine = RingEngine(try Ring(depth: depth), backing)
        let refusal = Lock<SystemError?>(nil)
        let isReady = Parker()
        let thread = try WorkerThread.start(name: "platter-ring") {
            do throws(SystemError) {
                // The thread that enables it is the one that may issue.
                try engine.ring.enable()
                isReady.raise()
                engine.run()
            } catch {
                refusal.withLock { $0 = error }
                isReady.raise()
            }
        }
        isReady.wait()
        if let error = refusal.withLock({ $0 }) {
            thread.join()
            throw error
        }
        engine.inbox.withLock { $0.thread = thread }
        return engine
    }

    func submit(_ job: FileJob) {
        let wakes = inbox.withLock { inbox in
            inbox.jobs.append(job)
            owed.add()
            defer { inbox.isAsleep = false }
            return inbox.isAsleep
        }
        if wakes { ring.wake() }
    }

    /// Answers what waits, and asks the kernel to give up what it can.
    func abort() {
        inbox.withLock { $0.isAborting = true }
        ring.wake()
    }

    /// Ends the thread once nothing is owed, and waits for it if that is so already. What the kernel still owes after a
    /// deadline is waited for by the thread alone, which holds the memory until then.
    func stop() {
        let thread = inbox.withLock { inbox in
            inbox.isEnding = true
            return inbox.thread.take()
        }
        ring.wake()
        if owed.value == 0 { thread?.join() }
    }

    // MARK: The thread

    private func run() {
        var desk = RingDesk(ring: ring, backing: backing, owed: owed, depth: Self.depth)
        var fresh: [FileJob] = []
        while true {
            let (isAborting, isEnding) = inbox.withLock { inbox in
                swap(&fresh, &inbox.jobs)
                inbox.isAsleep = fresh.isEmpty
                return (inbox.isAborting, inbox.isEnding)
            }
            if isAborting { desk.abort() }
            let isIdle = fresh.isEmpty
            for job in fresh { desk.take(job) }
            fresh.removeAll(keepingCapacity: true)
            if isEnding, owed.value == 0 { return }
            // Look for more before entering the kernel, but not while it has all it may have.
            if !isIdle, desk.hasRoom { continue }
            ring.submit(wait: true)
            desk.takeAnswers()
        }
    }
}

/// What the thread of a ``RingEngine`` has before it: the jobs that the kernel works on, by slot, and those that wait.
private struct RingDesk {
    private let ring: Ring
    private let backing: FileBacking
    private var slots: [FileJob?]
    private var free: [Int]
    private var waiting: [FileJob] = []
    private var firstWaiting = 0
    private var isAborting = false
    private let owed: Counter

    init(ring: Ring, backing: FileBacking, owed: Counter, depth: Int) {
        self.ring = ring
        self.owed = owed
        self.backing = backing
        slots = Array(repeating: nil, count: depth)
        free = Array((0..<depth).reversed())
    }

    var hasRoom: Bool { !free.isEmpty }

    mutating func take(_ job: FileJob) {
        if isAborting { return answer(job, .gone) }
        guard let slot = free.popLast() else { return waiting.append(job) }
        var job = job
        go(job.start(backing), job, slot)
    }

    private mutating func go(_ step: FileJob.Step, _ job: FileJob, _ slot: Int) {
        switch step {
        case .call(let call):
            slots[slot] = job
            while !ring.queue(call, on: backing.file, tag: UInt64(slot)) { ring.submit(wait: false) }
        case .done(let status):
            slots[slot] = nil
            free.append(slot)
            answer(job, status)
        }
    }

    private func answer(_ job: FileJob, _ status: BlockStatus) {
        owed.add(-1)
        job.answer(status)
    }

    mutating func takeAnswers() {
        while let completion = ring.popCompletion() {
            let slot = Int(completion.tag)
            guard var job = slots[slot] else { continue }
            let step = job.next(after: completion.result, backing)
            // What would need another call ends here: the disk is dead.
            if isAborting, case .call = step { go(.done(.gone), job, slot) } else { go(step, job, slot) }
        }
        while !free.isEmpty, firstWaiting < waiting.count {
            firstWaiting += 1
            take(waiting[firstWaiting - 1])
        }
        if firstWaiting == waiting.count, firstWaiting > 0 {
            waiting.removeAll(keepingCapacity: true)
            firstWaiting = 0
        }
    }

    /// Answers what waits for a slot and cancels what the kernel has; once.
    mutating func abort() {
        guard !isAborting else { return }
        isAborting = true
        for job in waiting[firstWaiting...] { answer(job, .gone) }
        waiting.removeAll()
        firstWaiting = 0
        for slot in slots.indices where slots[slot] != nil {
            while !ring.queueCancel(UInt64(slot)) { ring.submit(wait: false) }
        }
    }
}
