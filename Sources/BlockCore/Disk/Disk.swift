// SPDX-License-Identifier: Apache-2.0

public import BlockPartitions
internal import BlockSystem
internal import Synchronization

/// One disk: its identity, its life, and who has it open. The gendisk.
///
/// Three lifetimes, never confused: the registry finds it until its removal is done; its gate is open until the cut;
/// its memory stays while anybody holds it, hours later perhaps. After the end it is the same object with its gate
/// shut, and nothing else stands in for it.
public final class Disk: Sendable {
    /// `pl0`.
    public let name: String
    /// Names the object for ever: the first DISKSEQ that it had.
    public let identity: UInt64
    /// The DISKSEQ: never used twice in a registry's life. A new medium has a new one; a dead disk keeps its last.
    public var sequence: UInt64 { sequenceCell.load(ordering: .relaxed) }
    private let sequenceCell: Atomic<UInt64>
    /// The device number of the whole disk.
    public let number: DeviceNumber
    /// What the driver declared, with the options applied.
    public let profile: DriverProfile
    /// `ram`, `file`.
    public let driverName: String
    /// As it was added.
    public let options: DiskOptions
    /// Seconds since 1970.
    public let addedAt: Double

    /// Who it is as a holder of other disks.
    package let asHolder: Holder
    let registry: DiskRegistry
    let queue: RequestQueue
    /// For a disk whose medium can be changed; nil: this one's cannot.
    let media: DiskMedia?
    private let baseline: [UInt64]
    private let busyBaseline: UInt64
    /// How long its I/O took.
    let latency = LatencyCells()
    let accounts = Accounts()
    let readOnly: Atomic<Bool>

    struct State {
        var lifecycle = DiskLifecycle()
        var openers: [UInt64: OpenerCore] = [:]
        var nextOpener: UInt64 = 1
        var claims = ClaimBook()
        /// Handles that the driver was told of as opened and not yet as closed.
        var driverOpens = 0
        var partitions: [BlockDevice] = []
        var table: PartitionTableKind?
        var warnings: [String] = []
        var removal: RemovalRun?
        var scansPartitions = true
        /// Somebody wrote to the whole disk since the table was read last.
        var isTableStale = false
        /// Why the table could not be read or applied when it last had to be; nil: it was.
        var scanTrouble: DiskError?
        /// One at a time: rescans, resizes, single partitions, media.
        var reconfiguration = Reconfiguration()
        /// Verbs that wait for the end of what runs.
        var waitingForTurn: [Parker] = []
        /// The last close begins a removal.
        var isAutoclear = false
        /// Opens that are promised the disk and have not come yet: they keep an autoclear away as openers do.
        var holds = 0
        /// Who removed the disk while it was being added: they hear when the name is free.
        var addCancellers: [UInt64: RemovalRun.Waiter] = [:]
        /// Under which the reaper has their timers.
        var addTimers: UInt64?

        var publicOpeners: [OpenerCore] {
            openers.values.filter { !$0.isPrivate && !$0.isClosed }.sorted { $0.id < $1.id }
        }
        var hasOpeners: Bool { openers.values.contains { !$0.isPrivate && !$0.isClosed } }
    }
    let state = Lock(State())

    /// Counts that only failures touch.
    struct Faults: Sendable {
        let failed = Counter()
        let expired = Counter()
        let late = Counter()
        let owed = Counter()
        let owedBytes = Counter()
        let refused = Counter()
        let dropped = Counter()
        /// Answered by the timeout of the disk.
        let timedOut = Counter()
        let failedWriteSectors = Counter()
        /// Sectors that were written with forced unit access.
        let durableSectors = Counter()
        /// The volatile sectors when the last flush that succeeded was submitted.
        let flushedMark = Lock<UInt64>(0)
        /// When something was first owed; 0: nothing was.
        let owedSince = Lock<Double>(0)
    }
    let faults = Faults()
    /// The way to the driver for what is no I/O.
    let lane = DriverLane()
    /// The way to its attributes.
    let attributeDoor = AttributeDoor()
    struct SaidFacts: Sendable {
        var settings: [DiskSetting] = []
        var notes: [String] = []
    }
    /// What the driver said last of its settings and its state.
    let facts = Lock(SaidFacts())
    /// That the driver serves this disk; ends when it is let go.
    let driverUse: Lock<DriverUse?>

