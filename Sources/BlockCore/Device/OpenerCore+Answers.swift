// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// The way back: statistics, then the submitter, then the slot.
extension OpenerCore {
    /// Statistics, then the submitter, then the slot.
    func deliver(_ slot: Stable<BioSlot>, _ status: BlockStatus) { deliver(slot, status, isCounted: true) }

    /// The same for one that the statistics leave out.
    @inline(never)
    func deliverUncounted(_ slot: Stable<BioSlot>, _ status: BlockStatus) { deliver(slot, status, isCounted: false) }

    @inline(__always)
    private func deliver(_ slot: Stable<BioSlot>, _ status: BlockStatus, isCounted: Bool) {
        let isInside = ThreadContext.inside == Unretained(self).bits
        let operation = slot.element.operation
        let group = DiskStatistics.group(of: operation)
        if isCounted {
            cells.count(slot.element.sectorCount, at: group * 3)
            partitionCells?.count(slot.element.sectorCount, at: group * 3)
            if isInside, own.element.batchStart != 0 {
                own.element.batchCounts[group] &+= 1
            } else {
                let now = Instant.now.nanoseconds
                noteTime(now &- slot.element.start, group, now)
            }
        } else {
            endLeftOut(slot)
        }
        if status != .ok {
            disk.noteFailure(status, isWrite: slot.element.isWrite, sectors: slot.element.sectorCount)
        } else if slot.element.flags.contains(.fua) {
            disk.noteDurable(sectors: group == 1 ? slot.element.sectorCount : 0)
        } else if operation == .flush {
            disk.noteFlush(upTo: slot.element.flushMark)
        }
        if slot.element.bounced.count > 0, operation == .read, status == .ok, beginBorrowing() {
            #if DEBUG
                RequestHooks.copying()
            #endif
            slot.element.bounced.copy(from: slot.element.memory)
            endBorrowing()
        }
        let wasBounced = slot.element.bounced.count > 0
        tell(slot, status, withBuffer: !wasBounced)
        slot.element.buffer = nil
        if isInside { giveBackInside(slot) } else { giveBack(slot) }
    }

    /// Answers what was never let in. Not part of the statistics: it was never accepted.
    func refuse(_ slot: Stable<BioSlot>, _ status: BlockStatus) {
        if status == .gone { disk.noteRefusedGone(isWrite: slot.element.isWrite, sectors: slot.element.askedSectors) }
        tell(slot, status, withBuffer: slot.element.bounced.count == 0)
        slot.element.buffer = nil
        giveBack(slot)
    }

    private func tell(_ slot: Stable<BioSlot>, _ status: BlockStatus, withBuffer: Bool) {
        if isOrphaned.load(ordering: .acquiring) {
            swallowed.add()
            return
        }
        let outer = ThreadContext.inside
        // A sink may submit: what it submits waits for the outermost submission where there is one.
        sink.completed(
            token: slot.element.token, status: status, buffer: withBuffer ? slot.element.buffer.take() : nil)
        ThreadContext.inside = outer
    }

    func refuseWithoutSlot(_ data: consuming BioData, _ token: UInt64) {
        switch consume data {
        case .owned(let buffer, _): sink.completed(token: token, status: .again, buffer: consume buffer)
        default: sink.completed(token: token, status: .again, buffer: nil)
        }
    }

    // MARK: Slots

    func takeFree() -> Stable<BioSlot>? {
        if own.element.freeHead == 0 {
            // Pairs with the release in `giveBack`.
            own.element.freeHead = returned.exchange(0, ordering: .acquiring)
        }
        guard let slot = Stable<BioSlot>(bits: own.element.freeHead) else { return nil }
        own.element.freeHead = slot.element.next
        return slot
    }

    /// On the submitting thread, inside its submit: no locked instruction.
    private func giveBackInside(_ slot: Stable<BioSlot>) {
        slot.element.phase.store(BioSlot.Phase.free.rawValue, ordering: .relaxed)
        slot.element.next = own.element.freeHead
        own.element.freeHead = slot.bits
    }

    /// On any thread. The last one after the close lets the whole thing go.
    func giveBack(_ slot: Stable<BioSlot>) {
        slot.element.phase.store(BioSlot.Phase.free.rawValue, ordering: .releasing)
        var old = returned.load(ordering: .relaxed)
        while true {
            let isClosed = old & 1 == 1
            if !isClosed { slot.element.next = old }
            let (exchanged, now) = returned.compareExchange(
                expected: old, desired: isClosed ? old - 2 : slot.bits, ordering: .acquiringAndReleasing)
            if exchanged {
                if isClosed, old == 3 { disk.forget(self) }
                return
            }
            old = now
        }
    }

