// SPDX-License-Identifier: Apache-2.0

public import CPlatter
internal import Glibc
internal import Synchronization

/// An event loop on a thread of its own: descriptors, timers, and jobs from other threads.
///
/// It sleeps in the kernel while there is nothing to do: no timer, no wake-up. It holds no state of a connection beyond
/// the registration, so a connection can move to another reactor by forgetting it here and watching it there.
///
/// A turn: descriptors that are ready, posted jobs, timers that are due, tasks put off by ``again(_:)``, and then the
/// tasks of ``atEndOfTurn(_:)``.
///
/// Its thread can be replaced. Where a handler calls code of others it says so, and if that does not return, another
/// thread goes on with the loop (see ``ReactorWatch``). What is left of the turn is therefore kept in properties, and
/// after each call the loop looks whether it is still its own.
///
/// - Context: ``post(_:)-(()->Void)``, ``isCurrent`` and ``stop()`` on any thread, everything else on the reactor's own.
public final class Reactor: @unchecked Sendable {
    // SAFETY: the properties marked "own thread" are touched by the reactor's thread only. It changes hands by the
    // exchange of `stay`, which only one of two threads wins. The rest is constant, atomic or behind a lock.

    /// The thread's name.
    public let name: String
    /// Memory for input, shared by everything on this reactor: valid until the handler returns. 512 KiB.
    public var scratch: IOMemory { scratchMemory }

    /// The kernel's number of the thread that runs the loop.
    private let threadNumber = Atomic<Int32>(0)
    /// Whether that thread sleeps now. Where the kernel does not say, yes: whoever asks has other reasons to think so.
    var isAsleep: Bool {
        let number = threadNumber.load(ordering: .relaxed)
        guard let text = ProcessFigures.read("/proc/self/task/\(number)/stat"), let name = text.lastIndex(of: ")")
        else { return true }
        return text[name...].dropFirst(2).first != "R"
    }

    /// The number of the last stay in code of others, times two, plus one while it lasts.
    let stay = Atomic<UInt64>(0)

    private let epoll: Descriptor
    private let wakeUp: Descriptor
    private let events: UnsafeMutablePointer<epoll_event>
    private let inbox = Lock(Inbox())
    private let thread = Lock<WorkerThread?>(nil)
    /// Up when the loop is over, whichever thread ended it.
    private let over = Parker()

    // Own thread. The dynamic check for overlapping access is off: one thread, and no use spans a call that leads back.
    @exclusivity(unchecked) private var slots: [Slot] = []
    @exclusivity(unchecked) private var freeSlots: [Int] = []
    @exclusivity(unchecked) private var timers = TimerHeap()
    @exclusivity(unchecked) private var putOff: [any ReactorTask] = []
    @exclusivity(unchecked) private var turnCount = 0
    @exclusivity(unchecked) private var scratchMemory: IOMemory
    @exclusivity(unchecked) private var scratchBuffer: IOBuffer
    @exclusivity(unchecked) private var retired: IOBuffer?
    @exclusivity(unchecked) private var isStopping = false
    @exclusivity(unchecked) private var guest: Unretained<AnyObject>?
    @exclusivity(unchecked) private var guestRegistration: Registration?
    // What is left of the turn, each with the place of the next.
    @exclusivity(unchecked) private var jobs: [Job] = []
    @exclusivity(unchecked) private var nextJob = 0
    @exclusivity(unchecked) private var putOffBefore: [any ReactorTask] = []
    @exclusivity(unchecked) private var nextPutOff = 0
    @exclusivity(unchecked) private var endOfTurn: [any ReactorTask] = []
    @exclusivity(unchecked) private var nextAtEnd = 0

    private static let eventsPerTurn = 64
    private static let scratchSize = 512 << 10
    private static let wakeUpData = UInt64.max

    private struct Slot {
        var handler: (any ReactorHandler)?
        var generation: UInt32 = 0
    }

    private enum Job {
        case closure(@Sendable () -> Void)
        case task(any ReactorTask)
    }

    private struct Inbox {
        var jobs: [Job] = []
        /// The thread is, or is about to be, asleep: the first job must wake it.
        var isSleeping = false
        var isStopping = false
        var hasEnded = false
    }

