// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem
internal import Synchronization

/// What became of a medium that was put in or taken out.
public struct MediumReport: Sendable, Codable, Equatable {
    /// The disk.
    public var disk: String
    /// Its DISKSEQ from now on.
    public var sequence: UInt64
    /// Sectors of the medium that is in; 0: there is none.
    public var capacity: UInt64
    /// The kind of its partition table.
    public var table: String?
    /// The partitions that are there now.
    public var partitions: [String]
    /// What the scan had to say.
    public var warnings: [String]
    /// Bytes that were acknowledged and are not on the medium that was taken out.
    public var unflushedBytes: UInt64
    /// Who has a handle on what is no longer in; their I/O is answered ``BlockStatus/noMedium``.
    public var openers: [OpenerRecord]
}

extension Disk {
    /// Whether its medium can be changed.
    public var isRemovable: Bool { profile.isRemovable || media != nil }
    /// Whether there is a medium in it; true where it cannot be changed.
    public var hasMedium: Bool { media.map { $0.number != 0 } ?? true }

    /// One word for listings: that of its life; of a living disk `frozen` or `no-medium`, where it is that.
    public var stateWord: String {
        let state = lifeState
        guard state == .live else { return state.word }
        return freezeDepth > 0 ? "frozen" : hasMedium ? state.word : "no-medium"
    }

    /// How often the device is asked for events, in milliseconds; -1: as often as the registry says, 0: never.
    public var mediaPollMilliseconds: Int { media?.state.withLock { $0.events.interval } ?? -1 }

