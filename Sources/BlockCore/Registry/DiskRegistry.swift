// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
package import BlockSystem
internal import Synchronization

/// What the driver may still touch of a disk that was removed (R4).
public struct QuarantineRecord: Sendable, Codable, Equatable {
    /// The name it had.
    public var disk: String
    /// Its DISKSEQ, by which it is still reached.
    public var sequence: UInt64
    /// The driver.
    public var driver: String
    /// I/Os that are still owed.
    public var count: Int
    /// Bytes of memory that the driver may still touch.
    public var bytes: Int
    /// Seconds since 1970.
    public var since: Double
}

/// All disks of a program, by name and by number.
///
/// A name or number is found only while its disk is published, and is free again the moment a removal has returned
/// (R8). Shard locks are leaves; listing goes shard by shard and sees no single instant.
public final class DiskRegistry: Sendable {
    /// The major of extended numbers.
    public static let extendedMajor = 259
    static let minorLimit = 1 << 20
    static let majorLimit = 1 << 12
    /// The most devices a disk can have: itself and 255 partitions.
    static let deviceLimit = 256
    /// The most 512-byte sectors a disk may have: what fits in a signed 64-bit number of bytes.
    public static let capacityLimit = UInt64(Int64.max) / UInt64(sectorSize)

    /// Tells this registry's life from any other: with a DISKSEQ it names a disk for ever.
    public let instance: String
    /// What happens.
    public let events: DiskEvents

    /// Whether a device that is claimed with ``OpenMode/restrictWrites`` may be written by others all the same.
    public let allowsWritingToMounted: Bool
    /// Who stands on whom.
    let stack = DiskStack()

    /// Disk objects in memory, removed ones that somebody still holds included: what the tests hold against a baseline.
    package let disksAlive = Counter()

    private let diskSequence = Atomic<UInt64>(0)
    private let removalCount = Atomic<UInt64>(0)
    private let mediaPoll = Atomic<Int>(0)
    private let names = (0..<64).map { _ in Lock<[String: NameEntry]>([:]) }
    private let numberTable = (0..<64).map { _ in Lock<[DeviceNumber: NameEntry]>([:]) }
    private let extended: Lock<MinorPool>
    private let nodes = Lock<[String: UInt64]>([:])
    private let majors = Lock<[Int: String]>([:])
    let providers = ProviderTable()
    let faultReporter = FaultReporter()
    let removals = RemovalTallies()
    private let owing = Lock<[UInt64: Disk]>([:])

    /// Who has a name or a number: a disk by its identity, or a partition of it. `disk` is nil while an add has only reserved it.
    struct NameEntry {
        var sequence: UInt64
        var disk: Disk?
        var device: BlockDevice?
    }

    /// A registry without disks, that keeps `eventCapacity` events for observers who come late.
    ///
    /// A disk stays in its registry until it is removed, whoever else lets it go (T07); and a registry with disks in it
    /// stays, too.
    ///
    /// - Parameter allowsWritingToMounted: as ``allowsWritingToMounted``.
    public convenience init(eventCapacity: Int = 4096, allowsWritingToMounted: Bool = true) {
        self.init(
            eventCapacity: eventCapacity, allowsWritingToMounted: allowsWritingToMounted, minors: Self.minorLimit)
    }

    /// - Parameter minors: how many extended numbers there are.
    package init(eventCapacity: Int = 4096, allowsWritingToMounted: Bool = true, minors: Int) {
        self.allowsWritingToMounted = allowsWritingToMounted
        instance = String(UInt64.random(in: .min ... .max), radix: 16)
        events = DiskEvents(capacity: eventCapacity)
        extended = Lock(MinorPool(limit: minors))
        // Removals need threads; one that is there whatever comes is asked for now.
        WorkerThread.prepareSpare()
    }

    // MARK: Finding

    /// The disk of this name that is in use or on its way out; nil while its add is under way.
    public func disk(named name: String) -> Disk? {
        guard let entry = shard(name).withLock({ $0[name] }), entry.device == nil, let disk = entry.disk,
            disk.isPublished
        else { return nil }
        return disk
    }

    /// The disk or partition of this name.
    public func device(named name: String) -> BlockDevice? {
        guard let entry = shard(name).withLock({ $0[name] }), let disk = entry.disk, disk.isPublished else {
            return nil
        }
        return entry.device ?? disk.part0
    }

    /// The disk or partition of this number.
    public func device(numbered number: DeviceNumber) -> BlockDevice? {
        guard let entry = shard(number).withLock({ $0[number] }), let disk = entry.disk, disk.isPublished,
            !disk.options.isHidden
        else { return nil }
        return entry.device ?? disk.part0
    }

