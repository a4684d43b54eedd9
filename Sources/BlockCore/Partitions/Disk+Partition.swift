// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem

/// Partitions one by one, as a partitioning tool sets them. Nothing is written to the disk: the table is the tool's.
///
/// The rules are those of Linux's BLKPG, with a dead disk answering ENXIO to all three. A later rescan makes the
/// partitions what the table says. All three may wait for a rescan that the disk does by itself.
extension Disk {
    /// Makes a device of a part of the disk. A whole-disk claim does not keep it off.
    ///
    /// - Parameters:
    ///   - start: its first 512-byte sector on the disk.
    ///   - size: in 512-byte sectors.
    /// - Throws: EINVAL for what cannot be (number, size, alignment, beyond the end, a disk without partitions), EBUSY for an
    ///   overlap, a number in use, or another change under way, EEXIST for a name in use, ENXIO on a dead disk.
    public func addPartition(number: Int, start: UInt64, size: UInt64) throws(DiskError) -> BlockDevice {
        try beginPartitionChange()
        defer { endReconfiguring() }
        guard deviceLimit > 1 else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence, reason: "\(name) takes no partitions")
        }
        let range = SectorRange(start: start, count: size)
        if let refusal = partitionRules.adding(number, range) { throw error(refusal, number) }
        let device = try makePartition(PartitionEntry(number: number, start: start, size: size, type: ""))
        options.amidChange?()
        // The last look: a removal that began meanwhile has taken the others out, and would miss this one (T61).
        let refusal = state.withLock { state -> DiskError? in
            if let refusal = refusesReconfiguring(state) { return refusal }
            state.partitions.append(device)
            state.partitions.sort { $0.partitionNumber < $1.partitionNumber }
            device.list()
            registry.events.append([event(.add, of: device)])
            return nil
        }
        if let refusal {
            registry.unpublish(device)
            throw asMissing(refusal)
        }
        registry.events.pump()
        return device
    }

    /// Takes one out.
    /// - Throws: ENXIO if there is none or the disk is dead, EBUSY while it is open or another change is under way.
    public func deletePartition(_ number: Int) throws(DiskError) {
        try beginPartitionChange()
        defer { endReconfiguring() }
        guard let partition = partitions.first(where: { $0.partitionNumber == number }) else {
            throw error(.missing, number)
        }
        options.amidChange?()
        // Unlisting in the section that looked for openers: whoever opens it now finds it gone (T17).
        let inTheWay = state.withLock { state -> [OpenerRecord] in
            let open = state.publicOpeners.filter { $0.device === partition }
            guard open.isEmpty else { return open.map(\.currentRecord) }
            // A removal that ended meanwhile has taken it out, and told of it.
            guard partition.isListed else { return [] }
            partition.unlist()
            state.partitions.removeAll { $0 === partition }
            registry.events.append([event(.remove, of: partition)])
            return []
        }
        guard inTheWay.isEmpty else {
            throw DiskError(
                errno: DiskError.busy, disk: partition.name, sequence: sequence,
                reason:
                    "\(partition.name) is open by \(inTheWay.map(\.who).joined(separator: ", ")) and stays; "
                    + "close it first", openers: inTheWay)
        }
        registry.unpublish(partition)
        registry.events.pump()
    }

    /// Gives one another size, while it is open and in use, too; smaller as well. Readers see the old size or the new one.
    ///
    /// As in Linux there is no event; its openers are told. A rescan knows it by its place, so a table that says the same
    /// changes nothing.
    /// - Throws: ENXIO if there is none or the disk is dead, EINVAL for a size that cannot be, EBUSY for an overlap with
    ///   another partition, or another change under way.
    public func resizePartition(_ number: Int, to size: UInt64) throws(DiskError) {
        try beginPartitionChange()
        defer { endReconfiguring() }
        if let refusal = partitionRules.resizing(number, to: size) { throw error(refusal, number) }
        let delegates = state.withLock { state -> [any OpenerDelegate] in
            guard let partition = state.partitions.first(where: { $0.partitionNumber == number }) else { return [] }
            partition.setSize(size)
            return state.publicOpeners.filter { $0.device === partition }.compactMap(\.delegate)
        }
        for delegate in delegates { delegate.resized(to: size) }
    }

    private func beginPartitionChange() throws(DiskError) {
        do throws(DiskError) { try beginReconfiguring() } catch { throw asMissing(error) }
    }

    /// What Linux answers about a partition of a disk that is no more.
    private func asMissing(_ error: DiskError) -> DiskError {
        guard error.errno == DiskError.gone else { return error }
        var error = error
        error.errno = DiskError.noSuchDevice
        return error
    }

    private var partitionRules: PartitionRules {
        PartitionRules(
            partitions.map {
                PartitionRules.Place(
                    number: $0.partitionNumber, range: SectorRange(start: $0.start, count: $0.partitionSize))
            }, capacity: capacity, blockSectors: UInt64(profile.logicalBlockSize / sectorSize))
    }

    private func error(_ refusal: PartitionRules.Refusal, _ number: Int) -> DiskError {
        let (errno, reason): (Int32, String) =
            switch refusal {
            case .number: (DiskError.invalid, "\(number) is no number for a partition: 1 to 255 are")
            case .range: (DiskError.invalid, "a partition has at least one sector, and an end that can be counted")
            case .alignment(let sectors):
                (DiskError.invalid, "a partition of \(name) starts and ends at whole blocks of \(sectors) sectors")
            case .beyondEnd:
                (DiskError.invalid, "partition \(number) would not lie on \(name), which has \(capacity) sectors")
            case .overlap(let other):
                (
                    DiskError.busy,
                    "partition \(number) would overlap \(partitionName(other)): delete or resize that first"
                )
            case .used: (DiskError.busy, "\(partitionName(number)) is there already: take another number")
            case .missing: (DiskError.noSuchDevice, "\(name) has no partition \(number)")
            }
        return DiskError(errno: errno, disk: name, sequence: sequence, reason: reason)
    }
}
