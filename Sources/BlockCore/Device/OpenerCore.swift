// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// What only the thread that submits through an opener touches.
struct SubmitterState {
    /// The free slots, linked through themselves.
    var freeHead: UInt = 0
    /// When the batch began; 0: no batch is open.
    var batchStart: UInt64 = 0
    /// Whether the batch has a lease that serves all its submissions.
    var batchHoldsLease = false
    /// What the scheduler said of the thread when the batch began, for a disk under suspicion.
    var batchUsage: ThreadUsage?
    /// What was answered inline in this batch, by group of operations.
    var batchCounts = InlineArray<4, UInt64>(repeating: 0)
}

/// What is behind an ``Opener``: a slab of slots, the way down to the driver and the way back to the sink.
///
/// Who may touch what:
/// - `submit`, `beginBatch`, `endBatch` and the free list belong to the one thread that holds the opener at a time (the
///   noncopyable ``Opener`` and its mutating methods see to it).
/// - Answers come on any thread. On another one than the submitter's the slot comes back over `returned`.
/// - The disk's table of openers keeps it alive until it is closed and every slot is back.
final class OpenerCore: Sendable {
    static let slots = StablePool<BioSlot>()
    static let submitters = StablePool<SubmitterState>()

    let disk: Disk
    let device: BlockDevice
    let queue: RequestQueue
    let cells: UsageCells
    let partitionCells: UsageCells?
    let latency: LatencyCells
    let sink: any BioSink
    /// Who hears of the disk's end, and for whom it claims.
    let standing: Lock<Standing>
    let mode: OpenMode
    let record: OpenerRecord
    let id: UInt64
    /// Of the core itself (a scan, a flush): no opener in the sense of the removal, and the driver is not told.
    let isPrivate: Bool
    let depth: Int
    /// More than the depth: an answer is delivered before its slot is back, so a submitter that keeps exactly `depth` in
    /// flight needs a slot for what it submits upon an answer.
    let slotCount: Int
    private static let slack = 32
    let slab: Stable<BioSlot>
    private let logicalMask: UInt64

    /// What only the submitting thread touches. In pool memory instead of in properties: the noncopyable handle already
    /// gives one thread at a time the opener, and a dynamic exclusivity check of each access would cost more than the
    /// rest of a submission.
    let own: Stable<SubmitterState>

    /// Set by whichever thread runs the first write.
    private let wrote = Atomic<Bool>(false)
    /// Slots that were answered on other threads: a stack by slot address, or, once closed, the number that is still
    /// out, times two, plus one.
    let returned = Atomic<UInt>(0)
    /// Set by close: answers are swallowed from now on.
    let isOrphaned = Atomic<Bool>(false)
    /// Threads that are in the submitter's memory and are not the submitter's own.
    let borrowers = Atomic<Int>(0)
    /// Under the disk's lock: closed, and kept for the answers that are still to come.
    private let closedFlag = Atomic<Bool>(false)
    var isClosed: Bool { closedFlag.load(ordering: .relaxed) }
    func markClosed() { closedFlag.store(true, ordering: .relaxed) }
    /// The medium that the handle is about; 0 where there is none, or none that could be changed.
    let medium: Atomic<UInt64>
    /// Answers that came after the close.
    let swallowed = Counter()

    init(
        device: BlockDevice, mode: OpenMode, record: OpenerRecord, id: UInt64, depth: Int, sink: any BioSink,
        delegate: (any OpenerDelegate)?, isPrivate: Bool
    ) {
        self.isPrivate = isPrivate
        self.device = device
        disk = device.disk
        medium = Atomic(device.disk.media?.number ?? 0)
        queue = device.disk.queue
        cells = device.disk.queue.gate.cells
        partitionCells = device.takeCells()
        latency = device.disk.latency
        self.mode = mode
        self.record = record
        self.id = id
        self.depth = depth
        self.sink = sink
        standing = Lock(Standing(delegate: delegate))
        logicalMask = UInt64(device.disk.profile.logicalBlockSize / sectorSize - 1)
        own = Self.submitters.take(1) { _ in SubmitterState() }
        own.element = SubmitterState()
        slotCount = depth + Self.slack
        slab = Self.slots.take(slotCount) { _ in BioSlot() }
        for index in (0..<slotCount).reversed() {
            let slot = slab.advanced(by: index)
            // Kept alive by the disk's table of openers: see the type's rules.
            slot.element.core = Unretained(self)
            slot.element.next = own.element.freeHead
            own.element.freeHead = slot.bits
        }
    }

