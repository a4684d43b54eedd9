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
        let wasOpen = cells.announce(slot.element.mine)
        guard wasOpen, slot.element.todo.isEmpty else {
            answerCarefully(slot, core, status, isContested: !wasOpen)
            return
        }
        core.use { $0.deliver(slot, status) }
        if !cells.leave(1) { cells.wake() }
    }

    /// The gate is shut, or there is more to do than to deliver.
    private static func answerCarefully(
        _ slot: Stable<BioSlot>, _ unretained: Unretained<OpenerCore>, _ status: BlockStatus, isContested: Bool
    ) {
        // Counted here: the delivery may be the end of the opener.
        let core = unretained.object
        let cells = core.cells
        guard claim(slot, isContested: isContested) else {
            answerLate(slot, core)
            return
        }
        let queue = core.queue
        queue.traceAnswer(slot, core, status)
        var wasFlush = slot.element.todo.contains(.planned) && slot.element.todo.contains(.flushing)
        let afterwards = queue.takeBack(slot, core)
        if status != .ok { wasFlush = false }
        if wasFlush { core.disk.noteFlush(upTo: slot.element.flushMark) }
        if status == .ok, RequestPlan.advance(slot) {
            if slot.element.operation == .flush { slot.element.flushMark = core.disk.volatileSectors }
            giveUpClaim(slot)
            queue.settle(afterwards, status)
            // Dead meanwhile, or claimed: found out there, where nothing reaches the driver any more.
            queue.launch(slot, core)
            return
        }
        RequestPlan.restore(slot)
        if slot.element.todo.contains(.uncounted) {
            core.deliverUncounted(slot, status)
        } else {
            core.deliver(slot, status)
        }
        queue.settle(afterwards, status)
        if !cells.leave(1) { cells.wake() }
    }

    /// The driver gives it back unanswered.
    static func requeue(_ slot: Stable<BioSlot>, after delay: Duration) {
        guard let core = slot.element.core?.object else { invariantBroken("a requeue of a slot that no opener has") }
        let wasOpen = core.cells.announce(slot.element.mine)
        guard claim(slot, isContested: !wasOpen) else {
            answerLate(slot, core)
            return
        }
        let queue = core.queue
        queue.trace(.requeued, slot, core)
        // It may lead a flush, and goes on to: those who share it wait for the command that is yet to come.
        let afterwards = queue.takeBack(slot, core, keepsFlush: true)
        giveUpClaim(slot)
        queue.settle(afterwards, .ok)
        queue.keepForLater(slot, after: delay)
    }

    /// Whether this side may answer. Contested while the gate is shut, and always where a timeout may answer.
    private static func claim(_ slot: Stable<BioSlot>, isContested: Bool) -> Bool {
        guard isContested || slot.element.todo.contains(.timed) else { return true }
        while true {
            let (won, owner) = slot.element.owner.compareExchange(
                expected: BioSlot.Owner.nobody.rawValue, desired: BioSlot.Owner.driver.rawValue,
                ordering: .acquiringAndReleasing)
            if won { return true }
            // A look at the slot is over in a few instructions, and need not have taken it.
            guard owner == BioSlot.Owner.timing.rawValue else { return false }
            yieldThread()
        }
    }

    /// The slot is claimable again: between two steps, or while it waits to be submitted anew.
    private static func giveUpClaim(_ slot: Stable<BioSlot>) {
        // `mine` last: until it is down the deadline passes by, so that no claim of its can be overwritten.
        slot.element.owner.store(BioSlot.Owner.nobody.rawValue, ordering: .sequentiallyConsistent)
        slot.element.mine.store(0, ordering: .sequentiallyConsistent)
    }

    /// Lets `change` have the slot's fields, which the deadline's side may read at any moment: with the claim of the
    /// answer. False: the deadline has the slot. A deadline that finds it taken passes by, so whoever calls this looks
    /// at the gate afterwards.
    static func withClaim(_ slot: Stable<BioSlot>, _ change: () -> Void) -> Bool {
        guard claim(slot, isContested: true) else { return false }
        change()
        slot.element.owner.store(BioSlot.Owner.nobody.rawValue, ordering: .sequentiallyConsistent)
        return true
    }

    /// The submitter has had its answer from the deadline: count it, give back what the driver held, and nothing else.
    private static func answerLate(_ slot: Stable<BioSlot>, _ core: OpenerCore) {
        // Pairs with the release in `claimOwed`.
        while slot.element.owner.load(ordering: .acquiring) == BioSlot.Owner.claiming.rawValue { yieldThread() }
        let cells = core.cells
        let queue = core.queue
        let afterwards = queue.takeBack(slot, core)
        // Down before the lease: a drain that looks past what is owed counts it once too often, never too rarely.
        core.disk.noteLateAnswer(bytes: slot.element.heldBytes)
        slot.element.buffer = nil
        core.giveBack(slot)
        queue.settle(afterwards, .gone)
        if !cells.leave(1) { cells.wake() }
    }
}
