// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// Changes the size, while I/O runs. Partitions stay where they are; I/O beyond the new end is refused.
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
        defer { state.withLock { $0.isReconfiguring = false } }
        guard let ticket = queue.gate.enter() else {
            if queue.gate.isDead { throw goneError() }
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "\(name) is frozen: thaw it before it is resized")
        }
        defer { _ = ticket }
        let old = capacity
        // Shrinking takes effect before the driver gives anything up, growing after it has it.
        if sectors < old { setCapacityIfAlive(sectors) }
        do throws(BlockStatus) {
            try queue.driver?.resize(to: sectors)
        } catch {
            setCapacityIfAlive(old)
            throw DiskError(
                errno: error.errno, disk: name, sequence: sequence,
                reason: error == .notSupported
                    ? "a \(driverName) disk such as \(name) cannot change its size"
                    : "\(name) cannot be resized: \(error)")
        }
        let delegates = state.withLock { state -> [(any OpenerDelegate, UInt64)] in
            guard !queue.gate.isDead else { return [] }
            queue.setCapacity(sectors)
            if old != sectors, old != 0 {
                registry.events.append([event(.change, of: part0, extra: ["RESIZE=1"])])
            }
            return state.publicOpeners.compactMap { opener in opener.delegate.map { ($0, opener.device.size) } }
        }
        registry.events.pump()
        for (delegate, size) in delegates { delegate.resized(to: size) }
    }

    /// After the death the size stays 0, whoever comes late (T51).
    private func setCapacityIfAlive(_ sectors: UInt64) {
        state.withLock { _ in if !queue.gate.isDead { queue.setCapacity(sectors) } }
    }
}
