// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What stands in the `queue` directory of a disk.
enum QueueAttributes {
    static let rows: [Attribute] = sizes + lengths + switches

    private static let isDisk: @Sendable (BlockDevice) -> Bool = { $0.partitionNumber == 0 }

    private static func limit(_ path: String, _ value: @escaping @Sendable (QueueLimits) -> UInt64) -> Attribute {
        Attribute("queue/" + path, if: isDisk, { String(value($0.disk.limits)) })
    }

    private static let sizes: [Attribute] = [
        limit("chunk_sectors") { min($0.chunkSectors, UInt64(UInt32.max)) },
        limit("hw_sector_size") { UInt64($0.logicalBlockSize) },
        limit("logical_block_size") { UInt64($0.logicalBlockSize) },
        limit("minimum_io_size") { UInt64($0.minimumIO) },
        limit("optimal_io_size") { UInt64($0.optimalIO) },
        limit("physical_block_size") { UInt64($0.physicalBlockSize) },
    ]

    private static let lengths: [Attribute] = [
        limit("max_hw_sectors_kb") { kibibytes($0.maxHardwareSectors) },
        Attribute(
            "queue/max_sectors_kb", if: isDisk, show: { String(kibibytes($0.disk.limits.maxSectors)) },
            store: setMaxSectors),
        Attribute("queue/discard_granularity", if: isDisk, { String($0.disk.discards?.discardGranularity ?? 0) }),
        Attribute(
            "queue/discard_max_hw_bytes", if: isDisk,
            { String(bytes($0.disk.discards?.maxHardwareDiscardSectors ?? 0)) }),
        Attribute(
            "queue/discard_max_bytes", if: isDisk, show: { String(bytes($0.disk.discards?.maxDiscardSectors ?? 0)) },
            store: setMaxDiscard),
        // What the device does by itself; the core writes zeroes where it does not.
        Attribute(
            "queue/write_zeroes_max_bytes", if: isDisk,
            { String($0.disk.profile.writeZeroes == .native ? bytes($0.disk.limits.maxWriteZeroesSectors) : 0) }),
        // Both are this constant in the kernel, too: what they meant is no longer promised by anything.
        Attribute("queue/discard_zeroes_data", if: isDisk, { _ in "0" }),
        Attribute("queue/write_same_max_bytes", if: isDisk, { _ in "0" }),
    ]

    private static let switches: [Attribute] = [
        // It needs a write cache to mean anything.
        Attribute(
            "queue/fua", if: isDisk,
            { AttributeText.flag($0.disk.profile.hasWriteCache && $0.disk.profile.fua == .native) }),
        Attribute(
            "queue/io_timeout", if: { $0.partitionNumber == 0 && $0.disk.queue.timeout != nil },
            { String(($0.disk.queue.timeout?.nanoseconds ?? 0) / 1_000_000) }),
        Attribute(
            "queue/iostats", if: isDisk, show: { AttributeText.flag($0.disk.queue.isCounting) },
            store: { device, value, _ throws(AttributeError) in
                device.disk.queue.setCounting(try AttributeText.number(value, of: "iostats") != 0)
            }),
        Attribute(
            "queue/nr_requests", if: { $0.partitionNumber == 0 && $0.disk.queue.tags != nil },
            { String($0.disk.queue.tags?.depth ?? 0) }),
        Attribute("queue/rotational", if: isDisk, { AttributeText.flag($0.disk.profile.isRotational) }),
        Attribute("queue/scheduler", if: isDisk, { _ in "[none]" }),
        Attribute(
            "queue/write_cache", if: isDisk,
            show: { $0.disk.queue.hasWriteCache ? "write back" : "write through" }, store: setWriteCache),
        Attribute("queue/zoned", if: isDisk, { _ in "none" }),
    ]

    /// The kernel counts sectors in 32 bits: no limit is the most that fits.
    private static func kibibytes(_ sectors: UInt64) -> UInt64 { min(sectors, UInt64(UInt32.max)) / 2 }
    private static func bytes(_ sectors: UInt64) -> UInt64 { min(sectors, UInt64(UInt32.max)) * UInt64(sectorSize) }

    private static let setMaxSectors: Attribute.Store = { device, value, _ throws(AttributeError) in
        let kibibytes = try AttributeText.number(value, of: "max_sectors_kb", most: UInt64(UInt32.max) / 2)
        let least = max(4, UInt64(device.disk.limits.logicalBlockSize) / 1024)
        guard kibibytes == 0 || kibibytes >= least else {
            throw .invalid("max_sectors_kb cannot be \(kibibytes): it is at least \(least) KiB, or 0 for the default")
        }
        try waitingHere { () async throws(DiskError) in
            // Above what the device takes it is cut: the limits see to that.
            try await device.disk.updateLimits { $0.maxUserSectors = kibibytes == 0 ? nil : kibibytes * 2 }
        }
    }

    private static let setMaxDiscard: Attribute.Store = { device, value, _ throws(AttributeError) in
        let most = UInt64(UInt32.max) * UInt64(sectorSize)
        let bytes = try AttributeText.number(value, of: "discard_max_bytes", most: most)
        let granularity = UInt64(device.disk.discards?.discardGranularity ?? 0)
        guard granularity == 0 || bytes % granularity == 0 else {
            throw .invalid("discard_max_bytes cannot be \(bytes): it is a multiple of \(granularity)")
        }
        try waitingHere { () async throws(DiskError) in
            try await device.disk.updateLimits {
                $0.maxUserDiscardSectors = bytes == most ? .max : bytes / UInt64(sectorSize)
            }
        }
    }

    private static let setWriteCache: Attribute.Store = { device, value, _ throws(AttributeError) in
        let isOn: Bool
        switch value {
        case "write back": isOn = true
        case "write through", "none": isOn = false
        default: throw .invalid("write_cache cannot be '\(value)': it is 'write back' or 'write through'")
        }
        guard !isOn || device.disk.profile.hasWriteCache else {
            throw .invalid("\(device.name) has no write cache to turn on")
        }
        try waitingHere { () async throws(DiskError) in try await device.disk.setWriteCache(isOn) }
    }
}

extension Disk {
    /// The limits, for a disk that discards at all.
    fileprivate var discards: QueueLimits? { profile.discard == .unsupported ? nil : limits }
}
