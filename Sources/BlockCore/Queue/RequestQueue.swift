// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// The way to the driver: the gate, the size, the workers for what may take long.
final class RequestQueue: Sendable {
    /// The most that an inline driver moves on an event loop in one call: 8 µs or so; a 32 MiB copy took 18 ms there (F3).
    static let inlineBytes = 256 << 10
    /// The most that it punches there in one call.
    static let inlinePunchBytes = 1 << 20

    let gate: Gate
    let profile: DriverProfile
    let watch = SubmitWatch()
    /// The driver was found to be slower than it declared. Here and not in the watch: it is read for each I/O.
    private let isDemoted = Atomic<Bool>(false)
    /// Flushes go to the driver: it has a write cache, and nobody has said that it can be relied on.
    private let writeCache: Atomic<Bool>
    /// I/O is counted in the statistics.
    let countsIO = Atomic<Bool>(true)
    /// Its batches are measured. Here, too, because it is read for each batch.
    private let isSuspected = Atomic<Bool>(false)
    /// What waits here instead of at the driver, and why.
    let room = WaitingRoom()
    /// The places at the driver; nil: it takes any number.
    let tags: TagSet?
    /// What one request may be; see ``limits``.
    let limitCell = RequestQueue.limitCells.take(1) { _ in QueueLimits() }
    private static let limitCells = StablePool<QueueLimits>()
    /// How long a request may take; nil: as long as it takes.
    let timeout: Duration?
    /// Whether the watch over what takes too long is set.
    let isTimerSet = Atomic<Bool>(false)
    let timerTag = Reaper.shared.newTag()
    /// Whether ``tracer`` is there; a change becomes a matter of the careful way with ``lookAgain()``.
    let isTraced = Atomic<Bool>(false)
    /// Who writes down what happens here.
    let tracer = Lock<TraceWriter?>(nil)
    private let workers: DiskWorkers
    private let keepsStyle: Bool
    private let capacityCell: Atomic<UInt64>
    /// The driver, until it is let go; a bare address, because a reference on the hot path would be counted. Its lowest
    /// bit says that there is more to look at than where the driver is: limits, tags, a pause, a
    /// timeout, a trace, no statistics.
    private let link: Atomic<UInt>
    private static let carefully: UInt = 1
    private let look = Lock(())

    init(
        gate: Gate, driver: any BlockDriver, profile: DriverProfile, name: String, keepsStyle: Bool, tags: TagSet? = nil
    ) {
        self.gate = gate
        self.profile = profile
        self.keepsStyle = keepsStyle
        writeCache = Atomic(profile.hasWriteCache)
        self.tags = tags ?? (profile.queueDepth > 0 ? TagSet(depth: profile.queueDepth) : nil)
        timeout = profile.timeout.flatMap { $0 > .zero ? $0 : nil }
        capacityCell = Atomic(driver.capacity)
        let link = DriverLink(driver)
        self.link = Atomic(Retained.take(link))
        workers = DiskWorkers(name: name, limit: profile.style == .mayBlock ? 16 : 4)
        limitCell.element = profile.limits ?? QueueLimits()
        lookAgain()
    }

    deinit {
        // A disk that was never published: nobody called `letDriverGo`.
        letDriverGo()
        Self.limitCells.giveBack(limitCell, count: 1)
    }

    /// How the driver's submit is called now.
    @inline(__always)
    var style: SubmissionStyle { isDemoted.load(ordering: .relaxed) ? .mayBlock : profile.style }

    /// Whether flushes go to the driver. Set only while nobody is inside and the gate is shut.
    var hasWriteCache: Bool { writeCache.load(ordering: .relaxed) }
    func setWriteCache(_ isOn: Bool) { writeCache.store(isOn, ordering: .relaxed) }

    /// From now on worker threads call the driver's submit, whatever it declared.
    func demote() { isDemoted.store(true, ordering: .relaxed) }

    /// A batch took more than a millisecond on the thread that submitted it.
    func noteSlowBatch(_ before: ThreadUsage?, took elapsed: UInt64) {
        switch watch.judge(before, took: elapsed) {
        case .fine: break
        case .suspected: isSuspected.store(true, ordering: .relaxed)
        case .cleared: isSuspected.store(false, ordering: .relaxed)
        case .convicted: if !keepsStyle { demote() }
        }
    }

    /// What the kernel counts of this thread, for a disk whose batches are measured; nil for all others.
    @inline(__always)
    func usageBefore() -> ThreadUsage? { isSuspected.load(ordering: .relaxed) ? ThreadUsage.current : nil }

    /// Sectors now; 0 once the gate is dead.
    var capacity: UInt64 { capacityCell.load(ordering: .relaxed) }
    func setCapacity(_ sectors: UInt64) { capacityCell.store(sectors, ordering: .relaxed) }

    /// Hands a slot to the driver. Only with a lease of the slot's held, so that the driver is there.
    @inline(__always)
    func dispatch(_ slot: Stable<BioSlot>) {
        let bits = link.load(ordering: .relaxed)
        guard bits & Self.carefully == 0, slot.element.operation != .flush else {
            dispatchCarefully(slot)
            return
        }
        Retained<DriverLink>.use(bits) { $0.driver.submit(Bio(slot)) }
    }

    /// The last step of every submission that was looked at.
    func submitToDriver(_ slot: Stable<BioSlot>) {
        Retained<DriverLink>.use(link.load(ordering: .relaxed) & ~Self.carefully) { $0.driver.submit(Bio(slot)) }
    }

