// SPDX-License-Identifier: Apache-2.0

package import BlockSystem

/// What an add may ask for.
public struct DiskOptions: Sendable {
    /// The name; nil: `plN` with the lowest free N.
    public var name: String?
    /// Writes are refused, whatever the driver could do.
    public var isReadOnly = false
    /// Larger than the driver's if asked for: 512 or 4096.
    public var logicalBlockSize: Int?
    /// Whether tables are read at add and when the last writer of the whole disk closes.
    public var scansPartitions = true
    /// Whether exports serve it without being told.
    public var isExported = true
    /// A major of 12 bits, registered or not; nil: an extended number under 259.
    public var major: Int?
    /// The first minor under `major`; 0 without one.
    public var firstMinor = 0
    /// How many minors under `major`, 1 to 256; partitions beyond get extended numbers. 0 without a major.
    public var minors = 0
    /// For a part of something else, which its owner alone uses: it has a name and a number, but no events, no scan, no
    /// look-up by number, and it stands in no list unless ``DiskRegistry/disks(hidden:)`` asks for it.
    public var isHidden = false
    /// It goes with its last opener, as after ``Disk/setAutoclear(_:)``.
    public var isTransient = false
    /// What it hangs on, as a path below `/devices` such as `pci0000:00/0000:00:03.0`; nil: nothing, it is virtual.
    public var parent: String?
    /// Facts of the driver's own that listings show, by key.
    public var attributes: [String: String] = [:]
    /// How long the scan at add may take.
    public var scanDeadline: Duration = .seconds(10)
    /// For tests: called before each step of the add with its number, and may fail it.
    package var beforeStep: (@Sendable (Int) throws(DiskError) -> Void)?
    /// For tests: called before each step of an add that failed is taken back, with its number.
    package var beforeUndo: (@Sendable (Int) -> Void)?
    /// For tests: called amid a change of the partitions, between the decision and what follows from it.
    package var amidChange: (@Sendable () -> Void)?
    /// For tests: called in each handler of an attribute, behind the door, with the path.
    package var inAttribute: (@Sendable (String) -> Void)?
    /// For counting instructions, where every call is slow: the driver's style stays what it declared.
    package var keepsStyle = false
    /// Places at the device that this disk shares with others, instead of the driver's own ``DriverProfile/queueDepth``.
    public var tags: TagSet?
    /// Which kind of gate; the best, unless a test asks.
    package var gateKind: UsageKind = .best
    /// For tests: which of the steps that can fail does.
    package var faults: FaultPlan?
    /// For tests: I/Os that the ledger is to miss in the end.
    package var ledgerSkew: UInt64 = 0
    /// Opens that are promised the disk before it is published.
    var initialHolds = 0

    /// The defaults.
    public init() {}
}

/// A device number.
public struct DeviceNumber: Sendable, Codable, Hashable {
    /// 259 for extended numbers.
    public var major: Int
    /// 20 bits.
    public var minor: Int

    /// A number.
    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }
}
