// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
public import BlockPartitions
internal import BlockSystem

// The only place where values of the core become documents of the control interface.

extension ControlService {
    func model(of disk: Disk) -> DeviceModel {
        let openers = disk.openers
        var model = self.model(of: disk.part0, in: disk, openers: openers)
        model.children = disk.partitions.map { self.model(of: $0, in: disk, openers: openers) }
        return model
    }

    func model(of device: BlockDevice, in disk: Disk, openers: [OpenerRecord]) -> DeviceModel {
        var model = DeviceModel(
            name: device.name, majMin: "\(device.number.major):\(device.number.minor)",
            size: device.size * UInt64(sectorSize), readOnly: device.isReadOnly,
            type: device.partitionNumber > 0 ? "part" : "disk", diskseq: disk.sequence, state: disk.stateWord,
            driver: disk.driverName, openers: openers.count { $0.device == device.name },
            uppers: device.uppers.map(\.name),
            lowers: device.lowerNames)
        // As lsblk has it: what stands on others is named by what makes it.
        if device.partitionNumber == 0, !disk.lowers.isEmpty { model.type = disk.driverName }
        model.removable = disk.isRemovable
        if device.partitionNumber > 0 {
            model.start = device.start
            model.partType = device.entry?.type
            model.partUUID = device.entry?.uuid
            model.partLabel = device.entry?.name
        }
        return model
    }

    func detail(of disk: Disk, through device: BlockDevice) async -> DiskDetail {
        let openers = disk.openers
        // A driver that hangs holds this up for a moment, and nothing else at all.
        let facts = await disk.driverFacts()
        var settings: [String: String] = [:]
        for setting in facts.settings { settings[setting.key] = setting.value }
        let model =
            device.partitionNumber == 0
            ? self.model(of: disk) : self.model(of: device, in: disk, openers: openers)
        let devices = device.partitionNumber == 0 ? disk.devices : [device]
        var exports: [ExportModel] = []
        for device in devices { exports += await backend.exports(of: device.name) }
        var detail = DiskDetail(
            device: model, instance: registry.instance, generation: generation(of: disk),
            removal: disk.lifeState.removal?.rawValue, profile: ControlService.words(disk), settings: settings,
            holders: openers.filter { device.partitionNumber == 0 || $0.device == device.name }
                .map(OpenerModel.init),
            statistics: devices.map { StatisticsModel(device: $0.name, $0.statistics()) },
            ledger: LedgerModel(disk.ledger()), exports: exports, notes: disk.partitionWarnings + facts.notes)
        detail.latencies = LatencyHistogram.Operation.allCases.compactMap { LatencyModel($0, disk.latencies(of: $0)) }
        detail.errors = Dictionary(uniqueKeysWithValues: disk.errorCounts.map { ("\($0.key)", $0.value) })
        detail.settingsStale = facts.isStale
        detail.hidden = disk.options.isHidden
        detail.node = disk.profile.node.map(NodeModel.init)
        detail.parent = disk.options.parent
        detail.attributes = disk.options.attributes
        detail.limits = LimitsModel(disk.limits)
        detail.freezeDepth = disk.freezeDepth
        detail.parked = disk.parkedIO
        detail.waiting = disk.waitingIO
        return detail
    }

    func tag(of disk: Disk) -> DiskTag {
        DiskTag(instance: registry.instance, diskseq: disk.sequence, generation: generation(of: disk))
    }

    // A digest of what a caller may have based a decision on: it changes when one of these does.
    private func generation(of disk: Disk) -> String {
        var digest = FNV1a()
        digest.add(disk.stateWord)
        for device in disk.devices {
            digest.add(device.name)
            digest.add("\(device.start) \(device.size) \(device.isReadOnly)")
        }
        return digest.text
    }

    private static func words(_ disk: Disk) -> [String: String] {
        let profile = disk.profile
        return [
            "style": profile.style.rawValue, "logical_block_size": "\(profile.logicalBlockSize)",
            "physical_block_size": "\(profile.physicalBlockSize)", "optimal_io_size": "\(profile.optimalIO)",
            "write_cache": profile.hasWriteCache ? "yes" : "no", "fua": profile.fua.rawValue,
            "discard": profile.discard.rawValue, "write_zeroes": profile.writeZeroes.rawValue,
            "fast_zeroes": profile.hasFastZeroes ? "yes" : "no", "rotational": profile.isRotational ? "yes" : "no",
            "volatile": profile.isVolatile ? "yes" : "no", "removable": disk.isRemovable ? "yes" : "no",
            "ext_range": "\(disk.deviceLimit)",
        ]
    }
}

/// A digest for change detection, not for secrets.
struct FNV1a {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        value = (value ^ 0xff) &* 0x100_0000_01b3
    }

    var text: String { String(value, radix: 16) }
}

extension DiskState {
    var removal: RemovalMode? {
        switch self {
        case .leaving(let mode), .flushing(let mode), .cut(let mode): mode
        case .adding, .live, .owing, .gone: nil
        }
    }
}

extension OpenerModel {
    init(_ record: OpenerRecord) {
        self.init(
            device: record.device, opener: record.identity.kind, mode: record.mode.filter { $0 != "x" },
            claim: record.mode.contains("x"), pid: record.identity.process, uid: record.identity.user,
            program: record.identity.program, address: record.identity.address, since: record.since,
            inFlight: record.inFlight, holder: record.holder)
    }
}