    deinit {
        Self.slots.giveBack(slab, count: slotCount)
        Self.submitters.giveBack(own, count: 1)
    }

    /// How the driver's submit is called now.
    @inline(__always)
    private var style: SubmissionStyle { queue.style }

    /// Whether anything was written through it; for the closer, who has the handle.
    var hasWritten: Bool { wrote.load(ordering: .relaxed) }

    // MARK: Submitting

    func submit(
        _ operation: BioOperation, _ range: SectorRange, _ flags: BioFlags, _ data: consuming BioData, _ token: UInt64
    ) {
        guard let slot = takeFree() else {
            refuseWithoutSlot(data, token)
            return
        }
        fill(slot, operation, range, flags, data, token)
        // Inside another submission of this thread: put off, so that the stack does not grow with the chain (F4).
        if ThreadContext.inside != 0 {
            Self.putOff(slot)
            return
        }
        // Inside from here: what a sink submits upon a refusal is put off, too.
        ThreadContext.inside = Self.foreign
        run(slot, isForeign: false)
        ThreadContext.inside = 0
        if ThreadContext.putOffHead != 0 { Self.runPutOff() }
    }

    func fill(
        _ slot: Stable<BioSlot>, _ operation: BioOperation, _ range: SectorRange, _ flags: BioFlags,
        _ data: consuming BioData, _ token: UInt64
    ) {
        slot.element.operation = operation
        slot.element.flags = flags
        slot.element.sector = range.start
        slot.element.sectorCount = operation == .flush ? 0 : range.count
        slot.element.token = token
        slot.element.todo = []
        slot.element.isForWorker = false
        slot.element.bounced = .none
        switch consume data {
        case .none: slot.element.memory = .none
        case .borrowed(let memory): slot.element.memory = memory
        case .owned(let buffer, let count):
            slot.element.memory = buffer.memory.slice(0, min(count, buffer.count))
            slot.element.buffer = consume buffer
        }
        slot.element.phase.store(BioSlot.Phase.filled.rawValue, ordering: .relaxed)
    }

    func run(_ slot: Stable<BioSlot>, isForeign: Bool) {
        // Put off, its submit has returned: the opener may be closed by now, and borrowed memory gone.
        if isForeign, !lend(slot) {
            refuse(slot, .gone)
            return
        }
        if let refusal = check(slot) {
            endLending(slot)
            refuse(slot, refusal)
            return
        }
        // With a copy of its own it needs the submitter's no longer.
        if isForeign, slot.element.buffer != nil { endLending(slot) }
        enterAndDispatch(slot, isForeign: isForeign)
    }

    /// The checks that nobody else has to make again. Turns the device's sectors into the disk's.
    private func check(_ slot: Stable<BioSlot>) -> BlockStatus? {
        let operation = slot.element.operation
        let range = SectorRange(start: slot.element.sector, count: slot.element.sectorCount)
        if operation == .flush || !slot.element.flags.isDisjoint(with: [.fua, .preflush]) {
            if let refusal = checkFlush(slot) { return refusal }
            if slot.element.operation == .flush { return nil }
        }
        // A dead disk has size 0; it must answer "gone", which the gate does.
        guard range.fits(in: device.size) else { return queue.gate.isDead ? nil : beyondEnd }
        slot.element.sector = range.start + device.start
        // Once more against the disk: it may have shrunk below the partition.
        guard
            SectorRange(start: slot.element.sector, count: range.count).fits(in: queue.capacity)
                || queue.gate.isDead
        else { return beyondEnd }
        guard (range.start | range.count) & logicalMask == 0 else { return .invalid }
        if operation.isWrite {
            guard mode.contains(.write), !disk.isReadOnly else { return .readOnly }
            if !wrote.load(ordering: .relaxed) { wrote.store(true, ordering: .relaxed) }
        } else if !mode.contains(.read) {
            return .invalid
        }
        switch operation {
        case .read, .write:
            guard UInt64(slot.element.memory.count) == range.count &* UInt64(sectorSize) else { return .invalid }
        case .discard: guard queue.profile.discard != .unsupported else { return .notSupported }
        case .writeZeroes:
            guard queue.profile.writeZeroes != .unsupported else { return .notSupported }
            if queue.profile.writeZeroes == .emulated { slot.element.todo.insert(.planned) }
        case .flush: break
        }
        if !isInline(operation, bytes: Int(clamping: range.count &* UInt64(sectorSize))) {
            slot.element.isForWorker = style != .async
            if operation.hasData, slot.element.buffer == nil {
                // The driver was found too slow since the submitter asked: he would take his memory for filled.
                if slot.element.flags.contains(.noWait), style != queue.profile.style { return .again }
                if let refusal = bounce(slot) { return refusal }
            }
        }
        return slot.element.todo.contains(.planned) ? plan(slot) : nil
    }

