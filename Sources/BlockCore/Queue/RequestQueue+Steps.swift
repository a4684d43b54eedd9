// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// The careful way to the driver and back: for a disk that has limits, tags, a timeout or a pause, for flushes, and for
/// I/O that goes in several steps.
extension RequestQueue {
    /// What an answer sets free, to be put to work once the answer itself is on its way.
    struct Afterwards {
        /// Who has the tag now.
        var next: Stable<BioSlot>?
        /// Who has the answer of the flush, too.
        var sharing = SlotList()
        /// Who is the next flush.
        var leader: Stable<BioSlot>?
    }

    // MARK: Down

    /// Hands a slot to the driver, or lets it wait. Only with a lease of the slot's held.
    func dispatchCarefully(_ slot: Stable<BioSlot>) {
        guard let core = slot.element.core?.object else { invariantBroken("a slot that no opener has") }
        if !isCounting, slot.element.todo.isDisjoint(with: [.underWay, .uncounted]) { core.leaveOut(slot) }
        // While it waits nobody is in the submitter's memory.
        core.endLending(slot)
        traceArrival(slot, core)
        guard !gate.isDead else {
            Completion.answer(slot, .gone)
            return
        }
        if slot.element.operation == .flush {
            guard hasWriteCache else {
                // Nothing is cached, or so the user says: everything acknowledged is as durable as it will be. Our own
                // count of what is not goes on.
                slot.element.flushMark = 0
                Completion.answer(slot, .ok)
                return
            }
            guard leads(slot) else { return }
        } else if limitCell.element.isLimiting, let refusal = cut(slot, core) {
            Completion.answer(slot, refusal)
            return
        }
        guard mayGo(slot, core) else { return }
        trace(.gotRequest, slot, core)
        // On another thread than the submitter's: only while the opener is open.
        guard ThreadContext.inside == Unretained(core).bits || core.lend(slot) else {
            Completion.answer(slot, .gone)
            return
        }
        if let timeout { startClock(slot, core.disk, timeout) }
        if slot.element.operation == .flush { core.disk.noteFlushCommand() }
        trace(.issued, slot, core)
        submitToDriver(slot)
    }

    /// Whether the slot is the flush command; otherwise it waits for one, or was answered.
    private func leads(_ slot: Stable<BioSlot>) -> Bool {
        if slot.element.todo.contains(.leadsFlush) { return true }
        slot.element.todo.insert(.flushing)
        switch room.askForFlush(slot, gate) {
        case .goes:
            slot.element.todo.insert(.leadsFlush)
            return true
        case .waits: return false
        case .dead, .again:
            slot.element.todo.remove(.flushing)
            Completion.answer(slot, .gone)
            return false
        }
    }

    /// Shortens what is longer than one request may be.
    private func cut(_ slot: Stable<BioSlot>, _ core: OpenerCore) -> BlockStatus? {
        let whole = SectorRange(start: slot.element.sector, count: slot.element.sectorCount)
        let count = limitCell.element.first(of: slot.element.operation, whole)
        guard count < slot.element.sectorCount else { return nil }
        guard count > 0 else { return .notSupported }
        if slot.element.flags.contains(.noWait), RequestPlan.isAtStart(slot) { return .again }
        // Claimed by a deadline: the answer that is given now is counted as a late one.
        guard Completion.withClaim(slot, { RequestPlan.cut(slot, to: count) }), !gate.isDead else { return .gone }
        traceSplit(slot, core, whole: whole, rest: whole.start + count)
        return nil
    }

    /// Whether it may go to the driver now; otherwise it waits, or was answered.
    private func mayGo(_ slot: Stable<BioSlot>, _ core: OpenerCore) -> Bool {
        if room.isPaused {
            // A place at the driver is not kept by what cannot use it.
            if let next = giveTagBack(slot) { start(next) }
            switch room.waitForResume(slot, gate) {
            case .goes: break
            case .waits: return false
            case .dead: return refuse(slot, .gone)
            case .again: return refuse(slot, .again)
            }
        }
        guard let tags, !slot.element.todo.contains(.tag) else { return true }
        // What waits may be another thread's at once: nothing of it is read afterwards.
        let step = TraceStep(slot, core)
        switch tags.take(slot, for: self) {
        case .goes: return true
        case .waits:
            trace(.sleepsForRequest, step)
            return false
        case .dead: return refuse(slot, .gone)
        case .again: return refuse(slot, .again)
        }
    }

