// SPDX-License-Identifier: Apache-2.0

public import BlockPartitions
internal import BlockSystem

/// What an edit of a table did, or would do.
public struct TableEditReport: Sendable {
    /// The writes, and what is read afterwards.
    public var change: BlockPartitions.TableChange
    /// What became of the partitions; nil where nothing was written, or where the disk makes no devices of its table.
    public var rescan: RescanReport?
}

extension Disk {
    /// Writes another partition table, and makes the partitions what it says.
    ///
    /// One turn with rescans, resizes and changes of partitions: nobody changes the disk's partitions meanwhile. Refused
    /// before a byte is written if a partition that would change or vanish is open, or if somebody has claimed the disk
    /// as a whole. From then on nobody can open a partition that goes. Each group of writes is on the medium before the
    /// next begins, so that the disk has a table at each moment. Where a write fails, the partitions are what is found.
    ///
    /// - Parameter isDryRun: says what would be written, and writes nothing. It is refused as the edit would be, but for
    ///   a disk that is read-only.
    /// - Throws: EINVAL for an edit that cannot be, ENOSPC where there is no room, EBUSY with the openers in the way, EPERM
    ///   on a read-only disk, EIO when the disk cannot be read or written by the deadline, ENODEV when it is gone.
    public func editTable(
        _ edit: TableEdit, isDryRun: Bool = false, deadline: Duration = .seconds(10)
    ) async throws(DiskError) -> TableEditReport {
        try await onControlThread("pl-table") { [self] () throws(DiskError) in
            try beginOpenOfMedium()
            defer { endOpenOfMedium() }
            if !hasMedium { throw noMediumError(part0) }
            guard !isReadOnly || isDryRun else {
                throw DiskError(
                    errno: DiskError.notPermitted, disk: name, sequence: sequence, reason: "\(name) is read-only")
            }
            try beginReconfiguring()
            defer { endReconfiguring() }
            return try editNow(edit, isDryRun: isDryRun, deadline: Instant.now + deadline)
        }
    }

    private func editNow(
        _ edit: TableEdit, isDryRun: Bool, deadline: Instant
    ) throws(DiskError) -> TableEditReport {
        guard var device = DeviceReader(self, deadline: deadline, writes: !isDryRun) else { throw goneError() }
        let limits = limits
        let shape = DiskShape(
            sectors: device.capacity, blockSize: limits.logicalBlockSize,
            physicalBlockSize: limits.physicalBlockSize, optimalIO: limits.optimalIO)
        var generator = SystemRandomNumberGenerator()
        let change: BlockPartitions.TableChange
        do throws(TableEditError) {
            change = try edit.change(on: &device, shape: shape, using: &generator)
        } catch {
            if queue.gate.isDead { throw goneError() }
            if device.hasTimedOut { throw unwritten(silence.reason, silence.errno) }
            throw unwritten(error.reason, error.isNoRoom ? 28 : DiskError.invalid)
        }
        let makesDevices = deviceLimit > 1 && state.withLock { $0.scansPartitions }
        // Where no devices come of a table, those that are there may be in the way, and a claim on the whole disk is.
        let scan = makesDevices ? change.scan : withoutNews(change.scan, before: scanPartitions(&device))
        guard !isDryRun else {
            try checkNobodyIsInTheWay(of: scan)
            return TableEditReport(change: change)
        }
        let rescan = try apply(scan, claimant: nil) {
            [device] () throws(DiskError) in try self.write(change.groups, through: device)
        }
        return TableEditReport(change: change, rescan: makesDevices ? rescan : nil)
    }

    /// What becomes of the partitions that are there while the table makes none: those that it had and has no more go,
    /// others stay, and so does what was added by hand.
    private func withoutNews(_ scan: PartitionScan, before: PartitionScan) -> PartitionScan {
        var scan = scan
        scan.entries = partitions.compactMap { partition in
            if let entry = scan.entries.first(where: partition.isSamePlace) { return entry }
            return before.entries.contains(where: partition.isSamePlace) ? nil : partition.entry
        }
        return scan
    }

    private func write(_ groups: [[TableWrite]], through device: DeviceReader) throws(DiskError) {
        for group in groups {
            var status = BlockStatus.ok
            for write in group where status == .ok { status = device.write(write.bytes, at: write.offset) }
            if status == .ok { status = device.flush() }
            guard status == .ok else {
                if queue.gate.isDead { throw goneError() }
                throw unwritten(
                    "writing failed (\(status)); the table that is on it can be read", status.errno)
            }
        }
    }

    private func unwritten(_ reason: String, _ errno: Int32) -> DiskError {
        DiskError(
            errno: errno, disk: name, sequence: sequence, reason: "the table of \(name) is not edited: \(reason)")
    }
}