extension RemovalModel {
    init(_ report: RemovalReport, outcome: String, requested: RemovalMode) {
        self.init(
            outcome: outcome, disk: report.disk, diskseq: report.sequence, mode: report.mode.rawValue,
            requestedMode: requested.rawValue, state: report.state)
        durationSeconds = Double(report.durationNanoseconds) / 1e9
        deadlinePassed = report.deadlinePassed
        inFlight = report.inFlight
        parked = report.parked
        failed = report.failed
        failedWriteBytes = report.failedWriteBytes
        unflushedBytes = report.unflushedBytes
        flush = report.flush.rawValue
        quarantined = report.quarantined
        quarantinedBytes = UInt64(report.quarantinedBytes)
        driverFaults = report.driverFaults
        stuckSinks = report.stuckSinks
        openers = report.openers.map(OpenerModel.init)
        notes = report.notes
    }
}

extension NodeModel {
    init(_ node: DeviceNode) { self.init(path: node.path, mode: node.mode, uid: node.user, gid: node.group) }
}

extension QuarantineModel {
    init(_ record: QuarantineRecord) {
        self.init(
            disk: record.disk, diskseq: record.sequence, driver: record.driver, ios: record.count,
            bytes: UInt64(record.bytes), since: record.since)
    }
}

extension LimitsModel {
    init(_ limits: QueueLimits) {
        func bounded(_ sectors: UInt64?) -> UInt64? { sectors == .max ? nil : sectors }
        self.init()
        logicalBlockSize = limits.logicalBlockSize
        physicalBlockSize = limits.physicalBlockSize
        alignmentOffset = limits.alignmentOffset
        minimumIOSize = limits.minimumIO
        optimalIOSize = limits.optimalIO
        maxSectors = bounded(limits.maxSectors)
        maxHardwareSectors = bounded(limits.maxHardwareSectors)
        maxDeviceSectors = limits.maxDeviceSectors
        maxUserSectors = limits.maxUserSectors
        chunkSectors = limits.chunkSectors
        maxDiscardSectors = bounded(limits.maxDiscardSectors)
        maxHardwareDiscardSectors = bounded(limits.maxHardwareDiscardSectors)
        maxUserDiscardSectors = bounded(limits.maxUserDiscardSectors)
        discardGranularity = limits.discardGranularity
        maxWriteZeroesSectors = bounded(limits.maxWriteZeroesSectors)
        misaligned = limits.isMisaligned
    }
}

extension StatisticsModel {
    init(device: String, _ statistics: DiskStatistics) {
        self.init(device: device)
        reads = Kind(statistics.reads)
        writes = Kind(statistics.writes)
        discards = Kind(statistics.discards)
        flushes = Kind(statistics.flushes)
        flushCommands = Kind(statistics.flushCommands)
        busySeconds = Double(statistics.busyNanoseconds) / 1e9
        inFlight = statistics.inFlight
    }
}

extension StatisticsModel.Kind {
    fileprivate init(_ group: DiskStatistics.Group) {
        self.init(
            completed: group.completed, bytes: group.sectors * UInt64(sectorSize),
            seconds: Double(group.nanoseconds) / 1e9)
    }
}

extension LedgerModel {
    init(_ ledger: Ledger) {
        self.init(
            accepted: ledger.accepted, ok: ledger.ok, failed: ledger.failed, aborted: ledger.aborted,
            quarantined: ledger.quarantined, inFlight: ledger.inFlight, timedOut: ledger.timedOut,
            expired: ledger.expired, late: ledger.late, refused: ledger.refused, driverFaults: ledger.driverFaults)
    }
}

extension EventModel {
    init(_ event: DiskEvent) {
        self.init(
            seqnum: event.sequence, action: event.action.rawValue, devpath: event.path,
            devname: event.node?.path ?? event.device,
            devtype: event.deviceType, major: UInt32(clamping: event.number.major),
            minor: UInt32(clamping: event.number.minor), diskseq: event.diskSequence, partn: event.partition,
            partname: event.partitionName, partuuid: event.partitionUUID, time: event.time)
        for text in event.extra {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            properties[String(parts[0])] = parts.count > 1 ? String(parts[1]) : ""
        }
        environment = event.properties.map { "\($0.key)=\($0.value)" }
        if let mode = event.node?.mode { properties["DEVMODE"] = "0" + String(mode, radix: 8) }
        if let user = event.node?.user { properties["DEVUID"] = "\(user)" }
        if let group = event.node?.group { properties["DEVGID"] = "\(group)" }
    }
}

extension PartitionTableModel {
    /// A scan as a document.
    public init(_ scan: PartitionScan, sectorSize: Int) {
        self.init(
            table: scan.table?.rawValue, sectorSize: sectorSize, partitions: scan.entries.map(Entry.init),
            warnings: scan.warnings)
        id = scan.tableID
        guard !scan.trace.isEmpty else { return }
        probes = scan.trace.map { trace in
            Probe(
                format: trace.format.rawValue, outcome: trace.outcome.rawValue, reason: trace.reason,
                sectors: trace.sectors.map { [$0.lowerBound, $0.upperBound - 1] })
        }
    }
}

extension PartitionTableModel.Entry {
    fileprivate init(_ entry: PartitionEntry) {
        self.init(
            number: entry.number, start: entry.start, size: entry.size, type: entry.type, uuid: entry.uuid,
            name: entry.name)
        flags = [
            entry.isBootable ? "boot" : nil, entry.isRAID ? "raid" : nil, entry.isWholeDisk ? "whole-disk" : nil,
            entry.isReadOnly ? "read-only" : nil,
        ].compactMap { $0 }
        attributes = entry.attributes.map { "0x" + String($0, radix: 16) }
        nested = entry.nested?.rawValue
        extent = entry.extent
    }
}

extension RescanModel {
    init(_ disk: Disk, _ report: RescanReport) {
        self.init(
            disk: disk.name, diskseq: disk.sequence, table: report.table, partitions: disk.partitions.map(\.name),
            added: report.added, removed: report.removed, warnings: report.warnings)
    }
}
