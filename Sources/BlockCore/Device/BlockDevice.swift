// SPDX-License-Identifier: Apache-2.0

public import BlockPartitions
internal import BlockSystem
internal import Synchronization

/// What an open asks for.
public struct OpenMode: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8
    /// A mode from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// May read.
    public static let read = OpenMode(rawValue: 1)
    /// May write.
    public static let write = OpenMode(rawValue: 2)
    /// Claims the device: no other claim on it, on its disk as a whole, or (for the whole disk) on its partitions.
    public static let exclusive = OpenMode(rawValue: 4)
    /// Keeps other writers off, in a registry that does not allow writing to what is mounted. Only with a claim.
    public static let restrictWrites = OpenMode(rawValue: 16)
    /// Opens a disk without a medium, too: I/O is answered ``BlockStatus/noMedium``, then and after an insertion.
    public static let noDelay = OpenMode(rawValue: 8)
    /// Not if the partition table could not be read, or not applied, when it last had to be: the open is then refused for
    /// that reason. Of a whole disk.
    public static let strictScan = OpenMode(rawValue: 32)
    /// Both ways.
    public static let readWrite: OpenMode = [.read, .write]

    var text: String {
        (contains(.read) ? "r" : "") + (contains(.write) ? "w" : "") + (contains(.exclusive) ? "x" : "")
    }
}

/// What a holder of a handle must answer. Called outside all locks, on a thread of the control side; must be quick.
public protocol OpenerDelegate: AnyObject, Sendable {
    /// Please leave: the disk is to go (soft removal). I/O still works.
    func askedToLeave()
    /// The disk is dead: every I/O answers ``BlockStatus/gone`` from now on. Told once.
    func died(_ mode: RemovalMode)
    /// The device has another size now.
    func resized(to sectors: UInt64)
    /// I/O waits until the disk is thawed.
    func frozen()
    /// I/O goes on.
    func thawed()
    /// The medium that was opened is out: every I/O answers ``BlockStatus/noMedium`` from now on. Told once.
    func mediumChanged()
}

extension OpenerDelegate {
    /// Stays.
    public func askedToLeave() {}
    /// Does not mind.
    public func resized(to sectors: UInt64) {}
    /// Does not mind.
    public func frozen() {}
    /// Does not mind.
    public func thawed() {}
    /// Does not mind.
    public func mediumChanged() {}
}

/// Something that can be opened: a whole disk (``partitionNumber`` 0) or one partition.
///
/// Where a partition lies never changes in its life: an I/O that was remapped goes to the right sectors whatever
/// happens to the table meanwhile (T41).
public final class BlockDevice: Sendable {
    /// `pl0`, `pl0p1`.
    public let name: String
    /// The disk.
    public let disk: Disk
    /// 0: the whole disk.
    public let partitionNumber: Int
    /// The device number.
    public let number: DeviceNumber
    /// The first 512-byte sector on the disk.
    public let start: UInt64
    /// A word, because asking `entry` would copy what the table says of the partition, for every I/O.
    private let isWholeDisk: Bool
    /// One word, so that a resize under I/O is never seen half done (T64).
    private let sizeCell: Atomic<UInt64>
    /// False from the moment a rescan or a removal took it out, and while it is being made: then it cannot be opened.
    private let listed: Atomic<Bool>

    private struct Rest {
        /// What the table said of it when it was made or read again last.
        var entry: PartitionEntry?
        /// A partition's counters, taken at the first open.
        var cells: UsageCells?
        var baseline: [UInt64] = []
        var busyBaseline: UInt64 = 0
    }
    private let rest: Lock<Rest>

    init(disk: Disk, name: String, number: DeviceNumber, entry: PartitionEntry?, isListed: Bool = true) {
        self.disk = disk
        self.name = name
        self.number = number
        rest = Lock(Rest(entry: entry))
        listed = Atomic(isListed)
        partitionNumber = entry?.number ?? 0
        start = entry?.start ?? 0
        sizeCell = Atomic(entry?.size ?? 0)
        isWholeDisk = entry == nil
    }

    deinit { rest.withLock { $0.cells }?.giveBack() }

    /// Sectors now; 0 once the disk is dead.
    public var size: UInt64 {
        let capacity = disk.queue.capacity
        return isWholeDisk ? capacity : capacity == 0 ? 0 : partitionSize
    }

    /// Sectors of a partition, also while the disk is dead.
    var partitionSize: UInt64 { sizeCell.load(ordering: .relaxed) }
    func setSize(_ sectors: UInt64) { sizeCell.store(sectors, ordering: .relaxed) }

