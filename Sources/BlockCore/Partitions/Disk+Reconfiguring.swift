// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// For a verb: one rescan, resize or change of partitions at a time, and only on a disk that lives.
    /// - Throws: EBUSY while another runs or a removal is under way, ENODEV on a dead disk.
    func beginReconfiguring() throws(DiskError) {
        let refusal = state.withLock { state -> DiskError? in
            if let refusal = refusesReconfiguring(state) { return refusal }
            guard state.reconfiguration.begin() else {
                return DiskError(
                    errno: DiskError.busy, disk: name, sequence: sequence,
                    reason: "\(name) is being rescanned or resized already: try again when that is over")
            }
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Why what the disk consists of may not change now, by its life; nil: it may. Under the lock.
    func refusesReconfiguring(_ state: State) -> DiskError? {
        if queue.gate.isDead || state.lifecycle.isOver { return goneError() }
        guard state.lifecycle.refusesOpen() != nil else { return nil }
        return DiskError(errno: DiskError.busy, disk: name, sequence: sequence, reason: "\(name) is being removed")
    }

    /// A verb is over; what came meanwhile is done now.
    func endReconfiguring() {
        if state.withLock({ $0.reconfiguration.end() }) { startOwnWork() } else { media?.bell.ringAll() }
    }

    /// Work of the disk's own: now, or when what runs has ended.
    func ask(_ work: Reconfiguration.Work) {
        if state.withLock({ $0.reconfiguration.ask(work) }) { startOwnWork() }
    }

    private func startOwnWork() {
        WorkerThread.detach(name: "pl-change") { [self] in
            while true {
                let work = state.withLock { $0.reconfiguration.next() }
                if work.isEmpty {
                    media?.bell.ringAll()
                    return
                }
                if work.contains(.medium) { changeMedium() }
                if work.contains(.capacity) { takeCapacity() }
                if work.contains(.rescan) { rescanAfterWrite() }
            }
        }
    }
}
