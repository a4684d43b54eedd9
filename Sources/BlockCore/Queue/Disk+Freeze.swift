// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Freezes and pauses.
///
/// A *freeze* shuts the gate: nobody gets in, and with a deadline nobody is inside any more when it returns. A *pause*
/// leaves the gate open and stops the way to the driver: I/O is accepted and waits. What waits in a pause is inside, so
/// a freeze of a paused disk ends only with the resume, the death, or its deadline.
extension Disk {
    // MARK: Freezes

    /// Shuts the gate until as many thaws; I/O that comes is parked. Does not wait for what is inside: that goes on.
    /// - Context: any thread; does not block. The thaw may come from another one.
    public func freeze() {
        _ = queue.room.freezeForUser(queue.gate)
        tellFrozen()
    }

    /// Shuts the gate and waits until nobody is inside: no driver code runs for this disk's I/O, nothing is owed to it
    /// but what a timeout has given up.
    ///
    /// - Parameter deadline: how long that may take; when it has passed the freeze is taken back.
    /// - Throws: ETIMEDOUT with who is inside, ENODEV when the disk is dead or dies, ECANCELED when somebody thawed it
    ///   before it was empty.
    /// - Context: from inside a submit or an answer of this disk it can only run into its deadline.
    public func freeze(deadline: Duration) async throws(DiskError) {
        let generation = queue.room.freezeForUser(queue.gate)
        tellFrozen()
        let outcome = await queue.emptied(generation, owed: faults.owed, until: Instant.now + deadline)
        switch outcome {
        case .drained where !queue.gate.isDead: return
        case .thawed:
            throw DiskError(
                errno: DiskError.cancelled, disk: name, sequence: sequence,
                reason: "\(name) was thawed before it was empty: freeze it again")
        case .drained, .deadline:
            if let parked = queue.room.thawForUser(queue.gate) { letGo(parked) }
            tellFrozen()
            throw queue.gate.isDead ? goneError() : stillInside("frozen", deadline)
        }
    }

    /// Takes one freeze of a user back; what was parked goes on its way, on this thread.
    /// - Throws: EINVAL where no user has it frozen. A freeze of the core's own (a removal's) is not a user's to take back.
    public func thaw() throws(DiskError) {
        guard let parked = queue.room.thawForUser(queue.gate) else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence, reason: "\(name) is not frozen")
        }
        tellFrozen()
        letGo(parked)
    }

    /// Whether its gate is shut for a while, by a user or by the core.
    public var isFrozen: Bool { !queue.gate.isOpen && !queue.gate.isDead }

    /// How often it was frozen and not thawed since, by users.
    public var freezeDepth: Int { queue.room.userFreezes }

    /// I/Os that wait at the gate for a thaw; they were not let in.
    public var parkedIO: Int { queue.gate.parkedCount }

    /// Sends what was parked at the gate on its way.
    func letGo(_ parked: SlotList) {
        var parked = parked
        while let slot = parked.popFirst() { slot.element.core?.object.resume(slot) }
    }

    func stillInside(_ verb: String, _ deadline: Duration) -> DiskError {
        let inside = state.withLock { $0.publicOpeners }.map(\.currentRecord).filter { $0.inFlight > 0 }
        let who = inside.map { "\($0.identity.kind) on \($0.device) with \($0.inFlight)" }.joined(separator: ", ")
        return DiskError(
            errno: DiskError.timedOut, disk: name, sequence: sequence,
            reason: "\(name) could not be \(verb) within \(deadline): still inside: "
                + (who.isEmpty ? "the disk's own work" : who),
            openers: inside)
    }

    // MARK: Pauses

    /// Stops the way to the driver until as many resumes: when this returns, none of the driver's submits runs and none
    /// begins. I/O is accepted and waits in order; what may not wait is answered ``BlockStatus/again``; what the driver
    /// has it may answer. The death fails what waits.
    ///
    /// - Parameter deadline: how long a submit that is running may take; when it has passed the pause is taken back.
    /// - Throws: ETIMEDOUT, ENODEV when the disk is dead or dies.
    /// - Context: as ``freeze(deadline:)``.
    public func pause(deadline: Duration = .seconds(30)) async throws(DiskError) {
        queue.room.pause()
        queue.lookAgain()
        // Shut for the moment that it takes: those inside are then the ones who may have missed the pause.
        let generation = queue.gate.freeze()
        let cores = state.withLock { Array($0.openers.values) }
        let cells = queue.gate.cells
        // One lease for each answer that is owed, and one for each submit that runs: without the latter they are equal.
        // The leases first: what is answered between the two looks then only makes the count too low.
        let outcome = await queue.emptied(generation, until: Instant.now + deadline) {
            let leases = cells.outstanding
            return leases == cores.reduce(0) { $0 + UInt64($1.inFlight) }
        }
        letGo(queue.gate.thaw())
        guard outcome != .drained || queue.gate.isDead else { return }
        try? resume()
        throw queue.gate.isDead ? goneError() : stillInside("paused", deadline)
    }

    /// Takes one pause back; what waited goes on its way, in order, on this thread (or on workers, as the driver asks).
    /// - Throws: EINVAL where it is not paused.
    public func resume() throws(DiskError) {
        guard var waiting = queue.room.resume() else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence, reason: "\(name) is not paused")
        }
        queue.lookAgain()
        while let slot = waiting.popFirst() {
            guard let core = slot.element.core?.object else { continue }
            queue.launch(slot, core)
        }
    }

    /// How often it was paused and not resumed since.
    public var pauseDepth: Int { queue.room.pauseDepth }

    /// I/Os that were accepted and wait in the core: for a resume, a place at the driver, a flush, their next try.
    public var waitingIO: Int { queue.room.count + (queue.tags?.waiting(of: queue) ?? 0) }
}

extension RequestQueue {
    /// Waits, without a thread, until a gate that was shut has nobody inside.
    ///
    /// - Parameters:
    ///   - generation: what the freeze returned.
    ///   - owed: leases that are nobody's any more, because their answers were given up.
    ///   - condition: instead of "nobody inside".
    func emptied(
        _ generation: UInt64, owed: Counter? = nil, until deadline: Instant,
        condition: (@Sendable () -> Bool)? = nil
    ) async -> Reaper.Outcome {
        let cells = gate.cells
        return await withCheckedContinuation { continuation in
            Reaper.shared.watch(
                cells, generation: generation, owed: owed, until: deadline, condition: condition
            ) { continuation.resume(returning: $0) }
        }
    }
}