    /// What the table says of it, with the size that it has now; nil for the whole disk.
    public var entry: PartitionEntry? {
        guard var entry = rest.withLock({ $0.entry }) else { return nil }
        entry.size = partitionSize
        return entry
    }

    /// What the table calls the partition; nil: nothing, or it is the whole disk.
    public var partitionName: String? { entry?.name }
    /// By which the table tells the partition from all others; nil: it does not, or it is the whole disk.
    public var partitionUUID: String? { entry?.uuid }

    /// Takes another name or type from the table. The place is the same: it never changes.
    func describe(_ entry: PartitionEntry) { rest.withLock { $0.entry = entry } }

    /// Whether a table's entry is this partition: where it is, and which, as far as both say.
    func isSamePlace(as entry: PartitionEntry) -> Bool {
        guard partitionNumber == entry.number, start == entry.start, partitionSize == entry.size else { return false }
        let mine = rest.withLock { $0.entry?.uuid }
        return mine == nil || mine == entry.uuid
    }

    /// The node that stands for it, where its driver names one; nil: its name.
    public var node: DeviceNode? {
        disk.profile.node.map { isWholeDisk ? $0 : $0.partition(name.dropFirst(disk.name.count)) }
    }

    /// Whether writes are refused.
    public var isReadOnly: Bool { disk.isReadOnly }

    /// Whether it can be found: not after a removal, a rescan or another medium took it out of its disk.
    public var isListed: Bool { listed.load(ordering: .acquiring) }
    func list() { listed.store(true, ordering: .releasing) }
    func unlist() { listed.store(false, ordering: .releasing) }

    /// Opens it.
    ///
    /// - Parameters:
    ///   - mode: what the handle may do; ``OpenMode/exclusive`` claims, for the handle itself. It does not wait: where
    ///     another claim is just being made, the answer is EBUSY.
    ///   - identity: who this is, for listings and reports.
    ///   - depth: how many I/Os the handle may have in flight.
    ///   - sink: where answers go.
    ///   - delegate: who hears of the disk's end.
    /// - Throws: ENXIO when it is gone or going, EBUSY on a claim in the way or while the disk is being flushed.
    public func open(
        _ mode: OpenMode, as identity: OpenerIdentity, depth: Int = 128, sink: any BioSink,
        delegate: (any OpenerDelegate)? = nil
    ) throws(DiskError) -> Opener {
        try disk.open(
            self, mode, identity, depth: depth, sink: sink, delegate: delegate, isPrivate: false)
    }

    /// Opens it to be read by the library itself, as a scan does: the driver is not told, no removal finds it in its way,
    /// and its close is nobody's last.
    /// - Throws: ENXIO when it is gone or going.
    package func openUnseen(
        as identity: OpenerIdentity, depth: Int, sink: any BioSink
    ) throws(DiskError) -> Opener {
        guard isListed else { throw DiskError(errno: DiskError.gone, disk: name, reason: "\(name) is gone") }
        return try disk.open(self, .read, identity, depth: depth, sink: sink, delegate: nil, isPrivate: true)
    }

    /// The counters. For a partition that was never opened, zeroes.
    public func statistics() -> DiskStatistics {
        if isWholeDisk { return disk.statistics() }
        guard let (cells, busy) = rest.withLock({ rest in rest.cells.map { ($0, rest.busyBaseline) } }) else {
            return DiskStatistics()
        }
        var now = countedStatistics()
        if now.inFlight > 0 { cells.moveBusy(to: Instant.now.nanoseconds, wasBusy: true) }
        now.busyNanoseconds = cells.busyNanoseconds &- busy
        return now
    }

    var isBusy: Bool {
        guard let (cells, baseline) = rest.withLock({ rest in rest.cells.map { ($0, rest.baseline) } }) else {
            return false
        }
        return DiskStatistics.isBusy(cells, baseline: baseline)
    }

    func countedStatistics() -> DiskStatistics {
        if isWholeDisk { return disk.countedStatistics() }
        return rest.withLock { rest in
            rest.cells.map { DiskStatistics($0, baseline: rest.baseline) } ?? DiskStatistics()
        }
    }

    func takeCells() -> UsageCells? {
        guard !isWholeDisk else { return nil }
        return rest.withLock { rest in
            if rest.cells == nil, let cells = UsageCells() {
                rest.baseline = DiskStatistics.baseline(of: cells)
                rest.busyBaseline = cells.busyNanoseconds
                rest.cells = cells
            }
            return rest.cells
        }
    }
}