    /// Sets the bit that sends submissions the careful way, or takes it off. What must not miss it is let in later than
    /// this, or waited for.
    func lookAgain() { look.withLock { _ in setCarefulBit() } }

    private func setCarefulBit() {
        if tags != nil || timeout != nil || room.isPaused || limitCell.element.isLimiting || !isCounting
            || isTraced.load(ordering: .relaxed)
        {
            link.bitwiseOr(Self.carefully, ordering: .sequentiallyConsistent)
        } else {
            link.bitwiseAnd(~Self.carefully, ordering: .sequentiallyConsistent)
        }
    }

    /// The limits in force. Set only while nobody is inside and the gate is shut: those inside read them without a lock.
    var limits: QueueLimits {
        get { look.withLock { _ in limitCell.element } }
        set {
            look.withLock { _ in
                limitCell.element = newValue
                setCarefulBit()
            }
        }
    }

    /// Puts a slot in the line for the disk's worker threads, who give its submit lease back.
    func handToWorker(_ slot: Stable<BioSlot>) {
        guard workers.append(slot) else { return }
        do throws(SystemError) {
            _ = try WorkerThread.start(name: "pl-\(workers.name)") { [self] in workers.work(runOnWorker) }
        } catch {
            // No thread to be had: what nobody would ever come for is answered, and the event loop stays one.
            answer(workers.threadFailed(), .noMemory)
        }
    }

    private func runOnWorker(_ slot: Stable<BioSlot>) {
        let cells = gate.cells
        ThreadContext.inside = OpenerCore.foreign
        if gate.isDead {
            // Counted before the cut, but the driver has not seen it: it need not, and it shall not (R2).
            Completion.answer(slot, .gone)
        } else if slot.element.todo.contains(.underWay) {
            dispatchCarefully(slot)
        } else {
            dispatch(slot)
        }
        ThreadContext.inside = 0
        if !cells.leave(1) { cells.wake() }
        OpenerCore.runPutOff()
    }

    /// Fails what waits here for anything: a worker, a resume, a tag, a flush, its next try. The gate is dead, so that
    /// nothing more comes to wait. Returns how many that were.
    @discardableResult
    func failWaiting() -> Int {
        Reaper.shared.cancel(tag: timerTag)
        let waiting = workers.takeAll()
        answer(waiting, .gone)
        var count = waiting.count
        for var list in room.takeAll() + [tags?.takeWaiting(of: self) ?? SlotList()] {
            count += list.count
            while let slot = list.popFirst() { Completion.answer(slot, .gone) }
        }
        return count
    }

    /// Answers slots that no driver has seen, with both their leases.
    private func answer(_ slots: SlotList, _ status: BlockStatus) {
        var slots = slots
        let cells = gate.cells
        while let slot = slots.popFirst() {
            Completion.answer(slot, status)
            if !cells.leave(1) { cells.wake() }
        }
    }

    /// The driver, with the caller holding a ticket or having seen the gate drained.
    var driver: (any BlockDriver)? {
        let bits = link.load(ordering: .acquiring) & ~Self.carefully
        return bits == 0 ? nil : Retained<DriverLink>.use(bits) { $0.driver }
    }

    /// Drops the reference to the driver, and ends the workers. After the drain, once nobody calls it any more.
    func letDriverGo() {
        workers.end()
        let bits = link.exchange(0, ordering: .acquiringAndReleasing) & ~Self.carefully
        if bits != 0 { Retained<DriverLink>.release(bits) }
    }
}

/// Holds the driver in a constant property, which needs no counting to call.
private final class DriverLink: Sendable {
    let driver: any BlockDriver
    init(_ driver: any BlockDriver) { self.driver = driver }
}

/// The threads that a disk's long or blocking I/O runs on; started when needed, asleep otherwise.
private final class DiskWorkers: Sendable {
    private struct State {
        var waiting = SlotList()
        var idle = 0
        var threads = 0
        var hasEnded = false
    }
    private let state = Lock(State())
    private let bell = Bell()
    let name: String
    private let limit: Int

    init(name: String, limit: Int) {
        self.name = name
        self.limit = limit
    }

    /// Appends, and says whether the caller has to start a thread for it.
    func append(_ slot: Stable<BioSlot>) -> Bool {
        let needsThread = state.withLock { state in
            state.waiting.append(slot)
            guard state.waiting.count > state.idle, state.threads < limit else { return false }
            state.threads += 1
            return true
        }
        if !needsThread { bell.ring() }
        return needsThread
    }

    /// A thread could not be started: gives what is left without anybody to do it.
    func threadFailed() -> SlotList {
        state.withLock { state in
            state.threads -= 1
            return state.threads == 0 ? state.waiting.takeAll() : SlotList()
        }
    }

    func takeAll() -> SlotList { state.withLock { $0.waiting.takeAll() } }

    func end() {
        state.withLock { $0.hasEnded = true }
        bell.ringAll()
    }

    func work(_ run: (Stable<BioSlot>) -> Void) {
        while true {
            let heard = bell.value
            let (slot, ended) = state.withLock { state in
                let slot = state.waiting.popFirst()
                if slot == nil {
                    if state.hasEnded { state.threads -= 1 } else { state.idle += 1 }
                }
                return (slot, state.hasEnded)
            }
            if let slot {
                run(slot)
            } else if ended {
                return
            } else {
                bell.wait(after: heard)
                state.withLock { $0.idle -= 1 }
            }
        }
    }
}