    private init(name: String) throws(SystemError) {
        self.name = name
        epoll = try Descriptor(result: platter_epoll_create())
        wakeUp = try Descriptor(result: platter_eventfd())
        scratchBuffer = try IOBuffer(count: Self.scratchSize)
        scratchMemory = scratchBuffer.memory
        let added = platter_epoll_add(epoll.number, wakeUp.number, 1, Self.wakeUpData)
        guard added == 0 else { throw SystemError(errno: -added) }
        events = .allocate(capacity: Self.eventsPerTurn)
    }

    deinit { events.deallocate() }

    /// Makes a reactor and starts its thread, which lives until ``stop()``.
    public static func start(name: String) throws(SystemError) -> Reactor {
        let reactor = try Reactor(name: name)
        let thread = try WorkerThread.start(name: name) { reactor.loop() }
        reactor.thread.withLock { $0 = thread }
        ReactorWatch.shared.add(reactor)
        return reactor
    }

    /// Ends the loop after the jobs that are posted by now, and waits for that. Whoever still watches is forgotten.
    /// A thread that strayed into code of others is not waited for.
    public func stop() {
        let wake = inbox.withLock { inbox -> Bool in
            inbox.isStopping = true
            defer { inbox.isSleeping = false }
            return inbox.isSleeping
        }
        if wake { _ = platter_eventfd_raise(wakeUp.number) }
        over.wait()
        ReactorWatch.shared.remove(self)
        let thread = thread.withLock { $0.take() }
        thread?.join()
    }

    /// Whether the caller runs on this reactor's thread.
    public var isCurrent: Bool { Self.currentIdentity == identity }

    /// The ``identity`` of the reactor that this thread runs; 0: none. For who asks once per I/O.
    @inlinable public static var currentIdentity: UInt { platter_get_reactor() }

