// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The cut and what follows it, up to the free name.
extension Disk {
    /// Under the lock, in the same critical section as the transition: from here no new I/O reaches the driver (R2).
    func beginCut(_ state: inout State, _ run: RemovalRun) -> @Sendable () -> Void {
        guard case .cut(let mode) = state.lifecycle.state else { return {} }
        run.failedBefore = faults.failed.value
        run.refusedBefore = faults.refused.value
        run.report.openers = state.publicOpeners.map(\.currentRecord)
        if mode == .surprise {
            if case .done = run.report.flush {} else { run.report.flush = .skipped }
        }
        // Told before it is so: who sees the gate shut may be a disk that stands on this one and goes with it, and its
        // own end must not have the lower number.
        registry.events.append([event(.offline, of: part0)])
        let parked = queue.gate.kill()
        queue.setCapacity(0)
        attributeDoor.shut()
        let delegates = state.publicOpeners.compactMap(\.delegate).eachHolderOnce
        let claimers = endClaims(&state)
        let id = run.id
        let waitingTag = run.waitingTag
        let tag = run.cutTag
        let deadline = run.deadline
        let abortReturned = run.abortReturned
        return { [self] in
            // On a thread of its own, whoever asked: the asker may be inside this disk's submit or completion.
            WorkerThread.detach(name: "pl-cut") { [self] in
                // 1 The clock of the deadline first: nothing that follows may hold it up.
                Reaper.shared.cancel(tag: waitingTag)
                Reaper.shared.watch(nil, until: deadline, tag: tag) { [self] _ in deadlinePassed(run: id) }
                // 2 Whoever waits for a thaw or for a worker hears at once (R3); they are the cheapest to answer.
                let waiting = failParked(parked) + queue.failWaiting()
                let inFlight = ledger().inFlight
                self.state.withLock { state in
                    state.removal?.report.parked += waiting
                    state.removal?.report.inFlight = Int(clamping: inFlight)
                }
                endMedia()
                // 3 The driver, before the holders: what it answers now is answered in milliseconds.
                WorkerThread.detach(name: "pl-abort") { [self] in
                    queue.driver?.abort()
                    abortReturned.raise()
                }
                // 4 The holders, each once: their I/O has failed, and what they hold is still all there (R6).
                for claimer in claimers { claimer() }
                for delegate in delegates { delegate.died(mode) }
                // 5 And the drain, which ends in `released`.
                Reaper.shared.watch(queue.gate.cells, until: .never) { [self] _ in
                    WorkerThread.detach(name: "pl-release") { [self] in
                        abortReturned.wait()
                        release(run: id)
                    }
                }
            }
        }
    }

    @discardableResult
    func failParked(_ parked: SlotList?) -> Int {
        guard var parked else { return 0 }
        let count = parked.count
        while let slot = parked.popFirst() { slot.element.core?.use { $0.refuse(slot, .gone) } }
        return count
    }

    /// The driver owes more than the deadline allows: its I/O is failed to the submitters, and the removal ends (R4).
    func deadlinePassed(run id: UInt64) {
        let cores = state.withLock { state -> [OpenerCore]? in
            guard let run = state.removal, run.id == id, case .cut = state.lifecycle.state,
                run.deadline <= Instant.now, !run.isExpiring
            else { return nil }
            run.isExpiring = true
            return Array(state.openers.values)
        }
        guard let cores else { return }
        // On a thread of its own: the reaper has other disks' deadlines to keep (R7).
        WorkerThread.detach(name: "pl-deadline") { [self] in
            faults.owedSince.withLock { if $0 == 0 { $0 = Instant.wallClock } }
            registry.addOwing(self)
            // Its own barrier: the walk must see every announcement and every entry that still read "open".
            queue.gate.cells.heavyFence()
            // What a timeout has answered is owed since then.
            var claimed = (claimed: faults.owed.value, bytes: faults.owedBytes.value, delivering: 0)
            for core in cores {
                let more = core.claimOwed()
                claimed.claimed += more.claimed
                claimed.bytes += more.bytes
                claimed.delivering += more.delivering
            }
            let waiters = state.withLock { state -> ([RemovalRun.Waiter], RemovalReport)? in
                guard let run = state.removal, run.id == id, case .cut(let mode) = state.lifecycle.state,
                    state.lifecycle.deadlinePassed()
                else { return nil }
                run.report.deadlinePassed = true
                run.report.quarantined = claimed.claimed
                run.report.quarantinedBytes = claimed.bytes
                run.report.stuckSinks = claimed.delivering
                if claimed.claimed == 0, claimed.delivering == 0 {
                    run.report.notes.append(
                        "every I/O was answered, but somebody is still in the driver's abort, its stop, a setting or an attribute"
                    )
                }
                return (run.takeWaiters(), unpublish(&state, run, mode))
            }
            queue.endTrace()
            guard let (waiters, report) = waiters else {
                registry.removeOwing(self, ifDone: true)
                return
            }
            registry.events.pump()
            registry.removals.add(report)
            for waiter in waiters { waiter(.removed(report)) }
        }
    }

    // MARK: The end

    /// Nobody is inside and nobody gets in: the driver is let go. Numbered, because the order is the promise.
    private func release(run id: UInt64) {
        // 0 No setting is made any more, and whoever is inside one or in an attribute comes out: what follows ends the
        // driver.
        lane.closeAndWait()
        attributeDoor.waitUntilEmpty()
        let notes = queue.driver?.notes ?? []
        facts.withLock { $0.notes = notes }
        state.withLock { $0.removal?.report.notes += notes }
        // 1 Its own threads end while everything that they may touch is still there.
        queue.driver?.stop()
        // 2 Each handle that is still open: closed for the driver, though the opener keeps a dead handle (T16).
        let opens = state.withLock { state in
            defer { state.driverOpens = 0 }
            return state.driverOpens
        }
        for _ in 0..<opens { queue.driver?.closed() }
        // 3 The last call, exactly once.
        queue.driver?.released()
        queue.endTrace()
        // 4 No reference of ours is left, and nothing of it is counted any more: the books are closed.
        letDriverGo()
        let fault = checkLedger()
        // 5 Now the name is free, and the report is true.
        let waiters = state.withLock { state -> ([RemovalRun.Waiter], RemovalReport)? in
            state.removal?.cancelTimers()
            if let fault { state.removal?.report.notes.append(fault) }
            guard let run = state.removal, case .cut(let mode) = state.lifecycle.state else {
                _ = state.lifecycle.released()
                state.removal = nil
                return nil
            }
            _ = state.lifecycle.released()
            let report = unpublish(&state, run, mode)
            defer { state.removal = nil }
            return (run.takeWaiters(), report)
        }
        registry.removeOwing(self, ifDone: true)
        registry.events.pump()
        if let (waiters, report) = waiters {
            registry.removals.add(report)
            for waiter in waiters { waiter(.removed(report)) }
        }
    }

    /// Takes the name and the numbers out of the tables and tells of it, before anybody hears that it is done (R8).
    private func unpublish(_ state: inout State, _ run: RemovalRun, _ mode: RemovalMode) -> RemovalReport {
        run.report.failed =
            faults.failed.value - run.failedBefore + faults.refused.value - run.refusedBefore + faults.expired.value
        let report = makeReport(state, mode)
        let partitions = state.partitions
        state.partitions = []
        for partition in partitions { partition.unlist() }
        // Told before the name is free: whoever has it next is told of later.
        registry.events.append(
            partitions.map { event(.remove, of: $0) } + [event(.remove, of: part0)])
        registry.unpublish(self, partitions)
        return report
    }
}