    /// Sets that. Takes effect at once, while a check runs after it (T58).
    /// - Throws: EINVAL below -1, EOPNOTSUPP where there is no medium to ask about.
    public func setMediaPoll(milliseconds: Int) throws(DiskError) {
        guard let media else { throw notRemovable }
        guard (-1...86_400_000).contains(milliseconds) else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence,
                reason:
                    "events_poll_msecs of \(name) cannot be \(milliseconds): -1 is the default, 0 never, at most a day")
        }
        Reaper.shared.forget(tag: media.tag)
        let standard = registry.mediaPollInterval
        schedule(media, media.state.withLock { $0.events.setInterval(milliseconds, standard: standard) })
    }

    /// The registry's interval is another one.
    func mediaPollDefaultChanged() {
        guard let media else { return }
        Reaper.shared.forget(tag: media.tag)
        let standard = registry.mediaPollInterval
        let next = media.state.withLock { state in
            state.events.setInterval(state.events.interval, standard: standard)
        }
        schedule(media, next)
    }

    // MARK: The verbs

    /// Puts a medium in; its partitions are there when this returns.
    ///
    /// - Parameter source: what the driver takes: a file of its.
    /// - Throws: EOPNOTSUPP for a disk without removable media, EBUSY while one is in, and what the driver says.
    public func insertMedium(_ source: String) async throws(DiskError) -> MediumReport {
        try await onControlThread("pl-insert") { [self] () throws(DiskError) in try insertMediumBlocking(source) }
    }

    /// The same on a thread of the caller's: it may wait for the driver.
    package func insertMediumBlocking(_ source: String) throws(DiskError) -> MediumReport {
        guard let media else { throw notRemovable }
        try beginReconfiguring(isPatient: true)
        defer { endReconfiguring() }
        guard queue.gate.freezeDepth == 0 else {
            // Its table could not be read.
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "\(name) is frozen: thaw it before a medium is put in")
        }
        try useDriver { driver throws(MediumError) in try driver.insert(source) }
        checkMediaNow(media)
        changeMedium()
        return mediumReport(unflushed: 0)
    }

    /// Takes the medium out: what is acknowledged is flushed first.
    ///
    /// - Parameters:
    ///   - force: as a card is yanked: whoever has it open keeps a handle whose I/O is answered
    ///     ``BlockStatus/noMedium`` until it is closed, and nothing is flushed. What is in flight is answered.
    ///   - deadline: how long the flush may take.
    /// - Throws: ENOMEDIUM where there is none, EBUSY while it is open for writing or claimed, EIO when the flush fails.
    public func ejectMedium(force: Bool = false, deadline: Duration = .seconds(30)) async throws(DiskError)
        -> MediumReport
    {
        try await onControlThread("pl-eject") { [self] () throws(DiskError) in
            try ejectMediumBlocking(force: force, deadline: deadline)
        }
    }

    /// The same on a thread of the caller's: it may wait for the driver.
    package func ejectMediumBlocking(
        force: Bool = false, deadline: Duration = .seconds(30)
    ) throws(DiskError) -> MediumReport {
        guard let media else { throw notRemovable }
        try beginReconfiguring(isPatient: true)
        defer { endReconfiguring() }
        let medium = media.number
        guard medium != 0 else {
            throw DiskError(
                errno: DiskError.noMedium, disk: name, sequence: sequence, reason: "\(name) has no medium to eject")
        }
        // 1 From here nobody is let in, so that nobody writes behind the flush.
        let inTheWay = state.withLock { state -> [OpenerRecord] in
            let users = force ? [] : state.publicOpeners.filter { $0.usesMedium }
            if users.isEmpty { media.state.withLock { $0.isEjecting = true } }
            return users.map(\.currentRecord)
        }
        guard inTheWay.isEmpty else {
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "the medium of \(name) is in use for writing or claimed by "
                    + inTheWay.map(\.who).joined(separator: ", ") + ": close that, or eject it with --force",
                openers: inTheWay)
        }
        defer { media.state.withLock { $0.isEjecting = false } }
        // 2 What is acknowledged goes onto the medium, while it is there.
        if !force { try flushMedium(until: Instant.now + deadline) }
        let unflushed = unflushedSectors * UInt64(sectorSize)
        // 3 The driver lets go of it: what it has in flight is answered.
        try useDriver { driver throws(MediumError) in try driver.eject() }
        // 4 And the disk is about nothing from here.
        checkMediaNow(media)
        changeMedium()
        return mediumReport(unflushed: unflushed)
    }

    private var notRemovable: DiskError {
        DiskError(
            errno: DiskError.notSupported, disk: name, sequence: sequence,
            reason: "\(name) is no disk with a removable medium: its driver is '\(driverName)'")
    }

    private func mediumReport(unflushed: UInt64) -> MediumReport {
        let (partitions, table, warnings, cut) = state.withLock { state in
            (state.partitions, state.table, state.warnings, state.publicOpeners.filter(\.isOfAnotherMedium))
        }
        return MediumReport(
            disk: name, sequence: sequence, capacity: capacity, table: table?.rawValue,
            partitions: partitions.map(\.name), warnings: warnings, unflushedBytes: unflushed,
            openers: cut.map(\.currentRecord))
    }

    /// Uses the driver with a lease held, so that a removal waits.
    private func useDriver(_ body: (any BlockDriver) throws(MediumError) -> Void) throws(DiskError) {
        guard queue.gate.enterPrivileged(1) else { throw goneError() }
        defer { queue.gate.leave(1) }
        guard let driver = queue.driver else { throw goneError() }
        do throws(MediumError) {
            try body(driver)
        } catch {
            throw DiskError(errno: error.errno, disk: name, sequence: sequence, reason: error.reason)
        }
    }

    private var unflushedSectors: UInt64 {
        let (written, flushed) = (volatileSectors, faults.flushedMark.withLock { $0 })
        return profile.hasWriteCache && written > flushed ? written - flushed : 0
    }

    private func flushMedium(until deadline: Instant) throws(DiskError) {
        guard unflushedSectors > 0 else { return }
        let sink = OneAnswer()
        let opener = try open(
            part0, .readWrite, OpenerIdentity(kind: "flush"), depth: 1, sink: sink, delegate: nil, isPrivate: true)
        // Not through a freeze, and not behind it either: the caller is told.
        opener.submit(.flush, SectorRange(start: 0, count: 0), flags: .noWait, data: .none, token: 0)
        switch sink.wait(until: deadline) {
        case .ok?: return
        case .again?:
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "\(name) is frozen: thaw it before its medium is ejected, or eject it with --force")
        case .gone?: throw goneError()
        case let status:
            throw DiskError(
                errno: DiskError.ioError, disk: name, sequence: sequence,
                reason: "the medium of \(name) could not be flushed (\(status.map { "\($0)" } ?? "no answer in time")) "
                    + "and stays; 'platter eject --force \(name)' takes it out all the same")
        }
    }

    // MARK: Another medium

    /// Makes the disk be about the medium that is in now: with a DISKSEQ of its own, its size and its partitions. Does
    /// nothing where somebody else has seen to it (T59). Only while nothing else changes the disk.
    func changeMedium() {
        guard let media, let driver = leasedDriver() else { return }
        // 1 Fetched before the driver is asked: whatever happens after this is news again.
        let isSaid = media.state.withLock { state in
            _ = state.events.fetch(.change)
            defer { state.isSaid = false }
            return state.isSaid
        }
        let medium = driver.medium
        queue.gate.leave(1)
        // What a check has found by the number alone, amid the change to that very number, is no other change.
        guard isSaid || medium.number != media.number else { return }
        // 2 In one step: nothing of the old medium can be found or opened any more, and the new one has its size.
        guard let (going, delegates) = takeOutMedium(media, medium) else { return }
        for partition in going { registry.unpublish(partition) }
        registry.events.pump()
        if !delegates.isEmpty {
            // On a thread of its own: a holder may open the disk at once, which waits for the end of this.
            WorkerThread.detach(name: "pl-tell") { for delegate in delegates { delegate.mediumChanged() } }
        }
        // 3 Its table. A change that comes amid this finds a disk with half of it, and begins anew.
        let mayScan = state.withLock { $0.scansPartitions } && deviceLimit > 1
        if medium.number != 0, mayScan, capacity > 0 { readNewTable() }
    }

    /// The driver, with a lease that the caller gives back; nil: the disk is dead.
    private func leasedDriver() -> (any BlockDriver)? {
        guard queue.gate.enterPrivileged(1) else { return nil }
        if let driver = queue.driver { return driver }
        queue.gate.leave(1)
        return nil
    }

    private func takeOutMedium(
        _ media: DiskMedia, _ medium: Medium
    ) -> (going: [BlockDevice], delegates: [any OpenerDelegate])? {
        let factor = UInt64(profile.logicalBlockSize / sectorSize)
        let news = media.state.withLock { state in
            defer { state.untold = [] }
            return state.untold.union(.change)
        }
        return state.withLock { state -> ([BlockDevice], [any OpenerDelegate])? in
            guard !queue.gate.isDead, !state.lifecycle.isOver else { return nil }
            let going = state.partitions
            // Removed with the DISKSEQ under which they were added.
            takeOut(going, &state)
            renewSequence()
            media.current.store(medium.number, ordering: .releasing)
            queue.setCapacity(min(medium.capacity, DiskRegistry.capacityLimit) / factor * factor)
            state.table = nil
            state.warnings = []
            state.isTableStale = false
            // What was written to the old medium is there, or it is lost: no flush can do anything about it.
            faults.flushedMark.withLock { $0 = volatileSectors }
            if state.lifecycle.state != .adding, media.profile.tells || !going.isEmpty {
                let extra = media.profile.tells ? Self.extras(news) : []
                registry.events.append([event(.change, of: part0, extra: extra)])
            }
            let stale = state.publicOpeners.filter(\.isOfAnotherMedium)
            // A claim on what is gone keeps nobody off what is there now.
            for opener in stale { endClaim(&state, opener) }
            let delegates = stale.compactMap(\.delegate)
            let once = delegates.eachHolderOnce
            for case let ear as HolderEar in delegates where !once.contains(where: { $0 === ear }) { ear.silence() }
            return (going, once)
        }
    }

    private func readNewTable() {
        let read = readTable(deadline: Instant.now + options.scanDeadline)
        var scan = read.result
        if read.timedOut {
            scan.warnings.append("the table of the new medium could not be read in time: the driver does not answer")
        } else if let failure = scan.error {
            scan.warnings.append("the table of the new medium cannot be read: \(failure)")
        }
        addPartitions(scan)
    }
}

