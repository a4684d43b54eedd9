// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The flush before a disk goes: between the removal that was asked for and the cut.
extension Disk {
    /// Makes everything acknowledged durable before the cut. Openers are gone, or frozen out (`hard`).
    func startFlush() {
        // The run belongs to the lock: a cut that takes over changes it at once.
        let work = state.withLock { state -> (id: UInt64, end: Instant, tag: UInt64, frozen: Bool)? in
            guard case .flushing = state.lifecycle.state else { return nil }
            // The close of the last opener may be what brought us here, without a run's deadline yet.
            let run = run(&state, RemovalMode.safe.defaultDeadline)
            let now = Instant.now
            // One time for all that follows; somebody who joined may have set an earlier end.
            run.deadline = min(run.deadline, now + run.timeout)
            return (run.id, now + RemovalMode.flushShare(of: run.timeout), run.waitingTag, run.isFrozen)
        }
        guard let (id, end, tag, frozen) = work else { return }
        Reaper.shared.watch(nil, until: end, tag: tag) { [self] _ in flushed(run: id, .abandoned) }
        guard frozen else {
            sendFlush(run: id)
            return
        }
        // Frozen: those inside get their answers first, then the flush goes through the privileged lane.
        // What a timeout has given up is not waited for: it was answered, with an error.
        Reaper.shared.watch(
            queue.gate.cells, owed: faults.owed, until: end, tag: tag
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
    func flushed(run id: UInt64, _ result: RemovalReport.Flush) {
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
                return beginCut(&state, run)
            }
        }
        action?()
    }
}

/// Takes the answer of the remover's flush.
private final class FlushSink: BioSink, @unchecked Sendable {
    // SAFETY: `core` is set before the flush is submitted; from then on only its one answer touches it, which the submission
    // comes before.
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