    init(
        name: String, sequence: UInt64, number: DeviceNumber, driver: any BlockDriver, profile: DriverProfile,
        options: DiskOptions, registry: DiskRegistry, gate: Gate, use: DriverUse
    ) {
        self.name = name
        identity = sequence
        sequenceCell = Atomic(sequence)
        self.number = number
        self.profile = profile
        self.options = options
        self.registry = registry
        driverName = driver.driverName
        driverUse = Lock(use)
        addedAt = Instant.wallClock
        readOnly = Atomic(options.isReadOnly || profile.isReadOnly)
        baseline = DiskStatistics.baseline(of: gate.cells)
        busyBaseline = gate.cells.busyNanoseconds
        // Before the size is read: a medium that is changed in between is noticed by its number.
        media = driver.media.map { DiskMedia($0, current: driver.medium.number) }
        queue = RequestQueue(
            gate: gate, driver: driver, profile: profile, name: name, keepsStyle: options.keepsStyle,
            tags: options.tags)
        asHolder = driver.holder ?? Holder(kind: driver.driverName)
        state.withLock { state in
            state.scansPartitions = options.scansPartitions && deviceLimit > 1
            state.claims.writes = WriteAccess(isOn: !registry.allowsWritingToMounted)
            state.isAutoclear = options.isTransient
            state.holds = options.initialHolds
        }
        asHolder.become(self)
        registry.disksAlive.add()
    }

    deinit {
        latency.giveBack()
        registry.disksAlive.add(-1)
    }

    // MARK: What it is

    /// Where it is in its life.
    public var lifeState: DiskState { state.withLock { $0.lifecycle.state } }
    /// 512-byte sectors; 0 once it is dead.
    public var capacity: UInt64 { queue.capacity }
    /// Whether its gate is shut for good: a removal was accepted, and no I/O reaches the driver any more.
    public var isDead: Bool { queue.gate.isDead }
    /// Whether writes are refused.
    public var isReadOnly: Bool { readOnly.load(ordering: .relaxed) }
    /// The whole disk as a device.
    public var part0: BlockDevice { BlockDevice(disk: self, name: name, number: number, entry: nil) }
    /// The partitions, by number.
    public var partitions: [BlockDevice] { state.withLock { $0.partitions } }
    /// The whole disk and its partitions.
    public var devices: [BlockDevice] { [part0] + partitions }
    /// The kind of its partition table; nil: none was found.
    public var partitionTable: PartitionTableKind? { state.withLock { $0.table } }
    /// What the last scan had to say, and which partitions the disk has become too small for.
    public var partitionWarnings: [String] {
        let (warnings, partitions) = state.withLock { ($0.warnings, $0.partitions) }
        return warnings + overhanging(partitions)
    }
    /// Who has it or a partition of it open.
    public var openers: [OpenerRecord] { state.withLock { $0.publicOpeners }.map(\.currentRecord) }
    /// Whether tables are read when the last writer closes.
    public var scansPartitions: Bool { state.withLock { $0.scansPartitions } }

    /// The most devices that it can have, itself included: 1 where partitions are refused. The kernel's `ext_range`.
    public var deviceLimit: Int { options.isHidden || !profile.takesPartitions ? 1 : DiskRegistry.deviceLimit }

    /// The counters of the whole disk.
    public func statistics() -> DiskStatistics {
        let cells = queue.gate.cells
        var now = countedStatistics()
        // What is under way was busy until now.
        if now.inFlight > 0 { cells.moveBusy(to: Instant.now.nanoseconds, wasBusy: true) }
        now.busyNanoseconds = cells.busyNanoseconds &- busyBaseline
        now.flushCommands = DiskStatistics.Group(
            completed: accounts.flushCommands.load(ordering: .relaxed),
            nanoseconds: accounts.flushCommandNanoseconds.load(ordering: .relaxed))
        return now
    }

    var isBusy: Bool { DiskStatistics.isBusy(queue.gate.cells, baseline: baseline) }
    func countedStatistics() -> DiskStatistics { DiskStatistics(queue.gate.cells, baseline: baseline) }

    /// What became of everything it accepted.
    public func ledger() -> Ledger {
        let expired = UInt64(clamping: faults.expired.value)
        let timedOut = UInt64(clamping: faults.timedOut.value)
        // Timed out ones are among them: their submitters had an error.
        let failures = UInt64(clamping: faults.failed.value)
        let owed = UInt64(clamping: faults.owed.value)
        let now = countedStatistics()
        // The statistics may leave some out; the books have all.
        let completed =
            now.reads.completed + now.writes.completed + now.discards.completed + now.flushes.completed
            + accounts.uncountedCompleted.load(ordering: .relaxed)
        let accepted = now.startedReads + now.startedOthers + accounts.uncountedStarted.load(ordering: .relaxed)
        let answered = completed + expired
        return Ledger(
            accepted: accepted, ok: completed.less(failures), failed: failures.less(timedOut),
            aborted: (expired + timedOut).less(owed), quarantined: owed, inFlight: accepted.less(answered),
            timedOut: timedOut, expired: expired, late: UInt64(clamping: faults.late.value),
            refused: UInt64(clamping: faults.refused.value), driverFaults: UInt64(clamping: faults.dropped.value))
    }

