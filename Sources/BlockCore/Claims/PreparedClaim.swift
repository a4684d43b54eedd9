// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The first half of a claim: until it is finished or dropped, nobody else claims the disk or a part of it.
///
/// What may fail is done in between: opening the device, reading what is on it. Dropping it takes the claim back and lets
/// the next one who waits go on.
public struct PreparedClaim: ~Copyable, Sendable {
    /// What is to be claimed.
    public let device: BlockDevice
    /// For whom.
    public let holder: Holder
    let ticket: UInt64

    init(_ request: ClaimRequest, ticket: UInt64) {
        device = request.device
        holder = request.holder
        self.ticket = ticket
    }

    /// Makes the claim that of an open handle, and ends with it. Cannot fail, unless the disk has died.
    ///
    /// - Throws: ENODEV when the disk has died since; EINVAL when the handle is not one of this device, or claims already.
    public consuming func finish(_ opener: borrowing Opener) throws(DiskError) {
        try device.disk.finishClaim(ticket, for: opener.core, of: device)
    }

    deinit { device.disk.abortClaim(ticket) }
}

extension BlockDevice {
    /// Prepares to claim the device, whole or partition, for a holder; see ``PreparedClaim``.
    ///
    /// Waits while another claim on the same disk is being made. Cancelling the task ends the wait with ECANCELED.
    /// - Throws: EBUSY, at once, when a claim is in the way; ENXIO when the disk is gone or going, now or while this
    ///   waited; EINVAL when the device stands on the holder.
    public func prepareClaim(
        for holder: Holder, delegate: any HolderDelegate
    ) async throws(DiskError) -> PreparedClaim {
        let request = ClaimRequest(device: self, holder: holder, delegate: delegate)
        return PreparedClaim(request, ticket: try await disk.waitForClaim(request))
    }

    /// Opens the device for a holder alone: claims it, and links the two in the stack.
    ///
    /// Waits while another claim on the same disk is being made, and otherwise does as ``open(_:as:depth:sink:delegate:)``.
    /// - Throws: EBUSY when a claim is in the way; ENXIO when it is gone or going; EINVAL when the device stands on the
    ///   holder already.
    public func open(
        _ mode: OpenMode, as identity: OpenerIdentity, for holder: Holder, depth: Int = 128, sink: any BioSink,
        delegate: any HolderDelegate
    ) async throws(DiskError) -> Opener {
        let request = ClaimRequest(device: self, holder: holder, delegate: delegate)
        let ticket = try await disk.waitForClaim(request)
        return try disk.open(
            self, mode.union(.exclusive), identity, depth: depth, sink: sink, delegate: HolderEar(self, delegate),
            isPrivate: false, ticket: ticket)
    }

    /// The same for callers with a thread of their own: it may wait for other claims, and for the driver.
    public func openBlocking(
        _ mode: OpenMode, as identity: OpenerIdentity, for holder: Holder, depth: Int = 128, sink: any BioSink,
        delegate: any HolderDelegate
    ) throws(DiskError) -> Opener {
        let request = ClaimRequest(device: self, holder: holder, delegate: delegate)
        let answer = Lock<ClaimAnswer?>(nil)
        let isThere = Parker()
        _ = disk.prepareClaim(request) { result in
            answer.withLock { $0 = ClaimAnswer(result: result) }
            isThere.raise()
        }
        isThere.wait()
        guard let result = answer.withLock({ $0 })?.result else { invariantBroken("a claim was answered with nothing") }
        return try disk.open(
            self, mode.union(.exclusive), identity, depth: depth, sink: sink, delegate: HolderEar(self, delegate),
            isPrivate: false, ticket: try result.get())
    }
}

private struct ClaimAnswer: Sendable {
    let result: Result<UInt64, DiskError>
}

/// The number of a wait, and whether it was given up before it had one.
private struct ClaimWait: Sendable {
    var id: UInt64?
    var isCancelled = false
}

extension Disk {
    fileprivate func waitForClaim(_ request: ClaimRequest) async throws(DiskError) -> UInt64 {
        let wait = Lock(ClaimWait())
        let result: Result<UInt64, DiskError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let id = prepareClaim(request) { continuation.resume(returning: $0) }
                // Cancelled before there was a number to withdraw.
                let isCancelled = wait.withLock { wait in
                    wait.id = id
                    return wait.isCancelled
                }
                if isCancelled { withdrawClaim(id) }
            }
        } onCancel: {
            let id = wait.withLock { wait in
                wait.isCancelled = true
                return wait.id
            }
            if let id { withdrawClaim(id) }
        }
        return try result.get()
    }

    fileprivate func finishClaim(
        _ ticket: UInt64, for core: OpenerCore, of device: BlockDevice
    ) throws(DiskError) {
        guard core.disk === self, core.device.partitionNumber == device.partitionNumber, !core.isPrivate else {
            throw DiskError(
                errno: DiskError.invalid, disk: device.name, sequence: sequence,
                reason: "the claim is on \(device.name), the handle on \(core.device.name): they must be the same")
        }
        guard !core.isClaiming else {
            throw DiskError(
                errno: DiskError.invalid, disk: device.name, sequence: sequence,
                reason: "the handle on \(device.name) claims it already: open another one")
        }
        let actions = state.withLock { state -> Actions? in
            guard let (request, then) = finishClaim(&state, ticket) else { return nil }
            core.standing.withLock { standing in
                standing.holder = request.holder
                standing.claimant = request.claimant
                if let delegate = request.delegate { standing.delegate = HolderEar(device, delegate) }
            }
            return then
        }
        guard let actions else { throw goneError() }
        for action in actions { action() }
    }
}
