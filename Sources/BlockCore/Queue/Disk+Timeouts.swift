// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// The clock over what the driver has, for disks that have a timeout. One timer per disk, set only while something is
/// at the driver; it works while the disk is frozen, too, for a freeze waits for just such I/O.
///
/// Who answers is contested for the slots of such a disk even while the gate is open, so that nothing has to be shut
/// to take one from the driver.
extension RequestQueue {
    /// Notes that the driver gets a slot now.
    func startClock(_ slot: Stable<BioSlot>, _ disk: Disk, _ timeout: Duration) {
        slot.element.todo.insert(.timed)
        let now = max(Instant.now.nanoseconds, slot.element.lastDispatched &+ 1)
        slot.element.lastDispatched = now
        // Before the look at the timer, as the timer's end is before its look at the slots: one sees the other.
        slot.element.dispatched.store(now, ordering: .sequentiallyConsistent)
        guard !isTimerSet.load(ordering: .sequentiallyConsistent),
            !isTimerSet.exchange(true, ordering: .sequentiallyConsistent)
        else { return }
        disk.setTimer(Instant(nanoseconds: now) + timeout)
    }
}

extension Disk {
    /// Whether the timer is set or being looked after: for tests.
    package var isClockRunning: Bool { queue.isTimerSet.load(ordering: .sequentiallyConsistent) }

    fileprivate func setTimer(_ due: Instant) {
        Reaper.shared.watch(nil, until: due, tag: queue.timerTag) { [weak self] _ in
            guard let self else { return }
            // On a thread of its own: the driver is asked, and may take its time.
            WorkerThread.detach(name: "pl-timeout") { self.lookForLate() }
        }
    }

    /// Asks the driver about what it has had for too long, and sets the timer for what is next.
    private func lookForLate() {
        // A frozen gate lets the clock in; after the death the deadline of the removal rules.
        guard let timeout = queue.timeout, queue.gate.enterPrivileged(1) else { return }
        defer { queue.gate.leave(1) }
        let cores = state.withLock { Array($0.openers.values) }
        let now = Instant.now
        for core in cores {
            for (slot, since) in core.dispatchedSlots() where Instant(nanoseconds: since) + timeout <= now {
                guard let request = core.lateRequest(slot, since: since, now), let driver = queue.driver else {
                    continue
                }
                switch driver.timedOut(request) {
                case .fail: core.timeOut(slot, since: since)
                case .wait:
                    // Answered meanwhile: then the number has changed.
                    _ = slot.element.dispatched.compareExchange(
                        expected: since, desired: max(Instant.now.nanoseconds, since + 1),
                        ordering: .sequentiallyConsistent)
                }
            }
        }
        setTimerAgain(timeout)
    }

    private func setTimerAgain(_ timeout: Duration) {
        func next() -> UInt64? {
            let cores = state.withLock { Array($0.openers.values) }
            return cores.compactMap { core in core.dispatchedSlots().map(\.since).min() }.min()
        }
        if let since = next() {
            setTimer(Instant(nanoseconds: since) + timeout)
            return
        }
        // Nothing is at the driver: no timer, no wake-up. What got there since that look finds it unset, or is seen here.
        queue.isTimerSet.store(false, ordering: .sequentiallyConsistent)
        if let since = next(), !queue.isTimerSet.exchange(true, ordering: .sequentiallyConsistent) {
            setTimer(Instant(nanoseconds: since) + timeout)
        }
    }
}

extension OpenerCore {
    /// The slots that the driver has, with when it got each.
    fileprivate func dispatchedSlots() -> [(slot: Stable<BioSlot>, since: UInt64)] {
        (0..<slotCount).compactMap { index in
            let slot = slab.advanced(by: index)
            let since = slot.element.dispatched.load(ordering: .sequentiallyConsistent)
            return since == 0 ? nil : (slot, since)
        }
    }

    /// Takes a slot that the driver still has since then. Only one thread at a time looks for late ones.
    private func take(_ slot: Stable<BioSlot>, since: UInt64) -> Bool {
        guard takeFor(.timing, slot) else { return false }
        if slot.element.dispatched.load(ordering: .sequentiallyConsistent) == since { return true }
        giveUp(slot)
        return false
    }

    /// Gives the slot back to whoever answers it. Not if its next life has begun meanwhile and says so.
    private func giveUp(_ slot: Stable<BioSlot>) {
        _ = slot.element.owner.compareExchange(
            expected: BioSlot.Owner.timing.rawValue, desired: BioSlot.Owner.nobody.rawValue,
            ordering: .acquiringAndReleasing)
    }

    /// What is late; nil: it was answered meanwhile.
    fileprivate func lateRequest(_ slot: Stable<BioSlot>, since: UInt64, _ now: Instant) -> LateRequest? {
        guard take(slot, since: since) else { return nil }
        defer { giveUp(slot) }
        return LateRequest(
            operation: slot.element.operation,
            range: SectorRange(start: slot.element.sector, count: slot.element.sectorCount),
            waited: now - Instant(nanoseconds: since))
    }

    /// Answers for the driver, unless it has answered meanwhile. The slot, its memory and its tag stay the driver's.
    fileprivate func timeOut(_ slot: Stable<BioSlot>, since: UInt64) {
        guard take(slot, since: since) else { return }
        slot.element.dispatched.store(0, ordering: .sequentiallyConsistent)
        // Who shares the flush shares its end, and the next one need not wait for a driver that does not answer.
        var afterwards = RequestQueue.Afterwards()
        queue.endFlush(slot, &afterwards)
        let sectors = slot.element.askedSectors
        let group = DiskStatistics.group(of: slot.element.askedOperation)
        if slot.element.todo.contains(.uncounted) {
            endLeftOut(slot)
        } else {
            let now = Instant.now.nanoseconds
            cells.count(sectors, at: group * 3)
            partitionCells?.count(sectors, at: group * 3)
            noteTime(now &- slot.element.start, group, now)
        }
        disk.noteFailure(.timedOut, isWrite: slot.element.isWrite, sectors: sectors)
        disk.noteTimedOut(bytes: slot.element.heldBytes)
        queue.traceAnswer(slot, self, .timedOut)
        let token = slot.element.token
        // From here a late answer may give the slot back, and the submitter fill it anew: nothing more of it.
        slot.element.owner.store(BioSlot.Owner.deadline.rawValue, ordering: .releasing)
        tellOfDeadline(token, .timedOut)
        queue.settle(afterwards, .timedOut)
    }
}