    /// A number that no other living reactor has; never 0.
    public var identity: UInt { UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()) }

    /// Turns since the start: what the tests count idle wake-ups by. Only a hint on other threads.
    public var turns: Int { turnCount }

    // MARK: Jobs from any thread

    /// Runs `job` on the reactor's thread, soon. False when the reactor has ended: then it will not run.
    @discardableResult
    public func post(_ job: @escaping @Sendable () -> Void) -> Bool { post(.closure(job)) }

    /// Runs `task` on the reactor's thread, soon. False when the reactor has ended: then it will not run.
    @discardableResult
    public func post(_ task: any ReactorTask) -> Bool { post(.task(task)) }

    private func post(_ job: Job) -> Bool {
        let (taken, wake) = inbox.withLock { inbox -> (Bool, Bool) in
            if inbox.hasEnded { return (false, false) }
            inbox.jobs.append(job)
            // One write for a burst: the thread looks into the inbox before it sleeps again.
            defer { inbox.isSleeping = false }
            return (true, inbox.isSleeping)
        }
        if wake { _ = platter_eventfd_raise(wakeUp.number) }
        return taken
    }

    // MARK: On the reactor's thread

    /// Watches a descriptor, which the handler keeps open until it is forgotten.
    public func watch(
        _ descriptor: borrowing Descriptor, for interest: Readiness, _ handler: any ReactorHandler
    ) throws(SystemError) -> Registration {
        let slot = freeSlots.popLast() ?? slots.count
        if slot == slots.count { slots.append(Slot()) }
        let generation = slots[slot].generation
        let result = platter_epoll_add(
            epoll.number, descriptor.number, interest.rawValue, UInt64(generation) << 32 | UInt64(slot))
        guard result == 0 else {
            freeSlots.append(slot)
            throw SystemError(errno: -result)
        }
        slots[slot].handler = handler
        return Registration(slot: slot, generation: generation, descriptor: descriptor.number, interest: interest)
    }

    /// Changes what a descriptor is watched for.
    public func watch(_ registration: inout Registration, for interest: Readiness) {
        guard interest != registration.interest else { return }
        registration.interest = interest
        // A guest that strayed only notes it, for its way back.
        if isCurrent { watchAgain(registration) }
    }

    /// Watches for what the registration says, whatever was watched for before.
    public func watchAgain(_ registration: Registration) {
        let data = UInt64(registration.generation) << 32 | UInt64(registration.slot)
        _ = platter_epoll_change(epoll.number, registration.descriptor, registration.interest.rawValue, data)
    }

    /// Stops watching; before the descriptor is closed. No event that is on its way reaches the handler any more.
    public func forget(_ registration: Registration) {
        // A reactor that has ended has forgotten everybody.
        guard slots.indices.contains(registration.slot),
            slots[registration.slot].generation == registration.generation
        else { return }
        _ = platter_epoll_remove(epoll.number, registration.descriptor)
        slots[registration.slot].handler = nil
        slots[registration.slot].generation &+= 1
        freeSlots.append(registration.slot)
    }

    /// Descriptors that are watched.
    public var watched: Int { slots.count - freeSlots.count }

    /// Runs `body` once, after `delay`.
    public func after(_ delay: Duration, _ body: @escaping () -> Void) -> ReactorTimer {
        timers.add(at: Instant.now + delay, body)
    }

    /// Forgets a timer.
    public func cancel(_ timer: ReactorTimer) { timers.cancel(timer) }

    /// Runs `task` in the next turn, after everybody else has had theirs.
    public func again(_ task: any ReactorTask) { putOff.append(task) }

    /// Runs `task` when this turn is over, once: what was collected in it goes out together.
    public func atEndOfTurn(_ task: any ReactorTask) { endOfTurn.append(task) }

    // MARK: Code of others

    /// What follows, until ``endForeign(_:)``, may call code of others; in between the guest does not use the reactor.
    ///
    /// If it takes over a tenth of a second, another thread goes on with the loop, and the guest is told.
    /// - Parameter registration: the guest's descriptor, which is then not watched until its way back.
    /// - Returns: what ends the stay.
    public func beginForeign(_ guest: any ReactorGuest, _ registration: Registration?) -> ForeignStay {
        // Not counted: the caller's frame keeps it.
        self.guest = Unretained(guest)
        guestRegistration = registration
        let word = (stay.load(ordering: .relaxed) | 1) &+ 2
        // Before the look at the watch, which looks at this word once more before it sleeps.
        stay.store(word, ordering: .sequentiallyConsistent)
        ReactorWatch.shared.rouse()
        return ForeignStay(word: word)
    }

    /// Ends a stay. False: the loop has gone on without this thread, which is none of the reactor's any more. The guest
    /// may finish what concerns nobody else, and then posts its way back.
    public func endForeign(_ foreign: ForeignStay) -> Bool {
        // Release: whoever adopts the loop later sees what this thread did. Acquire: a stray sees that it is one.
        let isOurs = stay.compareExchange(
            expected: foreign.word, desired: foreign.word - 1, ordering: .acquiringAndReleasing
        ).exchanged
        if !isOurs { platter_set_reactor(0) }
        return isOurs
    }

    /// On the watch's thread: gives the loop to a new thread, if its own is still in the stay of `word`.
    func adopt(_ word: UInt64) throws(SystemError) {
        let successor = Successor(try IOBuffer(count: Self.scratchSize))
        let thread = try WorkerThread.start(name: name) { [self] in
            successor.decided.wait()
            if successor.isHeir { loop(after: successor) }
        }
        // Nothing can fail after this.
        successor.isHeir =
            stay.compareExchange(
                expected: word, desired: word - 1, ordering: .acquiringAndReleasing
            ).exchanged
        if successor.isHeir { self.thread.withLock { $0 = thread } }
        successor.decided.raise()
    }

    /// What a new thread begins with, once it is decided whether it is needed.
    private final class Successor: @unchecked Sendable {
        // SAFETY: written by the watch before it raises `decided`, read by the new thread after that.
        var isHeir = false
        var scratch: IOBuffer?
        let decided = Parker()
        init(_ scratch: consuming IOBuffer) { self.scratch = consume scratch }
    }

    private func loop(after successor: Successor) {
        // The stray goes on with the old memory, which its guest keeps.
        if var fresh = successor.scratch.take() {
            swap(&fresh, &scratchBuffer)
            scratchMemory = scratchBuffer.memory
            retired = consume fresh
        }
        if var registration = guestRegistration {
            registration.interest = []
            watchAgain(registration)
        }
        let strayed = guest?.object as? any ReactorGuest
        platter_set_reactor(identity)
        strayed?.strayed(from: self)
        loop()
    }

    /// The memory that the thread which strayed last still uses: for its guest to keep.
    public func takeRetired() -> IOBuffer? { retired.take() }

    // MARK: The loop

    private func loop() {
        platter_set_reactor(identity)
        threadNumber.store(platter_thread_number(), ordering: .relaxed)
        // What another thread has left of its turn comes first.
        finishTurn()
        while isCurrent, !isStopping {
            // Those put off in this turn belong to the next one, which then does not wait for descriptors.
            swap(&putOff, &putOffBefore)
            takeEvents(waiting: putOffBefore.isEmpty)
            guard isCurrent else { return }
            turnCount += 1
            takeJobs()
            finishTurn()
        }
        while isCurrent, !hasEnded() { finishTurn() }
        guard isCurrent else { return }
        timers.removeAll()
        slots.removeAll()
        freeSlots.removeAll()
        platter_set_reactor(0)
        over.raise()
    }

    private func takeEvents(waiting: Bool) {
        var timeout: Int64 = 0
        if waiting {
            timeout = inbox.withLock { inbox in
                guard inbox.jobs.isEmpty, !inbox.isStopping else { return 0 }
                inbox.isSleeping = true
                return -1
            }
            if timeout != 0, let soonest = timers.soonest {
                timeout = Int64(clamping: (soonest - Instant.now).nanoseconds)
            }
        }
        let count = platter_epoll_wait(epoll.number, events, Int32(Self.eventsPerTurn), timeout)
        guard count > 0 else { return }
        for index in 0..<count {
            deliver(index)
            // The rest is told again: it is level-triggered.
            guard isCurrent else { return }
        }
    }

    private func deliver(_ index: Int32) {
        let data = platter_event_data(events, index)
        if data == Self.wakeUpData { return platter_eventfd_lower(wakeUp.number) }
        let slot = Int(truncatingIfNeeded: data & 0xffff_ffff)
        // A handler that was forgotten earlier in this turn, and perhaps replaced, has another generation.
        guard slots[slot].generation == UInt32(data >> 32), let handler = slots[slot].handler else { return }
        let kinds = platter_event_kinds(events, index)
        var readiness: Readiness = []
        if kinds & EPOLLIN.rawValue != 0 { readiness.insert(.read) }
        if kinds & EPOLLOUT.rawValue != 0 { readiness.insert(.write) }
        if kinds & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { readiness.insert(.broken) }
        handler.ready(readiness, on: self)
    }

    /// Jobs that were posted become part of the turn.
    private func takeJobs() {
        inbox.withLock { inbox in
            inbox.isSleeping = false
            isStopping = inbox.isStopping
            if !inbox.jobs.isEmpty { swap(&jobs, &inbox.jobs) }
        }
    }

    /// Jobs, timers, what was put off, and the end of the turn; or what is left of them.
    private func finishTurn() {
        while nextJob < jobs.count {
            let job = jobs[nextJob]
            nextJob += 1
            switch job {
            case .closure(let body): body()
            case .task(let task): task.run(on: self)
            }
            guard isCurrent else { return }
        }
        jobs.removeAll(keepingCapacity: true)
        nextJob = 0
        runTimers()
        while nextPutOff < putOffBefore.count {
            let task = putOffBefore[nextPutOff]
            nextPutOff += 1
            task.run(on: self)
            guard isCurrent else { return }
        }
        putOffBefore.removeAll(keepingCapacity: true)
        nextPutOff = 0
        // Those that one of them adds belong to this turn as well.
        while nextAtEnd < endOfTurn.count {
            let task = endOfTurn[nextAtEnd]
            nextAtEnd += 1
            task.run(on: self)
            guard isCurrent else { return }
        }
        endOfTurn.removeAll(keepingCapacity: true)
        nextAtEnd = 0
    }

    private func runTimers() {
        guard let soonest = timers.soonest else { return }
        let now = Instant.now
        guard soonest <= now else { return }
        while let body = timers.popDue(at: now) { body() }
    }

    /// Jobs that came while the last turn ran still run; after that nobody is let in.
    private func hasEnded() -> Bool {
        swap(&putOff, &putOffBefore)
        takeJobs()
        return inbox.withLock { inbox in
            if jobs.isEmpty, putOffBefore.isEmpty, inbox.jobs.isEmpty { inbox.hasEnded = true }
            return inbox.hasEnded
        }
    }
}

/// A stay in code of others.
public struct ForeignStay: Sendable {
    let word: UInt64
}