    /// All disks in use or on their way out, by name in the order in which people count (pl2 before pl10).
    public var disks: [Disk] { disks(hidden: false) }

    /// The same, with the hidden ones if they are asked for.
    public func disks(hidden: Bool) -> [Disk] {
        var found: [Disk] = []
        for shard in names {
            let here = shard.withLock { $0.values.filter { $0.device == nil }.compactMap(\.disk) }
            found += here.filter { $0.isPublished && (hidden || !$0.options.isHidden) }
        }
        return found.sorted { naturalOrder($0.name, $1.name) }
    }

    /// What is still owed after deadlines, oldest first.
    public func quarantine() -> [QuarantineRecord] {
        owing.withLock { Array($0.values) }.sorted { $0.sequence < $1.sequence }.map { disk in
            QuarantineRecord(
                disk: disk.name, sequence: disk.sequence, driver: disk.driverName,
                count: max(disk.faults.owed.value, 0), bytes: max(disk.faults.owedBytes.value, 0),
                since: disk.faults.owedSince.withLock { $0 })
        }
    }

    /// The removed disk with this DISKSEQ whose driver still owes answers.
    public func owingDisk(sequence: UInt64) -> Disk? {
        owing.withLock { $0.values.first { $0.sequence == sequence } }
    }

    func addOwing(_ disk: Disk) { owing.withLock { $0[disk.identity] = disk } }

    func removeOwing(_ disk: Disk, ifDone: Bool) {
        guard !ifDone || disk.lifeState == .gone else { return }
        owing.withLock { _ = $0.removeValue(forKey: disk.identity) }
    }

    // MARK: Media

    /// How often disks with removable media are asked for events that have no interval of their own, in milliseconds;
    /// 0, the default: not at all.
    public var mediaPollInterval: Int { mediaPoll.load(ordering: .relaxed) }

    /// Sets that, for the disks there are, too. Values below 0 count as 0.
    public func setMediaPollInterval(milliseconds: Int) {
        mediaPoll.store(max(milliseconds, 0), ordering: .relaxed)
        for disk in disks { disk.mediaPollDefaultChanged() }
    }

    // MARK: Majors

    /// Registers a major for a driver's own numbers: 1 to 511, or the highest free one up to 254.
    /// - Throws: EBUSY if it is taken, EINVAL if it is out of range or 259.
    public func registerMajor(_ major: Int?, name: String) throws(DiskError) -> Int {
        if let major, !(1...511).contains(major) || major == Self.extendedMajor {
            throw DiskError(
                errno: DiskError.invalid, reason: "major \(major) cannot be registered: take 1 to 511, but not 259")
        }
        let taken = majors.withLock { majors -> Int? in
            let choice = major ?? (1...254).reversed().first { majors[$0] == nil }
            guard let choice, majors[choice] == nil else { return nil }
            majors[choice] = name
            return choice
        }
        guard let taken else {
            throw DiskError(
                errno: DiskError.busy,
                reason: major.map { "major \($0) is registered already" } ?? "every major from 1 to 254 is registered")
        }
        return taken
    }

    func forgetMajor(_ major: Int) { majors.withLock { _ = $0.removeValue(forKey: major) } }

    /// Whether somebody has registered it.
    func isRegistered(_ major: Int) -> Bool { majors.withLock { $0[major] != nil } }

    /// Majors with their names, as /proc/devices lists them.
    public var registeredMajors: [(major: Int, name: String)] {
        majors.withLock { $0.sorted { $0.key < $1.key } }.map { (major: $0.key, name: $0.value) }
    }

    // MARK: Reserving, for add, rescan and removal

