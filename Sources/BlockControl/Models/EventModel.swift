// SPDX-License-Identifier: Apache-2.0

/// Something that happened to a disk: udev's property set, its names in lower case.
public struct EventModel: Codable, Sendable, Equatable {
    /// Counts the events of one life of the daemon, without gaps.
    public var seqnum: UInt64
    /// `add`, `remove`, `change`, …
    public var action: String
    /// Where a kernel would show it below `/sys`.
    public var devpath: String
    /// Always `block`.
    public var subsystem: String
    /// The device.
    public var devname: String
    /// `disk` or `partition`.
    public var devtype: String
    /// The major number.
    public var major: UInt32
    /// The minor number.
    public var minor: UInt32
    /// The sequence number of the disk.
    public var diskseq: UInt64
    /// The number of a partition.
    public var partn: Int?
    /// The name of a partition.
    public var partname: String?
    /// The unique id of a partition.
    public var partuuid: String?
    /// When, in seconds since 1970.
    public var time: Double
    /// What this kind of event has besides, under udev's names: `RESIZE`, `DISK_RO`, `PLATTER_REASON`.
    public var properties: [String: String]
    /// All of it as a kernel sends it and a hotplug helper gets it: `KEY=value`, in the kernel's order.
    public var environment: [String]

    /// An event.
    public init(
        seqnum: UInt64, action: String, devpath: String, devname: String, devtype: String, major: UInt32,
        minor: UInt32, diskseq: UInt64, partn: Int? = nil, partname: String? = nil, partuuid: String? = nil,
        time: Double, properties: [String: String] = [:], environment: [String] = []
    ) {
        self.seqnum = seqnum
        self.action = action
        self.devpath = devpath
        subsystem = "block"
        self.devname = devname
        self.devtype = devtype
        self.major = major
        self.minor = minor
        self.diskseq = diskseq
        self.partn = partn
        self.partname = partname
        self.partuuid = partuuid
        self.time = time
        self.properties = properties
        self.environment = environment
    }
}

/// Events that an observer missed, because it was too slow or asked for what is no longer kept.
public struct LostModel: Codable, Sendable, Equatable {
    /// Always `lost`.
    public var action: String
    /// How many; absent: nobody knows, for the last event that was seen is another daemon's.
    public var count: UInt64?

    /// A marker.
    public init(count: UInt64?) {
        action = "lost"
        self.count = count
    }
}

/// What the stream of events delivers.
public enum EventMessage: Sendable, Equatable {
    /// Something happened.
    case event(EventModel)
    /// So many events are missing here (nil: nobody knows how many); the present state is to be asked for anew.
    case lost(UInt64?)
}