    /// Ends the opener. Answers that are still to come are swallowed, and the last of them frees it.
    func close() {
        endBatch()
        isOrphaned.store(true, ordering: .sequentiallyConsistent)
        // Whoever is in the submitter's memory this moment leaves it first: after the close it may be gone.
        while borrowers.load(ordering: .sequentiallyConsistent) != 0 { yieldThread() }
        var back = 0
        count(own.element.freeHead, into: &back)
        while true {
            count(returned.exchange(0, ordering: .acquiring), into: &back)
            let out = slotCount - back
            if out == 0 {
                disk.closed(self, isLast: true)
                return
            }
            // Held while the disk is told, so that the last answer cannot free it under us.
            if returned.compareExchange(
                expected: 0, desired: UInt(out + 1) << 1 | 1, ordering: .acquiringAndReleasing
            ).exchanged {
                disk.closed(self, isLast: false)
                if returned.wrappingSubtract(2, ordering: .acquiringAndReleasing).oldValue == 3 { disk.forget(self) }
                return
            }
        }
    }

    private func count(_ head: UInt, into total: inout Int) {
        var next = head
        while let slot = Stable<BioSlot>(bits: next) {
            total += 1
            next = slot.element.next
        }
    }

    /// I/Os that are somewhere between submit and slot; exact only when nothing moves.
    var inFlight: Int {
        var count = 0
        for index in 0..<slotCount
        where BioSlot.Phase.isInside(slab.advanced(by: index).element.phase.load(ordering: .relaxed)) { count += 1 }
        return count
    }

    /// The same in reads and others, without what the statistics leave out.
    var underWay: (reads: Int, others: Int) {
        var found = (reads: 0, others: 0)
        for index in 0..<slotCount {
            let slot = slab.advanced(by: index)
            let phase = slot.element.phase.load(ordering: .acquiring)
            guard BioSlot.Phase.isInside(phase), !slot.element.todo.contains(.uncounted) else { continue }
            if phase == BioSlot.Phase.enteredRead.rawValue { found.reads += 1 } else { found.others += 1 }
        }
        return found
    }

    // MARK: Memory of the submitter's, on other threads

    /// Whether the submitter's memory may be touched; if so, a close waits for ``endBorrowing()``. On the submitter's
    /// own thread nobody has to ask: it cannot close meanwhile.
    func beginBorrowing() -> Bool {
        // Counted before the look, as `close` marks before it looks: one of the two sees the other.
        borrowers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if !isOrphaned.load(ordering: .sequentiallyConsistent) { return true }
        endBorrowing()
        return false
    }

    func endBorrowing() { borrowers.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// As ``beginBorrowing()``, for as long as the slot uses borrowed memory, if it does.
    func lend(_ slot: Stable<BioSlot>) -> Bool {
        guard slot.element.operation.hasData, slot.element.buffer == nil, slot.element.memory.count > 0,
            !slot.element.todo.contains(.lent)
        else { return true }
        guard beginBorrowing() else { return false }
        slot.element.todo.insert(.lent)
        return true
    }

    func endLending(_ slot: Stable<BioSlot>) {
        guard slot.element.todo.contains(.lent) else { return }
        slot.element.todo.remove(.lent)
        endBorrowing()
    }

    // MARK: The deadline's side

    /// Fails to the submitter everything that the driver still owes, and counts it; the gate is dead and fenced.
    ///
    /// Returns what was claimed, and how many were just being delivered: those are a stuck sink's.
    func claimOwed() -> (claimed: Int, bytes: Int, delivering: Int) {
        var result = (claimed: 0, bytes: 0, delivering: 0)
        for index in 0..<slotCount {
            let slot = slab.advanced(by: index)
            // Between the count and its outcome lie a few instructions of the submitter: wait for them, not longer.
            while slot.element.phase.load(ordering: .acquiring) == BioSlot.Phase.entering.rawValue { yieldThread() }
            guard BioSlot.Phase.isInside(slot.element.phase.load(ordering: .acquiring)) else { continue }
            guard slot.element.mine.load(ordering: .sequentiallyConsistent) == 0 else {
                result.delivering += 1
                continue
            }
            guard takeFor(.claiming, slot) else { continue }
            let token = slot.element.token
            let bytes = slot.element.heldBytes
            queue.traceAnswer(slot, self, .gone)
            disk.noteExpired(isWrite: slot.element.isWrite, sectors: slot.element.askedSectors, bytes: bytes)
            // From here a late answer may give the slot back, and the submitter fill it anew: nothing more of it.
            slot.element.owner.store(BioSlot.Owner.deadline.rawValue, ordering: .releasing)
            result.claimed += 1
            result.bytes += bytes
            tellOfDeadline(token, .gone)
        }
        return result
    }

    /// The submitter hears from somebody else than the driver; its buffer stays where the driver may touch it.
    func tellOfDeadline(_ token: UInt64, _ status: BlockStatus) {
        if isOrphaned.load(ordering: .acquiring) {
            swallowed.add()
        } else {
            sink.completed(token: token, status: status, buffer: nil)
        }
    }

    /// Takes a slot from the driver's side, unless that has it.
    func takeFor(_ side: BioSlot.Owner, _ slot: Stable<BioSlot>) -> Bool {
        while true {
            let (won, owner) = slot.element.owner.compareExchange(
                expected: BioSlot.Owner.nobody.rawValue, desired: side.rawValue, ordering: .acquiringAndReleasing)
            if won { return true }
            guard owner == BioSlot.Owner.timing.rawValue else { return false }
            yieldThread()
        }
    }
}