    /// A flush, or something with a flush before it or after it: an empty write with one before it is a flush.
    @inline(never)
    private func checkFlush(_ slot: Stable<BioSlot>) -> BlockStatus? {
        if slot.element.operation != .flush {
            let isBefore = slot.element.flags.contains(.preflush)
            guard slot.element.operation.isWrite else { return isBefore ? .invalid : nil }
            guard isBefore, slot.element.operation == .write, slot.element.sectorCount == 0 else {
                RequestPlan.keepWhole(slot)
                return nil
            }
            guard mode.contains(.write), !disk.isReadOnly else { return .readOnly }
            slot.element.operation = .flush
            slot.element.flags.subtract([.fua, .preflush])
        }
        guard mode.contains(.write) || mode.contains(.read) else { return .invalid }
        slot.element.isForWorker = style == .mayBlock && queue.hasWriteCache
        return nil
    }

    private func isEmulated(_ operation: BioOperation) -> Bool {
        operation == .writeZeroes && queue.profile.writeZeroes == .emulated
    }

    /// A write in steps, where the device does not do by itself what is asked: flushes around it, zeroes in pieces.
    @inline(never)
    private func plan(_ slot: Stable<BioSlot>) -> BlockStatus? {
        slot.element.todo.remove(.planned)
        let isZeroes = isEmulated(slot.element.operation)
        let asked = slot.element.flags
        slot.element.flags.subtract(.preflush)
        // Without a cache everything acknowledged is as durable as it will be.
        if !queue.hasWriteCache || queue.profile.fua != .native { slot.element.flags.subtract(.fua) }
        let before = asked.contains(.preflush) && queue.hasWriteCache
        let after = asked.contains(.fua) && queue.hasWriteCache && queue.profile.fua != .native
        guard before || after || isZeroes else { return nil }
        if isZeroes {
            // Written zeroes are as slow as any others; and several requests are not done at once.
            if asked.contains(.fastZero) { return .notSupported }
            let pieceSectors = UInt64(RequestPlan.zeroBytes / sectorSize)
            if asked.contains(.noWait), slot.element.sectorCount > pieceSectors { return .again }
        }
        RequestPlan.begin(slot, flushesBefore: before, flushesAfter: after, isZeroes: isZeroes)
        return nil
    }

    /// Whether an I/O of this size runs on the submitting thread and is over when the driver's submit returns.
    func isInline(_ operation: BioOperation, bytes: Int) -> Bool {
        // Most are short enough to be so whatever they do.
        style == .inline
            && (bytes <= RequestQueue.inlineBytes
                || bytes <= RequestQueue.inlinePunchBytes && !operation.hasData && !isEmulated(operation))
    }

    /// Gives the driver memory of ours instead of the submitter's: it may keep it beyond the submission.
    @inline(never)
    private func bounce(_ slot: Stable<BioSlot>) -> BlockStatus? {
        let target = slot.element.memory
        do throws(SystemError) {
            let buffer = try IOBuffer(count: target.count)
            let memory = buffer.memory.slice(0, target.count)
            if slot.element.operation == .write { memory.copy(from: target) }
            slot.element.bounced = target
            slot.element.memory = memory
            slot.element.buffer = consume buffer
            return nil
        } catch {
            return .noMemory
        }
    }

