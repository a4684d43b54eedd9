// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// Opens a device of the disk. A private opener is the core's own: not counted, and let in before publication.
    ///
    /// - Parameter ticket: of a claim that was prepared for this open; an exclusive one without prepares its own.
    func open(
        _ device: BlockDevice, _ mode: OpenMode, _ identity: OpenerIdentity, depth: Int, sink: any BioSink,
        delegate: (any OpenerDelegate)?, isPrivate: Bool, ticket: UInt64? = nil
    ) throws(DiskError) -> Opener {
        var ticket = ticket
        // Whatever fails from here on takes the claim back (T14); after the second step this does nothing.
        defer { if let ticket { abortClaim(ticket) } }
        try checkOpen(device, mode, depth)
        if !isPrivate { try beginOpenOfMedium() }
        defer { if !isPrivate { endOpenOfMedium() } }
        if mode.contains(.exclusive), ticket == nil, !isPrivate {
            // The handle holds for itself.
            ticket = try prepareClaimNow(
                ClaimRequest(device: device, holder: Holder(kind: identity.kind), delegate: nil))
        }
        let told = isPrivate ? false : try tellDriverOpened(device)
        let record = OpenerRecord(
            device: device.name, mode: mode.text, identity: identity, since: Instant.wallClock, inFlight: 0)
        let id = state.withLock { state in
            defer { state.nextOpener += 1 }
            return state.nextOpener
        }
        let core = OpenerCore(
            device: device, mode: mode, record: record, id: id, depth: depth, sink: sink, delegate: delegate,
            isPrivate: isPrivate)
        // The last look: whoever got as far as here while a removal began hears of it now (T11).
        let (refused, actions) = state.withLock { letIn(&$0, core, ticket) }
        for action in actions { action() }
        if let refused {
            if told { tellDriverClosed() }
            throw refused
        }
        return Opener(core)
    }

    private func checkOpen(_ device: BlockDevice, _ mode: OpenMode, _ depth: Int) throws(DiskError) {
        func refuse(_ reason: String) -> DiskError {
            DiskError(errno: DiskError.invalid, disk: device.name, reason: reason)
        }
        guard !mode.isDisjoint(with: .readWrite) else { throw refuse("an open must ask to read or to write") }
        guard (1...65536).contains(depth) else { throw refuse("a depth of \(depth) is not between 1 and 65536") }
        guard mode.contains(.exclusive) || !mode.contains(.restrictWrites) else {
            throw refuse("an open that keeps writers off \(device.name) must claim it, too")
        }
    }

    /// Under the lock: the handle is counted and its claim finished, or neither.
    private func letIn(_ state: inout State, _ core: OpenerCore, _ ticket: UInt64?) -> (DiskError?, Actions) {
        let device = core.device
        guard !core.isPrivate else {
            state.openers[core.id] = core
            return (nil, [])
        }
        // A deferred removal lets new ones in; a claim that was prepared before any removal may finish, too.
        if let refusal = refusal(of: device, state) ?? mediumRefusesOpen(device, core.mode) { return (refusal, []) }
        if core.mode.contains(.strictScan), device.partitionNumber == 0, let trouble = state.scanTrouble {
            return (trouble, [])
        }
        guard !state.claims.writes.refuses(core.mode, of: device.partitionNumber) else {
            let inTheWay = state.publicOpeners.filter { $0.device.partitionNumber == device.partitionNumber }
                .map(\.currentRecord)
            let who = inTheWay.map(\.who).joined(separator: ", ")
            return (
                DiskError(
                    errno: DiskError.busy, disk: device.name, sequence: sequence,
                    reason: core.mode.contains(.restrictWrites)
                        ? "\(device.name) is open for writing by \(who): close that first"
                        : "\(device.name) is open by \(who), and held without other writers: open it to read only",
                    openers: inTheWay), []
            )
        }
        var actions: Actions = []
        if let ticket {
            guard let (request, then) = finishClaim(&state, ticket) else { return (notThereError(device), []) }
            core.standing.withLock { standing in
                standing.holder = request.holder
                standing.claimant = request.claimant
            }
            actions = then
        }
        state.claims.writes.take(core.mode, of: device.partitionNumber)
        core.standing.withLock { $0.access = core.mode }
        state.openers[core.id] = core
        mediumOpened(core)
        return (nil, actions)
    }

    /// Why a device cannot be opened or claimed now; nil: it can.
    func refusal(of device: BlockDevice, _ state: State) -> DiskError? {
        switch state.lifecycle.refusesOpen() {
        case .noSuchDevice: return notThereError(device)
        case .busy:
            return DiskError(
                errno: DiskError.busy, disk: device.name, sequence: sequence,
                reason: "\(device.name) is being flushed for its removal: try again when that is over")
        case nil: break
        }
        // The partition itself, not just its disk: a rescan may have taken it out since it was looked up (T17).
        guard device.isListed else {
            return DiskError(
                errno: DiskError.noSuchDevice, disk: device.name, sequence: sequence,
                reason: "\(device.name) is no longer in the partition table of \(name)")
        }
        return nil
    }

    /// Tells the driver, inside the gate (a frozen one too: an open does no I/O). False: the gate is dead.
    private func tellDriverOpened(_ device: BlockDevice) throws(DiskError) -> Bool {
        guard queue.gate.enterPrivileged(1) else { return false }
        defer { queue.gate.leave(1) }
        do throws(BlockStatus) {
            if options.faults?.fails(.driverOpen) == true { throw BlockStatus.noMemory }
            try queue.driver?.opened()
            // Inside the lease still: the release counts it, if a removal comes first.
            state.withLock { $0.driverOpens += 1 }
            return true
        } catch {
            throw DiskError(
                errno: error.errno, disk: device.name, sequence: sequence,
                reason: "the driver of \(name) refuses to be opened: \(error.words)")
        }
    }

    /// Inside the gate if it is not dead; otherwise the removal tells it, or has told it.
    private func tellDriverClosed() {
        let tells = state.withLock { state in
            let tells = state.driverOpens > 0 && queue.gate.enterPrivileged(1)
            if tells { state.driverOpens -= 1 }
            return tells
        }
        guard tells else { return }
        queue.driver?.closed()
        queue.gate.leave(1)
    }

    /// An opener was closed. If it was the last one that a removal waited for, the flush begins here.
    func closed(_ core: OpenerCore, isLast: Bool) {
        var rescans = false
        let (flushes, tells) = state.withLock { state -> (Bool, Bool) in
            if isLast { state.openers[core.id] = nil } else { state.openers[core.id]?.markClosed() }
            guard !core.isPrivate else { return (false, false) }
            endClaim(&state, core)
            // Who tells the driver is decided here, once: the close while the gate lets it in, else the removal.
            let tells = state.driverOpens > 0 && queue.gate.enterPrivileged(1)
            if tells { state.driverOpens -= 1 }
            let others = state.openers.values.contains { !$0.isPrivate && !$0.isClosed }
            // It need not be the one who wrote that closes last.
            if core.hasWritten, core.device.partitionNumber == 0 { state.isTableStale = true }
            rescans =
                state.isTableStale && state.scansPartitions
                && state.lifecycle.state == .live
                && !state.openers.values.contains {
                    !$0.isPrivate && !$0.isClosed && $0.device.partitionNumber == 0 && $0.mode.contains(.write)
                }
            if rescans { state.isTableStale = false }
            return (!others && beginFlushAfterLastClose(&state), tells)
        }
        if tells {
            queue.driver?.closed()
            queue.gate.leave(1)
        }
        mediumClosed(core)
        if flushes { startFlush() }
        if rescans { ask(.rescan) }
    }

    /// The last answer of an opener that was closed earlier has come.
    func forget(_ core: OpenerCore) {
        // Dropped outside the lock: with it may go the sink, whose end is foreign code.
        let last = state.withLock { $0.openers.removeValue(forKey: core.id) }
        _ = consume last
    }
}
