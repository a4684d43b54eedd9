// SPDX-License-Identifier: Apache-2.0

/// How to scan, and what the disk alone does not tell.
public struct PartitionScanOptions: Sendable {
    /// Whose rules.
    public var policy: PartitionPolicy

    /// The formats to ask; nil: those of the policy. They are asked in the policy's order, whatever theirs.
    public var formats: Set<PartitionTableKind>?

    /// What the driver says of the disk's tracks. Without it no disk is IBM's.
    public var geometry: DiskGeometry?

    /// The `blkdevparts=` parameter of the kernel's command line, with or without that word.
    public var commandLine: String?

    /// The name under which the command line knows the disk; nil: the first that it defines.
    public var commandLineDisk: String?

    /// A flattened device tree.
    public var deviceTree: [UInt8]?

    /// Whether to say which sectors each format looked at, and why it said no.
    public var isExplained: Bool

    /// Options of these values; by default our own rules, and what the disk tells.
    public init(
        policy: PartitionPolicy = .platter, formats: Set<PartitionTableKind>? = nil, geometry: DiskGeometry? = nil,
        commandLine: String? = nil, commandLineDisk: String? = nil, deviceTree: [UInt8]? = nil,
        isExplained: Bool = false
    ) {
        self.policy = policy
        self.formats = formats
        self.geometry = geometry
        self.commandLine = commandLine
        self.commandLineDisk = commandLineDisk
        self.deviceTree = deviceTree
        self.isExplained = isExplained
    }

    /// Whether this format is asked at all.
    func asks(_ kind: PartitionTableKind) -> Bool {
        if let formats { return formats.contains(kind) }
        return policy == .platter ? PartitionTableKind.standard.contains(kind) : true
    }
}

/// Cylinders, heads and sectors per track; a sector is a logical block here.
public struct DiskGeometry: Sendable, Equatable {
    /// Cylinders.
    public var cylinders: UInt32
    /// Tracks in a cylinder.
    public var heads: UInt32
    /// Logical blocks in a track.
    public var sectorsPerTrack: UInt32

    /// A geometry of these values.
    public init(cylinders: UInt32, heads: UInt32, sectorsPerTrack: UInt32) {
        self.cylinders = cylinders
        self.heads = heads
        self.sectorsPerTrack = sectorsPerTrack
    }

    /// From `C/H/S`, three numbers that are not 0; nil if it is something else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { UInt32($0) }
        guard parts.count == 3, let cylinders = parts[0], let heads = parts[1], let sectors = parts[2],
            cylinders > 0, heads > 0, sectors > 0
        else { return nil }
        self.init(cylinders: cylinders, heads: heads, sectorsPerTrack: sectors)
    }
}
