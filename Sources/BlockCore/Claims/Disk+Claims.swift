// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who asks for a claim, on what.
struct ClaimRequest: Sendable {
    let device: BlockDevice
    let holder: Holder
    /// nil: the handle holds for itself alone, and nothing stands on the device.
    let delegate: (any HolderDelegate)?

    var claimant: ClaimTable.Claimant {
        ClaimTable.Claimant(holder: holder.id, delegate: delegate.map { ObjectIdentifier($0) })
    }
}

/// The claims of a disk, with those who wait for one. Under the disk's lock.
struct ClaimBook {
    typealias Done = @Sendable (Result<UInt64, DiskError>) -> Void

    struct Waiter {
        let id: UInt64
        let request: ClaimRequest
        let done: Done
    }
    struct Prepared {
        let ticket: UInt64
        let request: ClaimRequest
    }

    var table = ClaimTable()
    var writes = WriteAccess(isOn: false)
    /// What has the slot.
    var prepared: Prepared?
    /// In the order in which they came.
    var waiters: [Waiter] = []
    var nextWaiter: UInt64 = 1
    /// What those who hold the disk heard last of freezes, and whether somebody is telling them.
    var hasToldFrozen = false
    var isTelling = false
}

/// What an open handle stands for beside its I/O. Under a lock of its own, a leaf below the disk's.
struct Standing {
    var delegate: (any OpenerDelegate)?
    /// For whom it claims.
    var holder: Holder?
    /// The claim; nil: there is none, or it was given back.
    var claimant: ClaimTable.Claimant?
    /// As what it is counted among writers; empty: given back.
    var access: OpenMode = []
}

extension Disk {
    /// Things to do when the lock is no longer held.
    typealias Actions = [@Sendable () -> Void]

    private enum ClaimDecision {
        case granted(UInt64)
        case wait
        case failed(DiskError)
    }

    // MARK: The first step

    /// Prepares a claim, now: EBUSY also where another one is in progress.
    func prepareClaimNow(_ request: ClaimRequest) throws(DiskError) -> UInt64 {
        switch state.withLock({ decide(&$0, request) }) {
        case .granted(let ticket): return ticket
        case .failed(let error): throw error
        case .wait:
            throw DiskError(
                errno: DiskError.busy, disk: request.device.name, sequence: sequence,
                reason:
                    "\(request.device.name) cannot be claimed now: another claim on \(name) is being made; try again")
        }
    }

    /// Prepares a claim; where another one is in progress, `done` is called when that is over. Returns the number of the
    /// wait, for ``withdrawClaim(_:)``.
    func prepareClaim(_ request: ClaimRequest, done: @escaping ClaimBook.Done) -> UInt64 {
        let (id, action) = state.withLock { state -> (UInt64, (@Sendable () -> Void)?) in
            let id = state.claims.nextWaiter
            state.claims.nextWaiter += 1
            switch decide(&state, request) {
            case .granted(let ticket): return (id, { done(.success(ticket)) })
            case .failed(let error): return (id, { done(.failure(error)) })
            case .wait:
                state.claims.waiters.append(ClaimBook.Waiter(id: id, request: request, done: done))
                return (id, nil)
            }
        }
        action?()
        return id
    }

    /// Whoever waited does not want to any more.
    func withdrawClaim(_ id: UInt64) {
        let waiter = state.withLock { state -> ClaimBook.Waiter? in
            guard let index = state.claims.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.claims.waiters.remove(at: index)
        }
        waiter?.done(
            .failure(
                DiskError(
                    errno: DiskError.cancelled, disk: waiter?.request.device.name, sequence: sequence,
                    reason: "the wait for a claim on \(name) was cancelled")))
    }

    private func decide(_ state: inout State, _ request: ClaimRequest) -> ClaimDecision {
        let device = request.device
        if let refusal = refusal(of: device, state) { return .failed(refusal) }
        switch state.claims.table.prepare(device.partitionNumber, request.claimant) {
        case .wait: return .wait
        case .dead: return .failed(notThereError(device))
        case .refused(let conflict): return .failed(claimError(request, conflict, state))
        case .prepared(let ticket):
            if request.delegate != nil, !registry.stack.reserve(request.holder, on: device) {
                _ = state.claims.table.abort(ticket)
                return .failed(
                    DiskError(
                        errno: DiskError.invalid, disk: device.name, sequence: sequence,
                        reason:
                            "\(request.holder.name) cannot stand on \(device.name): that stands on \(request.holder.name) already"
                    ))
            }
            state.claims.prepared = ClaimBook.Prepared(ticket: ticket, request: request)
            return .granted(ticket)
        }
    }

