// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// The way of an answer from the driver to the submitter. Order: claim, statistics, delivery, slot, lease; after the
/// lease nothing of the disk is touched, for it may be gone (T33).
enum Completion {
    /// Tokens that came back a second time, in the whole process: faults of drivers.
    static let staleTokens = Counter()

    /// The driver's side answers.
    static func answer(_ slot: Stable<BioSlot>, _ status: BlockStatus) {
        guard let core = slot.element.core else { invariantBroken("an answer for a slot that no opener has") }
        let cells = core.use { $0.cells }
        // Announced before the gate is looked at: the deadline's side sees it, or this side sees the gate shut.
        if !cells.announce(slot.element.mine) {
            let won = slot.element.owner.compareExchange(
                expected: BioSlot.Owner.nobody.rawValue, desired: BioSlot.Owner.driver.rawValue,
                ordering: .acquiringAndReleasing
            ).exchanged
            if !won {
                answerLate(slot, core, cells)
                return
            }
        }
        if slot.element.afterwards == .flushForFUA, status == .ok, cells.stateWord & 3 != 2 {
            flushBeforeDelivery(slot, core, cells)
            return
        }
        core.use { $0.deliver(slot, status) }
        if !cells.leave(1) { cells.wake() }
    }

    /// A write that had to be durable, on a device that can only flush: its answer waits for the flush.
    private static func flushBeforeDelivery(
        _ slot: Stable<BioSlot>, _ core: Unretained<OpenerCore>, _ cells: UsageCells
    ) {
        slot.element.afterwards = .deliver
        slot.element.operation = .flush
        slot.element.flushMark = core.use { $0.disk.volatileSectors }
        // The slot is the driver's again: a deadline may claim it once more.
        // `mine` last: until it is down the deadline passes by, so that no claim of its can be overwritten.
        slot.element.owner.store(BioSlot.Owner.nobody.rawValue, ordering: .sequentiallyConsistent)
        slot.element.mine.store(0, ordering: .sequentiallyConsistent)
        // Died meanwhile: the walk of the deadline may have seen the first announcement and passed by, so this side
        // answers; `answer` settles who may.
        if cells.stateWord & 3 == GateStateMachine.State.dead.rawValue {
            answer(slot, .gone)
            return
        }
        core.use { $0.queue.dispatch(slot) }
    }

    /// The submitter has had its answer from the deadline: count it, give back what the driver held, and nothing else.
    private static func answerLate(
        _ slot: Stable<BioSlot>, _ core: Unretained<OpenerCore>, _ cells: UsageCells
    ) {
        // Pairs with the release in `claimOwed`.
        while slot.element.owner.load(ordering: .acquiring) == BioSlot.Owner.claiming.rawValue { yieldThread() }
        core.use { core in
            core.disk.noteLateAnswer(bytes: slot.element.buffer == nil ? 0 : slot.element.byteCount)
            slot.element.buffer = nil
            core.giveBack(slot)
        }
        if !cells.leave(1) { cells.wake() }
    }
}
