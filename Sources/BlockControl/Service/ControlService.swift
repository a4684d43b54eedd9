// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockPartitions
internal import BlockSystem
public import Logging

/// The verbs of the control interface over a registry and a backend, without a word of HTTP.
public struct ControlService: Sendable {
    let registry: DiskRegistry
    let backend: any ControlBackend
    let version: String
    let started: Instant
    let logger: Logger
    let pendingRemovals = PendingRemovals()

    /// A service over these.
    public init(registry: DiskRegistry, backend: any ControlBackend, version: String, logger: Logger) {
        self.registry = registry
        self.backend = backend
        self.version = version
        self.logger = logger
        started = Instant.now
        registry.reportFaults { fault in
            logger.critical(
                "\(fault.reason)", metadata: ["disk": "\(fault.disk)", "diskseq": "\(fault.sequence)"])
        }
    }

    /// `GET /healthz`
    public func health() -> HealthModel {
        HealthModel(
            status: "ok", instance: registry.instance, version: version, pid: Host.processID,
            disks: registry.disks.count, uptimeSeconds: (Instant.now - started).asSeconds)
    }

    /// `GET /v1/disks`, with the hidden ones and with attributes if they are asked for.
    public func list(hidden: Bool = false, sysfs: Bool = false) -> DeviceList {
        let disks = registry.disks(hidden: hidden)
        return DeviceList(blockdevices: disks.map { sysfs ? modelWithAttributes(of: $0) : model(of: $0) })
    }

    /// `GET /v1/disks/NAME`, of a disk, a partition, or `seq:N` for one that still owes answers.
    public func show(_ name: String) async throws(Problem) -> DiskDetail {
        let (disk, device) = try find(name)
        return await detail(of: disk, through: device)
    }

    /// `GET /v1/disks/NAME/partitions`
    public func partitions(_ name: String, _ query: PartitionQuery) async throws(Problem) -> PartitionTableModel {
        let disk = try findDisk(name, ifMatch: nil)
        var options = try query.options()
        options.commandLineDisk = disk.name
        do throws(DiskError) {
            return PartitionTableModel(
                try await disk.scanTable(options: options), sectorSize: disk.profile.logicalBlockSize)
        } catch {
            throw Problem(error)
        }
    }

    /// `POST /v1/disks`
    public func add(_ request: AddRequest) async throws(Problem) -> DiskDetail {
        let disk = try await backend.add(driver: request.driver, parameters: [Parameter](request.parameters ?? [:]))
        logger.info("disk added", metadata: ["disk": "\(disk.name)", "diskseq": "\(disk.sequence)"])
        return await detail(of: disk, through: disk.part0)
    }

    /// `POST /v1/disks/NAME/resize`
    public func resize(_ name: String, _ request: ResizeRequest, ifMatch: DiskTag?) async throws(Problem) -> DiskDetail
    {
        let disk = try findDisk(name, ifMatch: ifMatch)
        guard request.size % UInt64(sectorSize) == 0 else {
            throw Problem(
                .usage, "the size \(request.size) of '\(name)' is not a multiple of \(sectorSize) bytes",
                errno: "EINVAL", disk: name, diskseq: disk.sequence)
        }
        do throws(DiskError) {
            try await disk.resize(to: request.size / UInt64(sectorSize))
        } catch {
            throw Problem(error)
        }
        logger.info("disk resized", metadata: ["disk": "\(disk.name)", "bytes": "\(request.size)"])
        return await detail(of: disk, through: disk.part0)
    }

    /// `POST /v1/disks/NAME/set`
    public func set(_ name: String, _ request: SetRequest, ifMatch: DiskTag?) async throws(Problem) -> DiskDetail {
        let disk = try findDisk(name, ifMatch: ifMatch)
        for (key, value) in request.settings.sorted(by: { $0.key < $1.key }) {
            do throws(DiskError) {
                try await disk.set(key, to: value)
            } catch {
                throw Problem(error)
            }
            logger.info("disk set", metadata: ["disk": "\(disk.name)", "\(key)": "\(value)"])
        }
        return await detail(of: disk, through: disk.part0)
    }

