// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// Changes the size, while I/O runs and while the disk is frozen: nothing of it is I/O, and a frozen disk is the best
    /// one to change. Partitions stay where they are; I/O beyond the new end is refused.
    /// - Throws: EOPNOTSUPP where the driver cannot, EINVAL for a size that cannot be, EBUSY during another change.
    public func resize(to sectors: UInt64) async throws(DiskError) {
        try await onControlThread("pl-resize") { [self] () throws(DiskError) in try resizeBlocking(to: sectors) }
    }

    func resizeBlocking(to sectors: UInt64) throws(DiskError) {
        let factor = UInt64(profile.logicalBlockSize / sectorSize)
        guard sectors > 0, sectors <= DiskRegistry.capacityLimit, sectors % factor == 0 else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence,
                reason: "\(name) cannot have \(sectors) sectors: at least one, in steps of \(factor)")
        }
        try beginReconfiguring()
        defer { endReconfiguring() }
        guard queue.gate.enterPrivileged(1) else { throw goneError() }
        defer { queue.gate.leave(1) }
        let old = capacity
        // Shrinking takes effect before the driver gives anything up, growing after it has it.
        if sectors < old { setCapacityIfAlive(sectors) }
        do throws(BlockStatus) {
            if options.faults?.fails(.driverResize) == true { throw BlockStatus.noMemory }
            try queue.driver?.resize(to: sectors)
        } catch {
            setCapacityIfAlive(old)
            throw DiskError(
                errno: error.errno, disk: name, sequence: sequence,
                reason: error == .notSupported
                    ? "a \(driverName) disk such as \(name) cannot change its size"
                    : "\(name) cannot be resized: \(error.words)")
        }
        for (delegate, device) in settle(capacity: sectors, from: old) { delegate.resized(to: device.size) }
    }

    /// The driver has told that its size is another one. On the thread of the disk's own work.
    func takeCapacity() {
        guard queue.gate.enterPrivileged(1) else { return }
        defer { queue.gate.leave(1) }
        let factor = UInt64(profile.logicalBlockSize / sectorSize)
        let told = min(queue.driver?.capacity ?? 0, DiskRegistry.capacityLimit)
        let news = settle(capacity: told / factor * factor, from: capacity)
        guard !news.isEmpty else { return }
        // On a thread of its own: a holder may change the disk at once, which waits for the end of this.
        WorkerThread.detach(name: "pl-tell") { for (delegate, device) in news { delegate.resized(to: device.size) } }
    }

    /// The size is the new one from here. After the death it stays 0, whoever comes late (T51).
    /// - Returns: who is to be told, and of which device.
    private func settle(
        capacity sectors: UInt64, from old: UInt64
    ) -> [(delegate: any OpenerDelegate, device: BlockDevice)] {
        let news = state.withLock { state -> [(any OpenerDelegate, BlockDevice)] in
            guard !queue.gate.isDead else { return [] }
            queue.setCapacity(sectors)
            guard old != sectors else { return [] }
            // As in Linux: a size that comes from nothing or goes to nothing is another kind of news.
            if old != 0, sectors != 0 { registry.events.append([event(.change, of: part0, extra: ["RESIZE=1"])]) }
            return state.publicOpeners.compactMap { opener in opener.delegate.map { ($0, opener.device) } }
        }
        registry.events.pump()
        return news
    }

    /// Partitions that the disk has become too small for, a line each.
    func overhanging(_ partitions: [BlockDevice]) -> [String] {
        let capacity = capacity
        guard capacity > 0 else { return [] }
        return partitions.compactMap { partition in
            let range = SectorRange(start: partition.start, count: partition.partitionSize)
            guard !range.fits(in: capacity) else { return nil }
            return "partition \(partition.partitionNumber): ends beyond the disk, which has \(capacity) sectors: "
                + "I/O there is refused"
        }
    }

    private func setCapacityIfAlive(_ sectors: UInt64) {
        state.withLock { _ in if !queue.gate.isDead { queue.setCapacity(sectors) } }
    }
}