    private func claimError(_ request: ClaimRequest, _ conflict: ClaimTable.Conflict, _ state: State) -> DiskError {
        let wanted = request.device.partitionNumber
        let inTheWay = state.publicOpeners.filter { other in
            let number = other.device.partitionNumber
            return other.isClaiming && (number == wanted || number == 0 || wanted == 0)
        }
        let who = inTheWay.map { "\($0.device.name) by \($0.holderName ?? $0.record.identity.kind)" }
        let reason =
            conflict == .otherDelegate
            ? "\(request.holder.name) holds it already, and hears of it through another delegate"
            : "there is a claim on \(who.joined(separator: " and on ")); remove or close that first"
        return DiskError(
            errno: DiskError.busy, disk: request.device.name, sequence: sequence,
            reason: "\(request.device.name) cannot be claimed: \(reason)", openers: inTheWay.map(\.currentRecord))
    }

    // MARK: The second

    /// Under the lock. nil: the disk has died since.
    func finishClaim(_ state: inout State, _ ticket: UInt64) -> (request: ClaimRequest, then: Actions)? {
        guard let prepared = state.claims.prepared, state.claims.table.finish(ticket) else { return nil }
        state.claims.prepared = nil
        if prepared.request.delegate != nil {
            registry.stack.make(prepared.request.holder, on: prepared.request.device)
        }
        return (prepared.request, letNextClaim(&state))
    }

    /// Takes a prepared claim back; nothing happens if it was finished, or the disk has died.
    func abortClaim(_ ticket: UInt64) {
        let actions = state.withLock { state -> Actions in
            guard let prepared = state.claims.prepared, state.claims.table.abort(ticket) else { return [] }
            state.claims.prepared = nil
            if prepared.request.delegate != nil {
                registry.stack.cancel(prepared.request.holder, on: prepared.request.device)
            }
            return letNextClaim(&state)
        }
        for action in actions { action() }
    }

    /// The slot is free: those who wait ask again, in the order in which they came.
    private func letNextClaim(_ state: inout State) -> Actions {
        var actions: Actions = []
        var left: [ClaimBook.Waiter] = []
        for waiter in state.claims.waiters {
            switch decide(&state, waiter.request) {
            case .wait: left.append(waiter)
            case .granted(let ticket): actions.append { waiter.done(.success(ticket)) }
            case .failed(let error): actions.append { waiter.done(.failure(error)) }
            }
        }
        state.claims.waiters = left
        return actions
    }

    // MARK: The end

    /// Under the lock: the claim of a handle ends, and its place among the writers.
    func endClaim(_ state: inout State, _ core: OpenerCore) {
        let standing = core.standing.withLock { standing in
            defer {
                standing.claimant = nil
                standing.access = []
            }
            return standing
        }
        let partition = core.device.partitionNumber
        state.claims.writes.giveBack(standing.access, of: partition)
        guard let claimant = standing.claimant else { return }
        state.claims.table.end(partition, claimant)
        if claimant.delegate != nil, let holder = standing.holder { registry.stack.unlink(holder, from: core.device) }
    }

    /// Gives claim and write accounting of an open handle back, before its close.
    func yieldClaim(of core: OpenerCore) { state.withLock { endClaim(&$0, core) } }

    /// Under the lock, at the cut: the slot is empty, and whoever waits for it hears that the disk is gone (T21).
    func endClaims(_ state: inout State) -> Actions {
        if let prepared = state.claims.prepared, prepared.request.delegate != nil {
            registry.stack.cancel(prepared.request.holder, on: prepared.request.device)
        }
        state.claims.prepared = nil
        state.claims.table.die()
        let waiters = state.claims.waiters
        state.claims.waiters = []
        return waiters.map { waiter in
            { [self] in waiter.done(.failure(notThereError(waiter.request.device))) }
        }
    }

    func notThereError(_ device: BlockDevice) -> DiskError {
        DiskError(
            errno: DiskError.noSuchDevice, disk: device.name, sequence: sequence,
            reason: "\(device.name) is gone or being removed (DISKSEQ \(sequence)): it cannot be opened any more")
    }

    /// How many wait for a claim: for tests.
    package var claimWaiters: Int { state.withLock { $0.claims.waiters.count } }
    /// The claims as they are: for tests.
    package var claimTable: ClaimTable { state.withLock { $0.claims.table } }
}

extension OpenerCore {
    var delegate: (any OpenerDelegate)? { standing.withLock { $0.delegate } }
    var isClaiming: Bool { standing.withLock { $0.claimant != nil } }
    var holderName: String? { standing.withLock { $0.claimant?.delegate == nil ? nil : $0.holder }?.name }
}