extension OpenerCore {
    /// Whether its handle is about a medium that is no longer in, or about none.
    var isOfAnotherMedium: Bool {
        guard let media = disk.media else { return false }
        let mine = medium.load(ordering: .relaxed)
        return mine == 0 || mine != media.number
    }

    /// Why sectors are not there: the medium is another one, or it ends before them.
    var beyondEnd: BlockStatus { isOfAnotherMedium ? .noMedium : .outOfRange }

    /// Whether an eject would take something from it that it may rely on.
    var usesMedium: Bool {
        !isOfAnotherMedium && standing.withLock { $0.claimant != nil || $0.access.contains(.write) }
    }
}

extension Bio {
    /// The medium that the submitter means: ``Medium/number`` of the one that was in when its handle was opened. A driver
    /// with removable media answers ``BlockStatus/noMedium`` when it takes a bio that means another one than is in.
    public var medium: UInt64 { slot.element.core?.use { $0.medium.load(ordering: .relaxed) } ?? 0 }
}

/// Waits for one answer.
private final class OneAnswer: BioSink, Sendable {
    private let status = Lock<BlockStatus?>(nil)
    private let done = Parker()

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        self.status.withLock { $0 = status }
        done.raise()
    }

    /// nil: not in time.
    func wait(until deadline: Instant) -> BlockStatus? {
        done.wait(until: deadline) ? status.withLock { $0 } : nil
    }
}
