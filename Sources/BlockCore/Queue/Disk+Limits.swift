// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// What one request to the driver may be, now.
    public var limits: QueueLimits { queue.limits }

    /// Changes limits as one: no I/O sees some old and some new ones.
    ///
    /// What comes of `edit` is validated first; then the disk is frozen and emptied, the limits change, and it is thawed.
    /// Whatever fails, the old ones stay and the gate is open again.
    ///
    /// - Parameter deadline: how long the I/O under way may take.
    /// - Throws: EINVAL for limits that cannot be (the logical block size is fixed), EBUSY during another change,
    ///   ETIMEDOUT with who is inside, ENODEV when the disk is dead or dies.
    /// - Context: as ``freeze(deadline:)``.
    public func updateLimits(
        deadline: Duration = .seconds(30), _ edit: (inout QueueLimits) -> Void
    ) async throws(DiskError) {
        guard queue.room.beginUpdate() else {
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "the limits of \(name) are being changed: try again when that is over")
        }
        defer { queue.room.endUpdate() }
        let old = queue.limits
        var edited = old
        edit(&edited)
        let new = try checked(edited, old)
        guard new != old else { return }
        try await whileEmpty("given new limits", deadline) { queue in queue.limits = new }
    }

    /// Says whether flushes go to the driver: a user may know that what the device calls a cache loses nothing. A device
    /// without one gets none by this. What was written and not flushed is counted all the same.
    /// - Throws: EBUSY during a change of limits, ETIMEDOUT with who is inside, ENODEV when the disk is dead or dies.
    func setWriteCache(_ isOn: Bool, deadline: Duration = .seconds(30)) async throws(DiskError) {
        guard queue.room.beginUpdate() else {
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "the limits of \(name) are being changed: try again when that is over")
        }
        defer { queue.room.endUpdate() }
        guard queue.hasWriteCache != isOn, profile.hasWriteCache else { return }
        try await whileEmpty("given another write cache", deadline) { $0.setWriteCache(isOn) }
    }

    /// Makes a change of the queue while the gate is shut and nobody is inside.
    private func whileEmpty(
        _ verb: String, _ deadline: Duration, _ change: (RequestQueue) -> Void
    ) async throws(DiskError) {
        let generation = queue.gate.freeze()
        let outcome = await queue.emptied(generation, owed: faults.owed, until: Instant.now + deadline)
        let isEmpty = outcome == .drained && !queue.gate.isDead
        if isEmpty { change(queue) }
        letGo(queue.gate.thaw())
        guard !isEmpty else { return }
        throw queue.gate.isDead ? goneError() : stillInside(verb, deadline)
    }

    private func checked(_ limits: QueueLimits, _ old: QueueLimits) throws(DiskError) -> QueueLimits {
        var refusal: DiskError
        do throws(DiskError) {
            guard limits.logicalBlockSize == old.logicalBlockSize else {
                throw DiskError(
                    errno: DiskError.invalid,
                    reason: "the logical block size of \(name) is \(old.logicalBlockSize) for its whole life")
            }
            return try limits.validated()
        } catch {
            refusal = error
        }
        refusal.disk = name
        refusal.sequence = sequence
        throw refusal
    }
}