    /// - Parameter isForeign: on another thread than the submitter's, whose free list and batch it may not touch.
    private func enterAndDispatch(_ slot: Stable<BioSlot>, isForeign: Bool = false) {
        let forWorker = slot.element.isForWorker
        // One lease ends when submit has returned, one when the answer was delivered (F1); a batch has one for all
        // submissions together.
        let leases: UInt64 = !isForeign && own.element.batchHoldsLease && !forWorker ? 1 : 2
        slot.element.phase.store(BioSlot.Phase.entering.rawValue, ordering: .relaxed)
        guard cells.enter(leases) || passesFrozen(slot) else {
            leave(leases)
            slot.element.phase.store(BioSlot.Phase.filled.rawValue, ordering: .releasing)
            takeSlowWay(slot, isForeign: isForeign)
            return
        }
        slot.element.mine.store(0, ordering: .relaxed)
        slot.element.owner.store(BioSlot.Owner.nobody.rawValue, ordering: .relaxed)
        // No locked addition: between two lives of a slot no token of it is out, so nobody else changes the word now.
        let generation = slot.element.generation.load(ordering: .relaxed)
        slot.element.generation.store(generation &+ 1, ordering: .relaxed)
        // Release: the deadline's walk that sees `entered` sees the slot as it was filled.
        let isRead: UInt32 = slot.element.operation == .read ? 1 : 0
        slot.element.phase.store(BioSlot.Phase.entered.rawValue | isRead << 2, ordering: .releasing)
        slot.element.start =
            !isForeign && own.element.batchStart != 0 ? own.element.batchStart : startAlone()
        if slot.element.operation == .flush { slot.element.flushMark = disk.volatileSectors }
        let started = DiskStatistics.startedOthers &- Int(isRead)
        cells.add(1, to: started)
        partitionCells?.add(1, to: started)
        let cells = cells
        let outer = ThreadContext.inside
        ThreadContext.inside = isForeign ? Self.foreign : Unretained(self).bits
        if forWorker {
            queue.handToWorker(slot)
        } else {
            queue.dispatch(slot)
        }
        ThreadContext.inside = outer
        // From here on nothing of `slot`: it may have been answered and taken again.
        if leases == 2, !forWorker, !cells.leave(1) { cells.wake() }
    }

    /// Gives leases back by the counters alone: the way through the gate object would count references to it.
    @inline(__always)
    private func leave(_ leases: UInt64) { if !cells.leave(leases) { cells.wake() } }

    private func passesFrozen(_ slot: Stable<BioSlot>) -> Bool {
        slot.element.todo.contains(.privileged) && !queue.gate.isDead
    }

    /// The gate was not open: wait for the thaw, or hear why not.
    private func takeSlowWay(_ slot: Stable<BioSlot>, isForeign: Bool) {
        if slot.element.flags.contains(.noWait), !queue.gate.isDead {
            refuse(slot, .again)
            return
        }
        // Parked for who knows how long: a close does not wait for that.
        endLending(slot)
        switch queue.gate.park(slot) {
        case .parked: break
        case .dead: refuse(slot, .gone)
        case .retry:
            if isForeign, !lend(slot) { refuse(slot, .gone) } else { enterAndDispatch(slot, isForeign: isForeign) }
        }
    }

    /// A parked slot whose gate was opened again. On the thread that thawed.
    func resume(_ slot: Stable<BioSlot>) {
        // The opener was closed while it was parked: its borrowed memory is gone, and nobody waits for the answer.
        if lend(slot) { enterAndDispatch(slot, isForeign: true) } else { refuse(slot, .gone) }
        if ThreadContext.inside == 0 { Self.runPutOff() }
    }

    /// The remover's own flush: passes a frozen gate, not a dead one.
    func submitPrivilegedFlush() {
        guard let slot = takeFree() else { return }
        fill(slot, .flush, SectorRange(start: 0, count: 0), [], .none, 0)
        slot.element.todo.insert(.privileged)
        slot.element.isForWorker = style == .mayBlock
        enterAndDispatch(slot, isForeign: true)
        if ThreadContext.inside == 0 { Self.runPutOff() }
    }

