// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// For a verb: one rescan, resize, change of partitions or of the medium at a time, and only on a disk that lives.
    ///
    /// - Parameter isPatient: waits for another verb, too; for what cannot be put off.
    /// - Context: may block until the disk's own work is done.
    /// - Throws: EBUSY while another verb runs or a removal is under way, ENODEV on a dead disk.
    func beginReconfiguring(isPatient: Bool = false) throws(DiskError) {
        while true {
            let (refusal, turn) = state.withLock { state -> (DiskError?, Parker?) in
                if let refusal = refusesReconfiguring(state) { return (refusal, nil) }
                if state.reconfiguration.begin() { return (nil, nil) }
                guard isPatient || state.reconfiguration.isOwnWork else {
                    let refusal = DiskError(
                        errno: DiskError.busy, disk: name, sequence: sequence,
                        reason: "a rescan, a resize, or a change of its partitions or medium is under way on \(name): "
                            + "try again when that is over")
                    return (refusal, nil)
                }
                let turn = Parker()
                state.waitingForTurn.append(turn)
                return (nil, turn)
            }
            if let refusal { throw refusal }
            guard let turn else { return }
            turn.wait()
        }
    }

    /// Why what the disk consists of may not change now, by its life; nil: it may. Under the lock.
    func refusesReconfiguring(_ state: State) -> DiskError? {
        if queue.gate.isDead || state.lifecycle.isOver { return goneError() }
        guard state.lifecycle.refusesOpen() != nil else { return nil }
        return DiskError(errno: DiskError.busy, disk: name, sequence: sequence, reason: "\(name) is being removed")
    }

    /// Whether a verb or the disk's own work runs: what the tests look at.
    package var isReconfiguring: Bool { state.withLock { $0.reconfiguration.isRunning } }

    /// A verb is over; what came meanwhile is done now.
    func endReconfiguring() {
        let (hasWork, turns) = state.withLock { state in
            let hasWork = state.reconfiguration.end()
            return (hasWork, hasWork ? [] : state.takeTurns())
        }
        for turn in turns { turn.raise() }
        if hasWork { startOwnWork() }
    }

    /// Work of the disk's own: now, or when what runs has ended.
    func ask(_ work: Reconfiguration.Work) {
        if state.withLock({ $0.reconfiguration.ask(work) }) { startOwnWork() }
    }

    private func startOwnWork() {
        WorkerThread.detach(name: "pl-change") { [self] in
            while true {
                let (work, turns) = state.withLock { state in
                    let work = state.reconfiguration.next()
                    return (work, work.isEmpty ? state.takeTurns() : [])
                }
                for turn in turns { turn.raise() }
                if work.isEmpty { return }
                if work.contains(.medium) { changeMedium() }
                if work.contains(.capacity) { takeCapacity() }
                if work.contains(.rescan) { rescanAfterWrite() }
            }
        }
    }
}

extension Disk.State {
    /// Those who wait for their turn: each looks again.
    fileprivate mutating func takeTurns() -> [Parker] {
        defer { waitingForTurn = [] }
        return waitingForTurn
    }
}