    /// `POST /v1/disks/NAME/rescan`
    public func rescan(_ name: String, ifMatch: DiskTag?) async throws(Problem) -> RescanModel {
        let disk = try findDisk(name, ifMatch: ifMatch)
        do throws(DiskError) {
            let report = try await disk.rescan()
            logger.info("disk rescanned", metadata: ["disk": "\(disk.name)"])
            return RescanModel(disk, report)
        } catch {
            throw Problem(error)
        }
    }

    /// `GET /v1/quarantine`
    public func quarantine() -> QuarantineList {
        QuarantineList(quarantine: registry.quarantine().map(QuarantineModel.init))
    }

    /// `GET /v1/exports`
    public func exports() async -> ExportList { ExportList(exports: await backend.exports(of: nil)) }

    /// `POST /v1/exports`
    public func export(_ request: ExportRequest) async throws(Problem) -> ExportModel {
        let (_, device) = try find(request.device)
        let export = try await backend.export(
            device, kind: request.kind, parameters: [Parameter](request.parameters ?? [:]))
        logger.info("export added", metadata: ["device": "\(device.name)", "uri": "\(export.uri)"])
        announce(export, isBound: true)
        return export
    }

    /// `DELETE /v1/exports/ID`
    public func unexport(_ id: String) async throws(Problem) -> ExportModel {
        let export = try await backend.unexport(id)
        logger.info("export removed", metadata: ["device": "\(export.device)", "uri": "\(export.uri)"])
        announce(export, isBound: false)
        return export
    }

    /// `GET /metrics`
    public func metrics() async -> String {
        var page = MetricsPage()
        page.add(registry: registry, version: version)
        await backend.metrics(&page)
        return page.text
    }

    /// The disk or partition with this name; `seq:N` is a disk that still owes answers.
    func find(_ name: String) throws(Problem) -> (Disk, BlockDevice) {
        if name.hasPrefix("seq:") {
            guard let sequence = UInt64(name.dropFirst(4)) else {
                throw Problem(.usage, "'\(name)' is no sequence number; 'seq:7' would be one", errno: "EINVAL")
            }
            if let disk = registry.disks(hidden: true).first(where: { $0.sequence == sequence })
                ?? registry.owingDisk(sequence: sequence)
            {
                return (disk, disk.part0)
            }
            throw Problem.noSuchDisk(name)
        }
        if let device = registry.device(named: name) { return (device.disk, device) }
        if let disk = registry.disk(named: name) { return (disk, disk.part0) }
        throw Problem.noSuchDisk(name)
    }

    /// The whole disk with this name, if it is the one that the caller means.
    func findDisk(_ name: String, ifMatch: DiskTag?) throws(Problem) -> Disk {
        let (disk, device) = try find(name)
        guard device.partitionNumber == 0 else {
            throw Problem(
                .usage, "'\(name)' is a partition; this verb takes the whole disk, '\(disk.name)'", errno: "EINVAL",
                disk: disk.name, diskseq: disk.sequence)
        }
        if let ifMatch, !ifMatch.accepts(tag(of: disk)) {
            throw Problem(
                .changed,
                "'\(name)' is not the disk that was meant: it has the tag \(tag(of: disk).text), "
                    + "asked for was \(ifMatch.text); look at it again with 'platter show \(name)'",
                disk: disk.name, diskseq: disk.sequence)
        }
        return disk
    }
}

extension Duration {
    /// Seconds as a number, for documents that people read.
    public var asSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// Disks whose removal waits for openers and whose end is to be logged.
final class PendingRemovals: Sendable {
    private let disks = Lock<Set<UInt64>>([])

    /// False: it is among them already.
    func insert(_ identity: UInt64) -> Bool { disks.withLock { $0.insert(identity).inserted } }
    func remove(_ identity: UInt64) { disks.withLock { _ = $0.remove(identity) } }
}