    /// Bytes of memory that the driver may still touch though the submitters had their answers.
    public var quarantinedBytes: Int { max(faults.owedBytes.value, 0) }

    /// What the queue has to say about the driver.
    var queueNotes: [String] {
        guard queue.style != profile.style else { return [] }
        return ["the driver takes longer than it declared (\(profile.style.rawValue)): worker threads call it now"]
    }

    /// Batches of I/O that kept an event loop or another submitting thread for over a millisecond.
    public var slowBatches: Int { queue.watch.slowBatches.value }

    /// A thread that called the driver's submit has not come back: the driver is not called on event loops any more.
    package func driverStrayed() { queue.demote() }

    // MARK: Accounting from the data path

    /// Sectors written since the add that were not forced onto the medium each by itself: what a flush has to do.
    var volatileSectors: UInt64 {
        let written =
            queue.gate.cells.total(of: 4) &- baseline[4] &+ accounts.uncountedWrittenSectors.load(ordering: .relaxed)
        let durable = UInt64(clamping: faults.durableSectors.value)
        return written > durable ? written - durable : 0
    }

    /// An I/O was answered with an error.
    func noteFailure(_ status: BlockStatus, isWrite: Bool, sectors: UInt64) {
        if status == .dropped { faults.dropped.add() }
        faults.failed.add()
        accounts.add(status)
        if isWrite { faults.failedWriteSectors.add(Int(clamping: sectors)) }
    }

    /// An I/O was answered by the deadline; the driver still owes it.
    func noteExpired(isWrite: Bool, sectors: UInt64, bytes: Int) {
        faults.expired.add()
        faults.owed.add()
        faults.owedBytes.add(bytes)
        if isWrite { faults.failedWriteSectors.add(Int(clamping: sectors)) }
    }

    /// An I/O was refused because the disk is gone, or parked when it died.
    func noteRefusedGone(isWrite: Bool, sectors: UInt64) {
        faults.refused.add()
        if isWrite { faults.failedWriteSectors.add(Int(clamping: sectors)) }
    }

    /// A write was durable when it was answered.
    func noteDurable(sectors: UInt64) { faults.durableSectors.add(Int(clamping: sectors)) }

    func noteFlush(upTo mark: UInt64) { faults.flushedMark.withLock { $0 = max($0, mark) } }

    /// An I/O of a living disk was answered by its timeout; the driver still owes it.
    func noteTimedOut(bytes: Int) {
        faults.timedOut.add()
        faults.owed.add()
        faults.owedBytes.add(bytes)
        faults.owedSince.withLock { if $0 == 0 { $0 = Instant.wallClock } }
    }

    func noteLateAnswer(bytes: Int) {
        faults.late.add()
        faults.owed.add(-1)
        faults.owedBytes.add(-bytes)
    }

    /// Under the lock, before the events of a new medium.
    func renewSequence() { sequenceCell.store(registry.nextSequence(), ordering: .relaxed) }

    func goneError() -> DiskError {
        DiskError(
            errno: DiskError.gone, disk: name, sequence: sequence, reason: "\(name) is gone (DISKSEQ \(sequence))")
    }

    // MARK: Events

    /// An event of one of its devices; the ring numbers it.
    func event(_ action: DiskEvent.Action, of device: BlockDevice, extra: [String] = []) -> DiskEvent {
        DiskEvent(
            sequence: 0, action: action, device: device.name, disk: name,
            deviceType: device.entry == nil ? "disk" : "partition", number: device.number, diskSequence: sequence,
            partition: device.entry?.number, partitionName: device.entry?.name, partitionUUID: device.entry?.uuid,
            extra: extra, time: Instant.wallClock,
            node: device.node,
            parent: options.parent, isSilent: options.isHidden)
    }
}

extension UInt64 {
    /// The difference, never below zero: the counts are read one after the other while I/O goes on.
    fileprivate func less(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}

extension OpenerCore {
    var currentRecord: OpenerRecord {
        var now = record
        now.inFlight = inFlight
        now.holder = holderName
        now.mode = (isClaiming ? mode.union(.exclusive) : mode.subtracting(.exclusive)).text
        return now
    }
}