    func nextSequence() -> UInt64 { diskSequence.wrappingAdd(1, ordering: .relaxed).newValue }
    func nextRemoval() -> UInt64 { removalCount.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Reserves a name for a disk that is being added. False: it is taken.
    func reserve(_ name: String, for sequence: UInt64) -> Bool {
        shard(name).withLock { entries in
            guard entries[name] == nil else { return false }
            entries[name] = NameEntry(sequence: sequence, disk: nil, device: nil)
            return true
        }
    }

    /// Puts the disk (or one of its partitions) behind a name it has reserved. Not yet found: that is its state's to say.
    func fill(_ name: String, _ disk: Disk, _ device: BlockDevice?) {
        shard(name).withLock { entries in
            // Only what is still reserved for it: a removal may have given the name to somebody else.
            guard entries[name]?.sequence == disk.identity else { return }
            entries[name] = NameEntry(sequence: disk.identity, disk: disk, device: device)
        }
    }

    /// The disk that is being added under this name, so that a removal can cancel the add.
    public func diskBeingAdded(named name: String) -> Disk? {
        shard(name).withLock { $0[name]?.device == nil ? $0[name]?.disk : nil }
    }

    /// Whoever has a name or number, whether it can be found or not.
    func owner(of key: DiskKey) -> Disk? {
        switch key {
        case .name(let name): shard(name).withLock { $0[name]?.disk }
        case .number(let number): shard(number).withLock { $0[number]?.disk }
        }
    }

    func release(_ name: String, of sequence: UInt64) {
        shard(name).withLock { if $0[name]?.sequence == sequence { $0[name] = nil } }
    }

    /// Reserves a number: the one asked for, or the lowest free extended one. nil: taken, or none left.
    func reserveNumber(_ wanted: DeviceNumber?, for sequence: UInt64) -> DeviceNumber? {
        let number: DeviceNumber
        if let wanted {
            // Under 259, too, a driver may have a number of its choice: the pool must know of it.
            guard wanted.major != Self.extendedMajor || extended.withLock({ $0.take(wanted.minor) }) else { return nil }
            number = wanted
        } else {
            guard let minor = extended.withLock({ $0.take() }) else { return nil }
            number = DeviceNumber(major: Self.extendedMajor, minor: minor)
        }
        let reserved = shard(number).withLock { entries -> Bool in
            guard entries[number] == nil else { return false }
            entries[number] = NameEntry(sequence: sequence, disk: nil, device: nil)
            return true
        }
        if !reserved, number.major == Self.extendedMajor { extended.withLock { $0.giveBack(number.minor) } }
        return reserved ? number : nil
    }

    func fill(_ number: DeviceNumber, _ disk: Disk, _ device: BlockDevice?) {
        shard(number).withLock { entries in
            guard entries[number]?.sequence == disk.identity else { return }
            entries[number] = NameEntry(sequence: disk.identity, disk: disk, device: device)
        }
    }

    func release(_ number: DeviceNumber, of sequence: UInt64) {
        let released = shard(number).withLock { entries -> Bool in
            guard entries[number]?.sequence == sequence else { return false }
            entries[number] = nil
            return true
        }
        if released, number.major == Self.extendedMajor { extended.withLock { $0.giveBack(number.minor) } }
    }

    /// Reserves the path of a node. False: another disk has it.
    func reserveNode(_ path: String, for sequence: UInt64) -> Bool {
        nodes.withLock { nodes in
            guard nodes[path] == nil else { return false }
            nodes[path] = sequence
            return true
        }
    }

    func releaseNode(_ path: String, of sequence: UInt64) {
        nodes.withLock { if $0[path] == sequence { $0[path] = nil } }
    }

    /// Takes a disk and its partitions out of the tables.
    func unpublish(_ disk: Disk, _ partitions: [BlockDevice]) {
        for partition in partitions { unpublish(partition) }
        if let node = disk.profile.node { releaseNode(node.path, of: disk.identity) }
        release(disk.number, of: disk.identity)
        release(disk.name, of: disk.identity)
    }

    func unpublish(_ partition: BlockDevice) {
        release(partition.number, of: partition.disk.identity)
        release(partition.name, of: partition.disk.identity)
    }

    /// Names in the tables, reserved ones too: what the tests hold against a baseline.
    package var namesInUse: Int { names.reduce(0) { $0 + $1.withLock { $0.count } } }
    /// Whether nothing stands on anything.
    package var isFlat: Bool { stack.isEmpty }
    /// Numbers in the tables.
    package var numbersInUse: Int { numberTable.reduce(0) { $0 + $1.withLock { $0.count } } }

    private func shard(_ name: String) -> Lock<[String: NameEntry]> {
        names[Int(UInt(bitPattern: name.hashValue) % 64)]
    }
    private func shard(_ number: DeviceNumber) -> Lock<[DeviceNumber: NameEntry]> { numberTable[number.minor & 63] }
}

/// Whether one name comes before another for people: runs of digits compare as numbers.
func naturalOrder(_ left: String, _ right: String) -> Bool {
    func key(_ name: String) -> (String, UInt64, String) {
        let prefix = name.prefix { !$0.isNumber }
        let digits = name.dropFirst(prefix.count).prefix { $0.isNumber }
        return (String(prefix), UInt64(digits) ?? 0, name)
    }
    return key(left) < key(right)
}