    /// Where a range of the device is data, hole or zero.
    func extents(of range: SectorRange) -> Result<[DeviceExtent], BlockStatus> {
        guard range.count > 0, range.fits(in: device.size) else {
            return .failure(queue.gate.isDead ? .gone : beyondEnd)
        }
        guard let ticket = queue.gate.enter() else {
            guard !queue.gate.isDead else { return .failure(.gone) }
            guard !isOfAnotherMedium else { return .failure(.noMedium) }
            // Frozen: whoever asks is not made to wait for a word, and data is never wrong.
            return .success([DeviceExtent(count: range.count, kind: .data)])
        }
        defer { _ = ticket }
        guard let driver = queue.driver else { return .failure(.gone) }
        var rest = range.count
        var answer: [DeviceExtent] = []
        let absolute = SectorRange(start: range.start + device.start, count: range.count)
        for extent in driver.extents(of: absolute) where extent.count > 0 && rest > 0 {
            answer.append(DeviceExtent(count: min(extent.count, rest), kind: extent.kind))
            rest -= min(extent.count, rest)
        }
        // What the driver said of another medium is not told: it may be changed at any moment.
        guard !isOfAnotherMedium else { return .failure(.noMedium) }
        if answer.isEmpty { answer.append(DeviceExtent(count: range.count, kind: .data)) }
        return .success(answer)
    }

    // MARK: The thread's list of what was put off

    static func putOff(_ slot: Stable<BioSlot>) {
        slot.element.next = 0
        if let last = Stable<BioSlot>(bits: ThreadContext.putOffTail) {
            last.element.next = slot.bits
            ThreadContext.setPutOff(head: ThreadContext.putOffHead, tail: slot.bits)
        } else {
            ThreadContext.setPutOff(head: slot.bits, tail: slot.bits)
        }
    }

    /// What ``ThreadContext/inside`` holds on a thread that runs a driver's submit for somebody else.
    static let foreign: UInt = 1

    static func runPutOff() {
        while let slot = Stable<BioSlot>(bits: ThreadContext.putOffHead) {
            let next = slot.element.next
            ThreadContext.setPutOff(head: next, tail: next == 0 ? 0 : ThreadContext.putOffTail)
            // The slot is out, so its opener is in the disk's table.
            // Foreign: its submit has returned, so the opener may be another thread's by now, or closed.
            ThreadContext.inside = foreign
            // Kept while it runs: its own last answer may come in there, after a close.
            guard let core = slot.element.core?.object else { continue }
            if slot.element.todo.contains(.underWay) {
                core.queue.hand(slot, core)
            } else {
                core.run(slot, isForeign: true)
            }
            ThreadContext.inside = 0
        }
    }

    // MARK: Batches

    /// Until ``endBatch()`` one lease and one reading of the clock serve all.
    func beginBatch() {
        guard own.element.batchStart == 0 else { return }
        own.element.batchUsage = queue.usageBefore()
        own.element.batchStart = Instant.now.nanoseconds
        noteBusy(own.element.batchStart, isEnd: false)
        if cells.enter(1) {
            own.element.batchHoldsLease = true
        } else {
            leave(1)
        }
    }

    func endBatch() {
        guard own.element.batchStart != 0 else { return }
        let now = Instant.now.nanoseconds
        let elapsed = now &- own.element.batchStart
        if elapsed > SubmitWatch.slow { queue.noteSlowBatch(own.element.batchUsage, took: elapsed) }
        let inline =
            own.element.batchCounts[0] &+ own.element.batchCounts[1] &+ own.element.batchCounts[2]
            &+ own.element.batchCounts[3]
        if inline > 0 {
            // They ran one after the other: each took its share of the time.
            let share = elapsed / inline
            for group in own.element.batchCounts.indices where own.element.batchCounts[group] > 0 {
                let spent = share &* own.element.batchCounts[group]
                cells.add(spent, to: group * 3 + 2)
                partitionCells?.add(spent, to: group * 3 + 2)
                latency.record(share, group: group, count: own.element.batchCounts[group])
                own.element.batchCounts[group] = 0
            }
            noteBusy(now, isEnd: true)
        }
        own.element.batchStart = 0
        if own.element.batchHoldsLease {
            own.element.batchHoldsLease = false
            leave(1)
        }
    }
}
