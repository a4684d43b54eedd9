// SPDX-License-Identifier: Apache-2.0

public import BlockCore

/// The keys that every driver has: `name=` `ro=on|off` `sector-size=512|4096` `partscan=on|off` `export=all|none`
/// `autoclear=on|off`.
public struct CommonKeys: Sendable, Equatable {
    /// The name asked for; nil: the lowest free `plN`.
    public var name: String?
    /// No writes.
    public var isReadOnly = false
    /// The logical block size asked for; nil: the driver's.
    public var sectorSize: Int?
    /// Whether partitions are looked for.
    public var partitionScan = true
    /// Whether the daemon serves it under its name.
    public var isExported = true
    /// Whether the disk goes with its last opener; nil: nobody said.
    public var goesWithLastOpener: Bool?

    /// What holds when none is given.
    public init() {}

    /// Takes the common keys out of a driver's.
    public init(from keys: inout DriverKeys) throws(ConfigurationError) {
        name = try keys.take("name")
        isReadOnly = try keys.takeSwitch("ro") ?? false
        sectorSize = try keys.takeWord("sector-size", ["512", "4096"]).flatMap { Int($0) }
        partitionScan = try keys.takeSwitch("partscan") ?? true
        isExported = try keys.takeWord("export", ["all", "none"]) != "none"
        goesWithLastOpener = try keys.takeSwitch("autoclear")
    }

    /// The same as the registry wants it.
    public var options: DiskOptions {
        var options = DiskOptions()
        options.name = name
        options.isReadOnly = isReadOnly
        options.logicalBlockSize = sectorSize
        options.scansPartitions = partitionScan
        options.isExported = isExported
        options.isTransient = goesWithLastOpener ?? false
        return options
    }
}
