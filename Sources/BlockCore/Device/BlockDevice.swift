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
}

extension OpenerDelegate {
    /// Stays.
    public func askedToLeave() {}
    /// Does not mind.
    public func resized(to sectors: UInt64) {}
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
    /// What the table says of it; nil for the whole disk.
    public let entry: PartitionEntry?
    /// A word, because asking `entry` would copy what the table says of the partition, for every I/O.
    private let isWholeDisk: Bool
    private let partitionSize: UInt64
    /// False from the moment a rescan or a removal took it out: then it cannot be opened any more.
    private let listed = Atomic<Bool>(true)

    private struct Counting {
        var cells: UsageCells?
        var baseline: [UInt64] = []
    }
    /// A partition's counters, taken at the first open.
    private let counting = Lock(Counting())

    init(disk: Disk, name: String, number: DeviceNumber, entry: PartitionEntry?) {
        self.disk = disk
        self.name = name
        self.number = number
        self.entry = entry
        partitionNumber = entry?.number ?? 0
        start = entry?.start ?? 0
        partitionSize = entry?.size ?? 0
        isWholeDisk = entry == nil
    }

    deinit { counting.withLock { $0.cells }?.giveBack() }

    /// Sectors now; 0 once the disk is dead.
    public var size: UInt64 {
        let capacity = disk.queue.capacity
        return isWholeDisk ? capacity : capacity == 0 ? 0 : partitionSize
    }

    /// Whether writes are refused.
    public var isReadOnly: Bool { disk.isReadOnly }

    /// Whether it can still be found.
    var isListed: Bool { listed.load(ordering: .acquiring) }
    func unlist() { listed.store(false, ordering: .releasing) }

    /// Opens it.
    ///
    /// - Parameters:
    ///   - mode: what the handle may do; ``OpenMode/exclusive`` claims.
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

    /// The counters. For a partition that was never opened, zeroes.
    public func statistics() -> DiskStatistics {
        if entry == nil { return disk.statistics() }
        return counting.withLock { counting in
            counting.cells.map { DiskStatistics($0, baseline: counting.baseline) } ?? DiskStatistics()
        }
    }

    func takeCells() -> UsageCells? {
        guard entry != nil else { return nil }
        return counting.withLock { counting in
            if counting.cells == nil, let cells = UsageCells() {
                counting.baseline = DiskStatistics.baseline(of: cells)
                counting.cells = cells
            }
            return counting.cells
        }
    }
}
