// SPDX-License-Identifier: Apache-2.0

/// All disks and their partitions: what `list --json` prints, in `lsblk --json`'s shape.
public struct DeviceList: Codable, Sendable, Equatable {
    /// The disks.
    public var blockdevices: [DeviceModel]

    /// A list.
    public init(blockdevices: [DeviceModel]) { self.blockdevices = blockdevices }
}

/// A disk or a partition as a line of a listing; the keys are lsblk's where lsblk has one.
public struct DeviceModel: Codable, Sendable, Equatable {
    /// The name.
    public var name: String
    /// `MAJOR:MINOR`.
    public var majMin: String
    /// Whether its medium can be taken out while the disk stays.
    public var removable: Bool
    /// The size in bytes.
    public var size: UInt64
    /// Whether writes are refused.
    public var readOnly: Bool
    /// `disk` or `part`; of a disk that stands on others its driver: `linear`, `delay`.
    public var type: String
    /// The sequence number of the disk: never used twice in one life of the daemon.
    public var diskseq: UInt64
    /// Where the disk is in its life.
    public var state: String
    /// The driver of the disk.
    public var driver: String
    /// How many handles are open on it.
    public var openers: Int
    /// What stands on it: disks by name, and other holders.
    public var uppers: [String]
    /// The disks and partitions that it stands on.
    public var lowers: [String]
    /// Where a partition starts, in 512-byte sectors.
    public var start: UInt64?
    /// The type of a partition, as its table says.
    public var partType: String?
    /// The unique id of a partition.
    public var partUUID: String?
    /// The name of a partition, as its table says.
    public var partLabel: String?
    /// The kind of the partition table that it has or is in; only where attributes were asked for.
    public var partitionTable: String?
    /// The attribute bits of a partition of a GPT, or the boot flag of an MBR, in hex; only where attributes were asked
    /// for, and only where any is set.
    public var partFlags: String?
    /// What its attributes say, by path, without newlines; only where they were asked for.
    public var sysfs: [String: String]?
    /// The partitions of a disk.
    public var children: [DeviceModel]?

    enum CodingKeys: String, CodingKey {
        case name
        case majMin = "maj:min"
        case removable = "rm"
        case size
        case readOnly = "ro"
        case type, diskseq, state, driver, openers, uppers, lowers, start
        case partType = "parttype"
        case partUUID = "partuuid"
        case partLabel = "partlabel"
        case partitionTable = "pttype"
        case partFlags = "partflags"
        case sysfs, children
    }

    /// A line of a listing.
    public init(
        name: String, majMin: String, size: UInt64, readOnly: Bool, type: String, diskseq: UInt64, state: String,
        driver: String, openers: Int = 0, uppers: [String] = [], lowers: [String] = []
    ) {
        self.name = name
        self.majMin = majMin
        self.removable = false
        self.size = size
        self.readOnly = readOnly
        self.type = type
        self.diskseq = diskseq
        self.state = state
        self.driver = driver
        self.openers = openers
        self.uppers = uppers
        self.lowers = lowers
    }

    /// Writes what a disk has, and what a partition has besides.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(majMin, forKey: .majMin)
        try container.encode(removable, forKey: .removable)
        try container.encode(size, forKey: .size)
        try container.encode(readOnly, forKey: .readOnly)
        try container.encode(type, forKey: .type)
        try container.encode(diskseq, forKey: .diskseq)
        try container.encode(state, forKey: .state)
        try container.encode(driver, forKey: .driver)
        try container.encode(openers, forKey: .openers)
        try container.encode(uppers, forKey: .uppers)
        try container.encode(lowers, forKey: .lowers)
        if type == "part" {
            try container.encode(start, forKey: .start)
            try container.encode(partType, forKey: .partType)
            try container.encode(partUUID, forKey: .partUUID)
            try container.encode(partLabel, forKey: .partLabel)
        }
        // No key either where nobody asked.
        if let partitionTable { try container.encode(partitionTable, forKey: .partitionTable) }
        if let partFlags { try container.encode(partFlags, forKey: .partFlags) }
        if let sysfs { try container.encode(sysfs, forKey: .sysfs) }
        // Like lsblk: no key where there are no children.
        if let children, !children.isEmpty { try container.encode(children, forKey: .children) }
    }
}

