// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// Removes the disk. One verb for every driver, stack and export; safe at any moment, from any thread.
    ///
    /// - Parameters:
    ///   - mode: how politely; see ``RemovalMode``.
    ///   - deadline: how long the flush may take, and how long the driver has to answer once the gate is shut.
    ///     30 s, for a surprise 1 s.
    ///   - wait: for the modes that leave it to the openers: answer when the disk is gone instead of at once, but with
    ///     `pending` when the deadline has passed.
    public func remove(
        _ mode: RemovalMode = .safe, deadline: Duration? = nil, wait: Bool = false
    ) async -> RemovalOutcome {
        await withCheckedContinuation { continuation in
            requestRemoval(mode, deadline: deadline, wait: wait) { continuation.resume(returning: $0) }
        }
    }

    /// The same without async, for callers that have their own way of waiting. Never blocks; may be called from a
    /// submit or a completion of this very disk (T34): the work is done by other threads.
    ///
    /// - Parameter done: called once, on a thread of the control side (or at once, where there is nothing to do).
    public func requestRemoval(
        _ mode: RemovalMode, deadline: Duration? = nil, wait: Bool = false,
        done: @escaping @Sendable (RemovalOutcome) -> Void
    ) {
        let timeout = deadline ?? mode.defaultDeadline
        let action = state.withLock { decide(&$0, mode, timeout, wait, done) }
        action()
    }

    /// What a removal that asks now would run into; changes nothing. For `--dry-run`.
    public func previewRemoval(_ mode: RemovalMode) -> RemovalOutcome {
        let (decision, report) = state.withLock { state in
            var copy = state.lifecycle
            return (copy.remove(mode, hasOpeners: state.hasOpeners), makeReport(state, mode))
        }
        switch decision {
        case .cancelAdd: return .neverPublished
        case .busy: return .busy(report)
        case .leave: return .pending(report)
        case .flush, .cut, .join: return .removed(report)
        case .noSuchDisk: return .noSuchDisk
        }
    }

    /// Takes a deferred or hidden removal back.
    public func cancelRemoval() throws(DiskError) {
        let waiters = state.withLock { state -> [RemovalRun.Waiter]? in
            let wasClearing = state.lifecycle.isClearing
            guard state.lifecycle.cancel() else { return nil }
            if wasClearing { state.isAutoclear = false }
            defer { state.removal = nil }
            state.removal?.cancelTimers()
            return state.removal?.takeWaiters() ?? []
        }
        guard let waiters else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence,
                reason: "\(name) has no removal to take back: only a deferred or hidden one that still waits can be")
        }
        for waiter in waiters { waiter(.cancelled) }
    }

    /// How many wait for the removal under way.
    package var removalWaiters: Int { state.withLock { $0.removal?.waiters.count ?? 0 } }

    /// How many wait for the roll-back of its add.
    package var addCancellers: Int { state.withLock { $0.addCancellers.count } }

    // MARK: Deciding, under the lock

    private func decide(
        _ state: inout State, _ mode: RemovalMode, _ timeout: Duration, _ wait: Bool,
        _ done: @escaping RemovalRun.Waiter
    ) -> @Sendable () -> Void {
        switch state.lifecycle.remove(mode, hasOpeners: state.hasOpeners) {
        case .cancelAdd:
            return cancelAdd(&state, timeout, done)
        case .noSuchDisk: return { done(.noSuchDisk) }
        case .busy(let pending):
            var report = makeReport(state, mode)
            if let pending { report.notes.append("a \(pending.rawValue) removal is pending and stays so") }
            let answer = report
            return { done(.busy(answer)) }
        case .leave:
            let run = run(&state, timeout)
            let delegates = mode == .soft ? state.publicOpeners.compactMap(\.delegate).eachHolderOnce : []
            let wanted = waitOrAnswer(run, state, mode, timeout, wait, done)
            return {
                wanted()
                if !delegates.isEmpty {
                    WorkerThread.detach(name: "pl-ask") { for delegate in delegates { delegate.askedToLeave() } }
                }
            }
        case .flush(let frozen):
            let run = run(&state, timeout)
            // What waited for openers until now had no deadline of its own yet.
            run.timeout = timeout
            addWaiter(run, done)
            if frozen {
                run.isFrozen = true
                queue.gate.freeze()
            }
            return { [self] in startFlush() }
        case .cut:
            let run = run(&state, timeout)
            run.timeout = min(run.timeout, timeout)
            addWaiter(run, done)
            let cut = beginCut(&state, run)
            return { cut() }
        case .join: return join(&state, timeout, wait, done)
        }
    }

    /// Another removal is under way: wait for its report, and hurry it if this one has less time.
    private func join(
        _ state: inout State, _ timeout: Duration, _ wait: Bool, _ done: @escaping RemovalRun.Waiter
    ) -> @Sendable () -> Void {
        let run = run(&state, timeout)
        if case .leaving(let pending) = state.lifecycle.state {
            return waitOrAnswer(run, state, pending, timeout, wait, done)
        }
        addWaiter(run, done)
        // The earlier deadline wins; the later timer finds nothing to do.
        let deadline = Instant.now + timeout
        run.timeout = min(run.timeout, timeout)
        if deadline < run.deadline {
            run.deadline = deadline
            let id = run.id
            let tag = run.cutTag
            return { [self] in
                Reaper.shared.watch(nil, until: deadline, tag: tag) { [self] _ in
                    flushed(run: id, .abandoned)
                    deadlinePassed(run: id)
                }
            }
        }
        return {}
    }

    func run(_ state: inout State, _ timeout: Duration) -> RemovalRun {
        if let run = state.removal { return run }
        let run = RemovalRun(id: registry.nextRemoval(), timeout: timeout)
        state.removal = run
        return run
    }

    @discardableResult
    func addWaiter(_ run: RemovalRun, _ done: @escaping RemovalRun.Waiter) -> UInt64 {
        let id = run.nextWaiter
        run.nextWaiter += 1
        run.waiters[id] = done
        return id
    }

    private func waitOrAnswer(
        _ run: RemovalRun, _ state: State, _ mode: RemovalMode, _ timeout: Duration, _ wait: Bool,
        _ done: @escaping RemovalRun.Waiter
    ) -> @Sendable () -> Void {
        guard wait else {
            let report = makeReport(state, mode)
            return { done(.pending(report)) }
        }
        let waiter = addWaiter(run, done)
        let runID = run.id
        let tag = run.waitingTag
        return { [self] in
            Reaper.shared.watch(nil, until: Instant.now + timeout, tag: tag) { [self] _ in
                // Still waiting for openers: answer "pending", the removal stays. Later states have their own deadline.
                let answer = self.state.withLock { state -> (RemovalRun.Waiter, RemovalReport)? in
                    guard let run = state.removal, run.id == runID, case .leaving(let mode) = state.lifecycle.state,
                        let done = run.waiters.removeValue(forKey: waiter)
                    else { return nil }
                    return (done, makeReport(state, mode))
                }
                if let (done, report) = answer { done(.pending(report)) }
            }
        }
    }

    /// Under the lock, by the close of an opener: whether it was the last one that something waited for, so that the flush
    /// begins.
    func beginFlushAfterLastClose(_ state: inout State) -> Bool {
        guard !state.hasOpeners, state.holds == 0 else { return false }
        return state.lifecycle.lastClosed(autoclear: state.isAutoclear)
    }

    func makeReport(_ state: State, _ mode: RemovalMode) -> RemovalReport {
        var report = state.removal?.report ?? RemovalReport()
        report.disk = name
        report.sequence = sequence
        report.mode = mode
        report.state = state.lifecycle.state.word
        if report.openers.isEmpty { report.openers = state.publicOpeners.map(\.currentRecord) }
        report.failedWriteBytes = UInt64(clamping: faults.failedWriteSectors.value) * UInt64(sectorSize)
        report.driverFaults = faults.dropped.value
        if profile.hasWriteCache {
            let written = volatileSectors
            let flushed = faults.flushedMark.withLock { $0 }
            report.unflushedBytes = (written > flushed ? written - flushed : 0) * UInt64(sectorSize)
        }
        if let run = state.removal { report.durationNanoseconds = (Instant.now - run.started).nanoseconds }
        return report
    }

    // MARK: Flushing

    /// Makes everything acknowledged durable before the cut. Openers are gone, or frozen out (`hard`).
    func startFlush() {
        // The run belongs to the lock: a cut that takes over changes it at once.
        let work = state.withLock { state -> (id: UInt64, deadline: Instant, tag: UInt64, frozen: Bool)? in
            guard case .flushing = state.lifecycle.state else { return nil }
            // The close of the last opener may be what brought us here, without a run's deadline yet.
            let run = run(&state, RemovalMode.safe.defaultDeadline)
            run.deadline = Instant.now + run.timeout
            return (run.id, run.deadline, run.waitingTag, run.isFrozen)
        }
        guard let (id, deadline, tag, frozen) = work else { return }
        Reaper.shared.watch(nil, until: deadline, tag: tag) { [self] _ in flushed(run: id, .abandoned) }
        guard frozen else {
            sendFlush(run: id)
            return
        }
        // Frozen: those inside get their answers first, then the flush goes through the privileged lane.
        // What a timeout has given up is not waited for: it was answered, with an error.
        Reaper.shared.watch(
            queue.gate.cells, owed: faults.owed, until: deadline, tag: tag
        ) { [self] outcome in
            if outcome == .drained { sendFlush(run: id) }
        }
    }

    private func sendFlush(run id: UInt64) {
        guard queue.hasWriteCache, volatileSectors > faults.flushedMark.withLock({ $0 }) else {
            flushed(run: id, .notNeeded)
            return
        }
        guard options.faults?.fails(.flush) != true else {
            flushed(run: id, .failed)
            return
        }
        // A thread of its own: a driver's submit may take its time, and this may be the reaper's thread.
        WorkerThread.detach(name: "pl-flush") { [self] in
            let sink = FlushSink { [self] status in flushed(run: id, status == .ok ? .done : .failed) }
            let identity = OpenerIdentity(kind: "flush")
            let core = OpenerCore(
                device: part0, mode: .readWrite,
                record: OpenerRecord(
                    device: name, mode: "w", identity: identity, since: Instant.wallClock, inFlight: 0),
                id: registry.nextRemoval() | 1 << 63, depth: 1, sink: sink, delegate: nil, isPrivate: true)
            state.withLock { $0.openers[core.id] = core }
            sink.core = core
            core.submitPrivilegedFlush()
        }
    }

    /// The flush is over, one way or another; the first to say so decides.
    private func flushed(run id: UInt64, _ result: RemovalReport.Flush) {
        let action = state.withLock { state -> (@Sendable () -> Void)? in
            guard let run = state.removal, run.id == id else { return nil }
            let isGood = result == .done || result == .notNeeded
            let wasClearing = state.lifecycle.isClearing
            switch state.lifecycle.flushed(ok: isGood) {
            case .stale: return nil
            case .live:
                run.report.flush = result
                var report = makeReport(state, .safe)
                report.notes.append(
                    result == .failed
                        ? "the flush failed: the disk stays; a hard or surprise removal takes it away all the same"
                        : "the flush was not answered in time: the disk stays; hard or surprise takes it away")
                let waiters = run.takeWaiters()
                let wasFrozen = run.isFrozen
                run.cancelTimers()
                state.removal = nil
                // Nobody waits for what goes by itself: it is told to everybody.
                if wasClearing {
                    registry.events.append([event(.change, of: part0, extra: ["PLATTER_AUTOCLEAR=failed"])])
                }
                let answer = report
                return { [self] in
                    registry.events.pump()
                    if wasFrozen { letGo(queue.gate.thaw()) }
                    for waiter in waiters { waiter(.failed(answer)) }
                }
            case .cut:
                run.report.flush = result
                // A driver that did not answer the flush gets no second full deadline.
                if result == .abandoned { run.timeout = min(run.timeout, RemovalMode.surprise.defaultDeadline) }
                return beginCut(&state, run)
            }
        }
        action?()
    }

    // MARK: The cut

    /// Under the lock, in the same critical section as the transition: from here no new I/O reaches the driver (R2).
    private func beginCut(_ state: inout State, _ run: RemovalRun) -> @Sendable () -> Void {
        guard case .cut(let mode) = state.lifecycle.state else { return {} }
        run.deadline = Instant.now + run.timeout
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
    private func deadlinePassed(run id: UInt64) {
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

/// Takes the answer of the remover's flush.
private final class FlushSink: BioSink, @unchecked Sendable {
    // SAFETY: `core` is set before the flush is submitted, and read by its answer.
    var core: OpenerCore?
    private let then: @Sendable (BlockStatus) -> Void

    init(then: @escaping @Sendable (BlockStatus) -> Void) { self.then = then }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        let core = core
        self.core = nil
        core?.close()
        then(status)
    }
}