    private func refuse(_ slot: Stable<BioSlot>, _ status: BlockStatus) -> Bool {
        Completion.answer(slot, status)
        return false
    }

    // MARK: Back

    /// Takes from a slot what it had at the driver. Only by who has the claim of the answer.
    func takeBack(_ slot: Stable<BioSlot>, _ core: OpenerCore, keepsFlush: Bool = false) -> Afterwards {
        var afterwards = Afterwards()
        guard !slot.element.todo.isEmpty else { return afterwards }
        // Before the claim can be given up: a look that has the old time then lets go.
        if slot.element.todo.contains(.timed) {
            slot.element.dispatched.store(0, ordering: .sequentiallyConsistent)
            slot.element.todo.remove(.timed)
        }
        core.endLending(slot)
        afterwards.next = giveTagBack(slot)
        if !keepsFlush { endFlush(slot, &afterwards) }
        return afterwards
    }

    /// If the slot was the flush command: who shares its answer, and who is the next.
    func endFlush(_ slot: Stable<BioSlot>, _ afterwards: inout Afterwards) {
        slot.element.todo.remove(.flushing)
        guard slot.element.todo.contains(.leadsFlush) else { return }
        slot.element.todo.remove(.leadsFlush)
        slot.element.core?.use { $0.disk.noteFlushCommandEnd() }
        (afterwards.sharing, afterwards.leader) = room.flushAnswered()
        afterwards.leader?.element.todo.insert(.leadsFlush)
    }

    private func giveTagBack(_ slot: Stable<BioSlot>) -> Stable<BioSlot>? {
        guard let tags, slot.element.todo.contains(.tag) else { return nil }
        slot.element.todo.remove(.tag)
        return tags.giveBack()
    }

    /// Puts to work what an answer has set free. With a lease of somebody's held.
    func settle(_ afterwards: Afterwards, _ status: BlockStatus) {
        if let next = afterwards.next { start(next) }
        var sharing = afterwards.sharing
        while let slot = sharing.popFirst() { Completion.answer(slot, status) }
        if let leader = afterwards.leader { start(leader) }
    }

    // MARK: Slots that were let in before

    /// A slot of this disk or, with a borrowed tag set, of another: goes on its way.
    private func start(_ slot: Stable<BioSlot>) {
        guard let core = slot.element.core?.object else { invariantBroken("a slot that no opener has") }
        if core.queue === self {
            launch(slot, core)
        } else {
            // A thread of one disk runs no driver code of another's (R7).
            core.queue.giveToWorker(slot, core)
        }
    }

    /// Hands over a slot that waited, or that has another step to go. The stack does not grow with it.
    func launch(_ slot: Stable<BioSlot>, _ core: OpenerCore) {
        slot.element.todo.insert(.underWay)
        if slot.element.isForWorker {
            giveToWorker(slot, core)
        } else if ThreadContext.inside != 0 {
            OpenerCore.putOff(slot)
        } else {
            ThreadContext.inside = OpenerCore.foreign
            hand(slot, core)
            ThreadContext.inside = 0
            OpenerCore.runPutOff()
        }
    }

    /// The handing over itself, with a lease for as long as it takes.
    func hand(_ slot: Stable<BioSlot>, _ core: OpenerCore) {
        let cells = core.cells
        // Counted though the gate may be shut: the slot's own lease keeps every drain waiting anyway.
        _ = cells.enter(1)
        dispatchCarefully(slot)
        if !cells.leave(1) { cells.wake() }
    }

    func giveToWorker(_ slot: Stable<BioSlot>, _ core: OpenerCore) {
        slot.element.todo.insert(.underWay)
        _ = core.cells.enter(1)
        handToWorker(slot)
    }

    /// The driver gave it back: tried again later, unless the disk dies first (T40).
    func keepForLater(_ slot: Stable<BioSlot>, after delay: Duration) {
        let due = Instant.now + delay
        let token = Reaper.shared
        guard room.keep(slot, until: due, gate) else {
            Completion.answer(slot, .gone)
            return
        }
        token.watch(nil, until: due, tag: timerTag) { [weak self] _ in self?.tryAgain() }
    }

    /// On the reaper's thread: the work itself is the workers'.
    private func tryAgain() {
        for slot in room.takeDue(Instant.now) {
            guard let core = slot.element.core?.object else { continue }
            giveToWorker(slot, core)
        }
    }
}