/// Everything about one disk: what `show --json` prints.
public struct DiskDetail: Codable, Sendable, Equatable {
    /// The line of the listing, with the partitions in it.
    public var device: DeviceModel
    /// The id of the daemon's life: with the sequence number it names the disk for ever.
    public var instance: String
    /// Changes when the disk changes; part of the ETag.
    public var generation: String
    /// The mode of a removal that is under way.
    public var removal: String?
    /// What the device can do.
    public var profile: [String: String]
    /// Settings and facts of the driver.
    public var settings: [String: String]
    /// Who holds the disk or a partition, since when.
    public var holders: [OpenerModel]
    /// Counters of the disk and of each partition, by device name.
    public var statistics: [StatisticsModel]
    /// What became of all I/O that the disk accepted.
    public var ledger: LedgerModel
    /// How long it took, by operation; those that there were.
    public var latencies: [LatencyModel]
    /// How many were answered with which error.
    public var errors: [String: UInt64]
    /// What clients can connect to.
    public var exports: [ExportModel]
    /// The driver did not say its settings in time: these are the last that it said.
    public var settingsStale: Bool
    /// What the driver, the queue and the last scan of the table have to say; empty when all is well.
    public var notes: [String]
    /// Whether it is in no list and has no events.
    public var hidden: Bool
    /// The node that stands for the disk, where its driver names one.
    public var node: NodeModel?
    /// What it hangs on, below `/devices`; absent: nothing.
    public var parent: String?
    /// Facts of the driver's own.
    public var attributes: [String: String]
    /// What one request may be.
    public var limits: LimitsModel
    /// Freezes of users that were not taken back: as many thaws let I/O in again.
    public var freezeDepth: Int
    /// I/Os that wait at the gate for the last of those thaws.
    public var parked: Int
    /// I/Os that were let in and wait for a place at the driver, a flush, a resume or their next try.
    public var waiting: Int

    /// The parts that are of the device itself stand beside the others, not inside.
    enum CodingKeys: String, CodingKey {
        case instance, generation, removal, profile, settings, holders, statistics, ledger, latencies, errors, exports
        case settingsStale = "settings_stale"
        case notes, hidden, node, parent, attributes, limits
        case freezeDepth = "freeze_depth"
        case parked, waiting
    }

    /// All about a disk.
    public init(
        device: DeviceModel, instance: String, generation: String, removal: String?, profile: [String: String],
        settings: [String: String], holders: [OpenerModel], statistics: [StatisticsModel], ledger: LedgerModel,
        exports: [ExportModel], notes: [String]
    ) {
        self.notes = notes
        self.device = device
        self.instance = instance
        self.generation = generation
        self.removal = removal
        self.profile = profile
        self.settings = settings
        self.holders = holders
        self.statistics = statistics
        self.ledger = ledger
        latencies = []
        errors = [:]
        self.exports = exports
        settingsStale = false
        hidden = false
        node = nil
        parent = nil
        attributes = [:]
        limits = LimitsModel()
        freezeDepth = 0
        parked = 0
        waiting = 0
    }

    /// Reads the device's own keys and the others from one object.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        device = try DeviceModel(from: decoder)
        instance = try container.decode(String.self, forKey: .instance)
        generation = try container.decode(String.self, forKey: .generation)
        removal = try container.decodeIfPresent(String.self, forKey: .removal)
        profile = try container.decode([String: String].self, forKey: .profile)
        settings = try container.decode([String: String].self, forKey: .settings)
        holders = try container.decode([OpenerModel].self, forKey: .holders)
        statistics = try container.decode([StatisticsModel].self, forKey: .statistics)
        ledger = try container.decode(LedgerModel.self, forKey: .ledger)
        latencies = try container.decode([LatencyModel].self, forKey: .latencies)
        errors = try container.decode([String: UInt64].self, forKey: .errors)
        exports = try container.decode([ExportModel].self, forKey: .exports)
        settingsStale = try container.decode(Bool.self, forKey: .settingsStale)
        notes = try container.decode([String].self, forKey: .notes)
        hidden = try container.decode(Bool.self, forKey: .hidden)
        node = try container.decodeIfPresent(NodeModel.self, forKey: .node)
        parent = try container.decodeIfPresent(String.self, forKey: .parent)
        attributes = try container.decode([String: String].self, forKey: .attributes)
        limits = try container.decode(LimitsModel.self, forKey: .limits)
        freezeDepth = try container.decode(Int.self, forKey: .freezeDepth)
        parked = try container.decode(Int.self, forKey: .parked)
        waiting = try container.decode(Int.self, forKey: .waiting)
    }

    /// Writes the device's own keys and the others into one object.
    public func encode(to encoder: any Encoder) throws {
        try device.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(instance, forKey: .instance)
        try container.encode(generation, forKey: .generation)
        try container.encodeIfPresent(removal, forKey: .removal)
        try container.encode(profile, forKey: .profile)
        try container.encode(settings, forKey: .settings)
        try container.encode(holders, forKey: .holders)
        try container.encode(statistics, forKey: .statistics)
        try container.encode(ledger, forKey: .ledger)
        try container.encode(latencies, forKey: .latencies)
        try container.encode(errors, forKey: .errors)
        try container.encode(exports, forKey: .exports)
        try container.encode(settingsStale, forKey: .settingsStale)
        try container.encode(notes, forKey: .notes)
        try container.encode(hidden, forKey: .hidden)
        try container.encodeIfPresent(node, forKey: .node)
        try container.encodeIfPresent(parent, forKey: .parent)
        try container.encode(attributes, forKey: .attributes)
        try container.encode(limits, forKey: .limits)
        try container.encode(freezeDepth, forKey: .freezeDepth)
        try container.encode(parked, forKey: .parked)
        try container.encode(waiting, forKey: .waiting)
    }

    /// The ETag of the disk: instance, sequence number and generation.
    public var tag: String { DiskTag(instance: instance, diskseq: device.diskseq, generation: generation).text }
}

