// SPDX-License-Identifier: Apache-2.0

/// What a device implements. ``capacity`` and ``submit(_:)`` are required; everything else has a default.
///
/// The core promises: it checks range, alignment, rights and support before ``submit(_:)``; it never calls the driver
/// after ``released()``; when ``stop()`` is called, no call of the core into the driver is running, and every bio was
/// answered (or its deadline has passed, and then the answer is still owed).
///
/// The driver promises: it answers every bio once (a bio that it drops is failed and counted against it), and after
/// ``stop()`` has returned none of its own threads touches a bio or the core.
public protocol BlockDriver: AnyObject, Sendable {
    /// How many 512-byte sectors the device has. Read at add, and after a resize.
    var capacity: UInt64 { get }

    /// Does the I/O, now or later, on this thread or another, and calls `complete` on the bio.
    ///
    /// - Context: which thread, and how long it may take, is what ``DriverProfile/style`` declares.
    func submit(_ bio: consuming Bio)

    /// One word for listings: `ram`, `file`. Default: the type's name in lower case, without a trailing `driver`.
    var driverName: String { get }

    /// What the device can do. Asked once, at add, and a value from then on. Default: ``DriverProfile/init()``.
    var profile: DriverProfile { get }

    /// Where the range is data, hole or zero, in order and without gaps, covering at least its first sector.
    /// Default: all of it is data.
    /// - Context: called with a lease held, like `submit`; must obey the same style.
    func extents(of range: SectorRange) -> [DeviceExtent]

    /// Changes the size. Default: not supported.
    /// - Context: on a thread that may block, never two at a time for one disk, I/O goes on meanwhile.
    func resize(to sectors: UInt64) throws(BlockStatus)

    /// Changes a setting of a living (or owing) driver, such as `answer` of `null`.
    /// - Throws: ``DriverSettingError`` with a line that says what is wrong and what is possible.
    func set(_ key: String, to value: String) throws(DriverSettingError)

    /// The settings that ``set(_:to:)`` takes, with their present values, and facts worth showing (`path`).
    var settings: [(key: String, value: String)] { get }

    /// What went wrong beneath the disk and is worth a line in listings and reports; empty when nothing did.
    var notes: [String] { get }

    /// Hands over what to call when the device itself has vanished: that is then a surprise removal of the disk.
    ///
    /// - Parameter report: any thread may call it, once or more often; it does not block.
    func onDeath(_ report: @escaping @Sendable () -> Void)

    /// The gate has just been shut for good: answer what is held, fast. Called once. Default: nothing.
    func abort()

    /// Ends the driver's own threads. Called once, after the drain. Default: nothing.
    func stop()

    /// One more handle is open on the disk or a partition of it.
    func opened() throws(BlockStatus)

    /// One handle fewer.
    func closed()

    /// The end: nothing of the core will call again. Called once, and only after a successful add.
    func released()

    /// Hands over what to call when the device has grown or shrunk by itself: the core then reads ``capacity`` again.
    ///
    /// - Parameter report: any thread may call it, as often as it likes; it does not block.
    func onCapacityChange(_ report: @escaping @Sendable () -> Void)

    /// Who it is as a holder of the devices it stands on; it claims them for this. Asked once, at add. Default: nobody.
    var holder: Holder? { get }

    /// What the device declares of its removable medium; nil, the default: its medium never changes.
    ///
    /// A driver with removable media answers a bio ``BlockStatus/noMedium`` unless ``Bio/medium`` is the one that is in
    /// when it takes the bio: then no handle ever meets a medium that it was not opened on.
    var media: MediaProfile? { get }

    /// The medium that is in now, number and size from one moment. ``capacity`` is its size.
    var medium: Medium { get }

    /// What happened to the medium since the last call. `clearing`: the core has heard of these before.
    /// - Context: on a thread that may block, with a lease held, never two at a time. Must not call the core.
    func checkEvents(clearing: MediaEventSet) -> MediaEventSet

    /// Hands over what to call when there are events to be asked for.
    /// - Parameter report: any thread may call it, as often as it likes; it does not block.
    func onMediaEvent(_ report: @escaping @Sendable () -> Void)

    /// Puts a medium in: a file, or whatever the device makes one of.
    /// - Context: on a thread that may block, with a lease held, never together with an eject.
    func insert(_ source: String) throws(MediumError)

    /// Takes the medium out, now: what is in flight is answered, what comes finds none.
    /// - Context: as ``insert(_:)``.
    func eject() throws(MediumError)

    /// A request was not answered within ``DriverProfile/timeout``. Default: ``TimeoutDecision/fail``.
    /// - Context: on a thread of its own, with the driver kept alive; it may block, and no other request of the disk is
    ///   looked at meanwhile. The request may be answered while this runs.
    func timedOut(_ request: LateRequest) -> TimeoutDecision
}

/// A request that a driver has had for longer than its timeout.
public struct LateRequest: Sendable, Equatable {
    /// What the driver was asked.
    public var operation: BioOperation
    /// Where.
    public var range: SectorRange
    /// For how long it has had it.
    public var waited: Duration
}

/// What is to become of a request that takes too long.
public enum TimeoutDecision: Sendable {
    /// The clock starts anew.
    case wait
    /// The submitter is told ``BlockStatus/timedOut``; what the driver may still touch is quarantined until it answers.
    case fail
}

/// A setting that cannot be made.
public struct DriverSettingError: Error, Sendable {
    /// One line: what is wrong and what is possible.
    public let reason: String

    /// An error with its line.
    public init(_ reason: String) { self.reason = reason }
}

