// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// From now on the disk goes with its last opener, or no longer does.
    ///
    /// The removal begins in the critical section of the last close: whoever opens meanwhile has the living disk or ENXIO,
    /// never half a one (T26). It flushes; if that fails the disk stays, without openers, until the next one has come and
    /// gone, and a change event with `PLATTER_AUTOCLEAR=failed` says so.
    /// - Throws: ENXIO when the disk is not live.
    public func setAutoclear(_ isOn: Bool) throws(DiskError) {
        let isLive = state.withLock { state in
            guard state.lifecycle.state == .live else { return false }
            state.isAutoclear = isOn
            return true
        }
        guard isLive else { throw notLiveError() }
    }

    /// Whether it goes with its last opener.
    public var isAutoclear: Bool { state.withLock { $0.isAutoclear } }

    /// The disk goes with its last opener; if there is no other opener than this one, nobody is let in any more from now
    /// on. What `LOOP_CLR_FD` does.
    func clear() throws(DiskError) {
        let isLive = state.withLock { state in
            guard state.lifecycle.clear(openers: state.publicOpeners.count + state.holds) else { return false }
            state.isAutoclear = true
            return true
        }
        guard isLive else { throw notLiveError() }
    }

    private func notLiveError() -> DiskError {
        DiskError(
            errno: DiskError.noSuchDevice, disk: name, sequence: sequence,
            reason: "\(name) is gone or being removed (DISKSEQ \(sequence)): it cannot be set to go by itself")
    }

    /// Removes the disk if nobody has it open, and never otherwise: no opener slips in between the look and the stop (T27).
    /// - Throws: EBUSY with who has it open, EIO when its flush failed, ENXIO when it is gone or going.
    public func tryStop(deadline: Duration? = nil) async throws(DiskError) -> RemovalReport {
        switch await remove(.safe, deadline: deadline) {
        case .removed(let report): return report
        case .busy(let report):
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "\(name) is in use by \(report.openers.map(\.who).joined(separator: ", ")); close it first",
                openers: report.openers)
        case .failed:
            throw DiskError(
                errno: DiskError.ioError, disk: name, sequence: sequence,
                reason: "\(name) could not be flushed and stays")
        case .pending, .neverPublished, .cancelled, .noSuchDisk:
            throw DiskError(
                errno: DiskError.noSuchDevice, disk: name, sequence: sequence, reason: "\(name) is gone or going")
        }
    }

    // MARK: Holds

    /// Promises the disk to as many opens as are to come: as openers do, they keep an autoclear away.
    func hold(_ count: Int) { state.withLock { $0.holds += count } }

    /// One of them has come, or never will.
    func endHold() {
        let flushes = state.withLock { state in
            state.holds -= 1
            return beginFlushAfterLastClose(&state)
        }
        if flushes { startFlush() }
    }

    // MARK: For opens that look again

    /// Whether an open was refused because the disk was on its way out: then waits for the end of that, and the open may
    /// look again. On threads that may wait.
    func wasDying(_ error: DiskError, until end: Instant) -> Bool {
        guard error.errno == DiskError.noSuchDevice || error.errno == DiskError.busy else { return false }
        switch lifeState {
        case .flushing, .cut, .owing, .gone:
            awaitEnd(until: end)
            return Instant.now < end
        // It came back, or the partition is another one by now.
        case .live: return error.errno == DiskError.noSuchDevice
        // Its openers stay as long as they like.
        case .leaving, .adding: return false
        }
    }

    /// Waits until a removal that is past its openers has ended, one way or another.
    func awaitEnd(until end: Instant) {
        let over = Parker()
        let waits = state.withLock { state in
            switch state.lifecycle.state {
            case .flushing, .cut:
                addWaiter(run(&state, RemovalMode.safe.defaultDeadline)) { _ in over.raise() }
                return true
            case .adding, .live, .leaving, .owing, .gone: return false
            }
        }
        if waits { over.wait(until: end) }
    }
}

extension Opener {
    /// The disk goes with its last opener from now on; if this is the only one, nobody else is let in any more. The disk
    /// goes when this handle is closed, then.
    /// - Throws: ENXIO when the disk is not live.
    public borrowing func clear() throws(DiskError) { try device.disk.clear() }
}

/// A disk that is promised to one open.
final class DiskHold: Sendable {
    let disk: Disk
    private let isHeld = Lock(true)

    /// Takes over a hold that was counted before.
    init(adopting disk: Disk) { self.disk = disk }

    deinit { end() }

    /// The open has come, or never will. Once.
    func end() {
        let held = isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
        if held { disk.endHold() }
    }
}