/// The node that stands for a disk, and who may use it.
public struct NodeModel: Codable, Sendable, Equatable {
    /// Below `/dev`.
    public var path: String
    /// Permissions; absent: the system's.
    public var mode: UInt32?
    /// The owner; absent: the system's.
    public var uid: UInt32?
    /// The group; absent: the system's.
    public var gid: UInt32?

    /// A node.
    public init(path: String, mode: UInt32? = nil, uid: UInt32? = nil, gid: UInt32? = nil) {
        self.path = path
        self.mode = mode
        self.uid = uid
        self.gid = gid
    }
}

/// Who holds a device, how, and since when.
public struct OpenerModel: Codable, Sendable, Equatable {
    /// The device that is open.
    public var device: String
    /// What kind of holder: `nbd`, `scan`, `api`.
    public var opener: String
    /// `r`, `w` or `rw`.
    public var mode: String
    /// Whether it holds the device for itself alone.
    public var claim: Bool
    /// The process behind it.
    public var pid: Int32?
    /// The user behind it.
    public var uid: UInt32?
    /// What that process is called.
    public var program: String?
    /// Where a client came from.
    public var address: String?
    /// Since when, in seconds since 1970.
    public var since: Double
    /// How much I/O of it is under way.
    public var inFlight: Int
    /// For whom it claims the device: the disk that stands on it, for example.
    public var holder: String?

    enum CodingKeys: String, CodingKey {
        case device, opener, mode, claim, pid, uid, program, address, since
        case inFlight = "in_flight"
        case holder
    }

    /// In a few words of a line: `nbd qemu[277]`, `linear up0`.
    var who: String {
        let process = pid.map { "[\($0)]" } ?? ""
        return [opener, (program ?? "") + process, holder ?? ""].filter { !$0.isEmpty }.joined(separator: " ")
    }

    /// A holder.
    public init(
        device: String, opener: String, mode: String, claim: Bool, pid: Int32? = nil, uid: UInt32? = nil,
        program: String? = nil, address: String? = nil, since: Double, inFlight: Int, holder: String? = nil
    ) {
        self.device = device
        self.opener = opener
        self.mode = mode
        self.claim = claim
        self.pid = pid
        self.uid = uid
        self.program = program
        self.address = address
        self.since = since
        self.inFlight = inFlight
        self.holder = holder
    }
}

/// The identity of a disk at a moment: what an ETag holds and If-Match asks for.
public struct DiskTag: Sendable, Equatable {
    /// The id of the daemon's life.
    public var instance: String
    /// The sequence number.
    public var diskseq: UInt64
    /// What changes with the disk; nil: any state of this disk.
    public var generation: String?

    /// A tag from its parts.
    public init(instance: String, diskseq: UInt64, generation: String?) {
        self.instance = instance
        self.diskseq = diskseq
        self.generation = generation
    }

    /// A tag from the text of a header, with or without quotes.
    public init?(_ text: String) {
        let parts = text.filter { $0 != "\"" }.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, let diskseq = UInt64(parts[1]), !parts[0].isEmpty else {
            return nil
        }
        self.init(
            instance: String(parts[0]), diskseq: diskseq, generation: parts.count == 3 ? String(parts[2]) : nil)
    }

    /// `"instance-7-1f0c"`, with the quotes.
    public var text: String { "\"\(instance)-\(diskseq)" + (generation.map { "-" + $0 } ?? "") + "\"" }

    /// Whether the disk with the other tag is the one that this tag asks for.
    public func accepts(_ present: DiskTag) -> Bool {
        instance == present.instance && diskseq == present.diskseq
            && (generation == nil || generation == present.generation)
    }
}