/// How a driver's `submit` behaves. The core keeps what may block off the event loops.
public enum SubmissionStyle: String, Sendable, Codable {
    /// Uses the CPU only, never sleeps, and answers every bio before `submit` returns: runs on the event loop, and is
    /// lent the submitter's memory without a copy.
    case inline
    /// Returns within microseconds and answers later: runs on the event loop.
    case async
    /// May sleep: runs on the disk's own worker threads.
    case mayBlock
}

/// Whether a device does something by itself.
public enum Support: String, Sendable, Codable {
    /// The device does it.
    case native
    /// The core does it by other means.
    case emulated
    /// Nobody does it; such a bio is answered ``BlockStatus/notSupported``.
    case unsupported
}

/// What a device can do; a value, fixed at add.
public struct DriverProfile: Sendable, Codable {
    /// How `submit` behaves; ``SubmissionStyle/mayBlock`` unless declared.
    public var style: SubmissionStyle = .mayBlock
    /// The smallest unit of I/O in bytes: a power of two from 512 to 4096.
    public var logicalBlockSize: Int = 512
    /// The unit that the device handles without reading first, in bytes.
    public var physicalBlockSize: Int = 512
    /// The preferred size of I/O in bytes; 0 if none.
    public var optimalIO: Int = 0
    /// Writes are acknowledged before they are durable: flush has work to do.
    public var hasWriteCache: Bool = false
    /// Forced unit access; `emulated` makes the core flush after the write.
    public var fua: Support = .emulated
    /// Discard.
    public var discard: Support = .unsupported
    /// Write zeroes; `emulated` makes the core write zeroes.
    public var writeZeroes: Support = .emulated
    /// Write zeroes is always faster than writing them.
    public var hasFastZeroes: Bool = false
    /// Moves something round.
    public var isRotational: Bool = false
    /// The device takes no writes.
    public var isReadOnly: Bool = false
    /// Memory may be gone with the process: nothing survives the daemon. For listings.
    public var isVolatile: Bool = false
    /// Whether there may be partitions on it, from a table or set one by one.
    public var takesPartitions: Bool = true
    /// What one request may be; nil: anything. The block sizes are taken from above.
    public var limits: QueueLimits?
    /// How many requests the driver has at most at once; 0: any number. The others wait in turn.
    public var queueDepth: Int = 0
    /// How long a request may take before ``BlockDriver/timedOut(_:)`` is asked; nil: as long as it takes.
    public var timeout: Duration?
    /// The medium can be taken out while the disk stays: `rm` in listings.
    public var isRemovable: Bool = false
    /// The node that is to stand for the disk, where it is not the disk's name; partitions follow it.
    public var node: DeviceNode?

    /// The safe answers: may block, nothing optional.
    public init() {}
}

/// A part of a range and what lies there.
public struct DeviceExtent: Sendable, Equatable {
    /// What a range holds.
    public enum Kind: Sendable { case data, hole, zero }
    /// How many sectors.
    public var count: UInt64
    /// What lies there: `hole` is not allocated and reads as zeroes, `zero` is allocated and reads as zeroes.
    public var kind: Kind

    /// An extent.
    public init(count: UInt64, kind: Kind) {
        self.count = count
        self.kind = kind
    }
}

extension BlockDriver {
    /// The type's name in lower case, without a trailing `driver`.
    public var driverName: String {
        var name = String(describing: Self.self).lowercased()
        if name.hasSuffix("driver"), name.count > 6 { name.removeLast(6) }
        return name
    }
    /// May block, nothing optional.
    public var profile: DriverProfile { DriverProfile() }
    /// All data.
    public func extents(of range: SectorRange) -> [DeviceExtent] { [DeviceExtent(count: range.count, kind: .data)] }
    /// Not supported.
    public func resize(to sectors: UInt64) throws(BlockStatus) { throw .notSupported }
    /// There are none.
    public func set(_ key: String, to value: String) throws(DriverSettingError) {
        throw DriverSettingError("driver '\(driverName)' has no setting '\(key)': 'platter show' lists a disk's")
    }
    /// None.
    public var settings: [(key: String, value: String)] { [] }
    /// Nothing.
    public var notes: [String] { [] }
    /// Its device cannot vanish.
    public func onDeath(_ report: @escaping @Sendable () -> Void) {}
    /// Answers in its own time.
    public func abort() {}
    /// Has no threads.
    public func stop() {}
    /// Lets everybody.
    public func opened() throws(BlockStatus) {}
    /// Does not mind.
    public func closed() {}
    /// Has nothing to give back.
    public func released() {}
    /// Has its size for life.
    public func onCapacityChange(_ report: @escaping @Sendable () -> Void) {}
    /// Stands on nothing.
    public var holder: Holder? { nil }
    /// Has its medium for life.
    public var media: MediaProfile? { nil }
    /// Always the same.
    public var medium: Medium { Medium(number: 1, capacity: capacity) }
    /// Nothing happens.
    public func checkEvents(clearing: MediaEventSet) -> MediaEventSet { [] }
    /// There is nothing to tell.
    public func onMediaEvent(_ report: @escaping @Sendable () -> Void) {}
    /// Takes none.
    public func insert(_ source: String) throws(MediumError) { throw MediumError(errno: 95, "it takes no media") }
    /// Gives none.
    public func eject() throws(MediumError) { throw MediumError(errno: 95, "its medium cannot be taken out") }
    /// Fails it.
    public func timedOut(_ request: LateRequest) -> TimeoutDecision { .fail }
}
