// SPDX-License-Identifier: Apache-2.0

package import BlockSystem

extension Disk {
    /// Removes the disk. One verb for every driver, stack and export; safe at any moment, from any thread.
    ///
    /// - Parameters:
    ///   - mode: how politely; see ``RemovalMode``.
    ///   - deadline: how long it may take in all, from the flush to the end: a tenth of it, 1 s at most, is kept back for
    ///     the driver's answers after the cut. 30 s, for a surprise 1 s. Of several who ask, the earlier one holds. Where
    ///     openers have to leave first the time begins when they have.
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

    /// Until when the removal under way is over; nil: there is none, or it waits for openers.
    package var removalDeadline: Instant? {
        state.withLock { state in
            guard let run = state.removal, run.deadline < .never else { return nil }
            return run.deadline
        }
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
            run.deadline = min(run.deadline, Instant.now + timeout)
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
        let now = Instant.now
        guard now + timeout < run.deadline else { return {} }
        run.deadline = now + timeout
        let (id, deadline) = (run.id, run.deadline)
        if case .cut = state.lifecycle.state {
            let tag = run.cutTag
            return { [self] in
                Reaper.shared.watch(nil, until: deadline, tag: tag) { [self] _ in deadlinePassed(run: id) }
            }
        }
        let (tag, flushEnd) = (run.waitingTag, now + RemovalMode.flushShare(of: timeout))
        return { [self] in
            Reaper.shared.watch(nil, until: flushEnd, tag: tag) { [self] _ in flushed(run: id, .abandoned) }
        }
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
}
