// SPDX-License-Identifier: Apache-2.0

package import BlockSystem

/// Why a verb of the control side was refused: an error number and one line that says what, why and what to do.
public struct DiskError: Error, Sendable, CustomStringConvertible {
    /// The error number of Linux, positive.
    public var errno: Int32
    /// The disk or device it is about.
    public var disk: String?
    /// Its DISKSEQ.
    public var sequence: UInt64?
    /// The line.
    public var reason: String
    /// Who is in the way.
    public var openers: [OpenerRecord] = []

    /// An error.
    public init(
        errno: Int32, disk: String? = nil, sequence: UInt64? = nil, reason: String, openers: [OpenerRecord] = []
    ) {
        self.errno = errno
        self.disk = disk
        self.sequence = sequence
        self.reason = reason
        self.openers = openers
    }

    /// The line.
    public var description: String { reason }

    static let notPermitted: Int32 = 1
    static let ioError: Int32 = 5
    static let noSuchDevice: Int32 = 6
    static let busy: Int32 = 16
    static let exists: Int32 = 17
    static let gone: Int32 = 19
    static let invalid: Int32 = 22
    static let notSupported: Int32 = 95
    static let noMedium: Int32 = 123
    static let timedOut: Int32 = 110
    static let cancelled: Int32 = 125
}

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
    /// A registered major; nil: an extended number under 259.
    public var major: Int?
    /// The first minor under `major`.
    public var firstMinor = 0
    /// How many minors under `major`; partitions beyond get extended numbers.
    public var minors = 0
    /// How long the scan at add may take.
    public var scanDeadline: Duration = .seconds(10)
    /// For tests: called before each step of the add with its number, and may fail it.
    package var beforeStep: (@Sendable (Int) throws(DiskError) -> Void)?
    /// For tests: called amid a change of the partitions, between the decision and what follows from it.
    package var amidChange: (@Sendable () -> Void)?
    /// For counting instructions, where every call is slow: the driver's style stays what it declared.
    package var keepsStyle = false
    /// Places at the device that this disk shares with others, instead of the driver's own ``DriverProfile/queueDepth``.
    public var tags: TagSet?
    /// Which kind of gate; the best, unless a test asks.
    package var gateKind: UsageKind = .best

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
