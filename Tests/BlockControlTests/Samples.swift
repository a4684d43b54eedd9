// SPDX-License-Identifier: Apache-2.0

import BlockControl

/// A filled document of each kind.
enum Samples {
    static let device: DeviceModel = {
        var device = DeviceModel(
            name: "pl0", majMin: "259:0", size: 1 << 20, readOnly: false, type: "disk", diskseq: 7, state: "live",
            driver: "ram", openers: 1, uppers: ["pl3"], lowers: ["pl1", "pl2p1"])
        device.children = [partition]
        return device
    }()
    static let partition: DeviceModel = {
        var device = DeviceModel(
            name: "pl0p1", majMin: "259:1", size: 512, readOnly: true, type: "part", diskseq: 7, state: "live",
            driver: "ram")
        device.start = 2048
        device.partType = "0x83"
        device.partUUID = "12345678-01"
        device.partLabel = "root"
        device.partitionTable = "gpt"
        device.partFlags = "0x80"
        device.sysfs = ["start": "2048"]
        return device
    }()
    static let list = DeviceList(blockdevices: [device])
    static let opener = OpenerModel(
        device: "pl0", opener: "nbd", mode: "rw", claim: false, pid: 42, uid: 1000, program: "nbdcopy",
        address: "127.0.0.1:4", since: 1_795_232_466.5, inFlight: 3, holder: "pl3")
    static let ledger = LedgerModel(
        accepted: 9, ok: 4, failed: 2, aborted: 1, quarantined: 1, inFlight: 1, timedOut: 1, expired: 1, late: 1,
        refused: 5, driverFaults: 1)
    static let export = ExportModel(
        id: "1", kind: "nbd", device: "pl0", name: "pl0", uri: "nbd://localhost/pl0", readOnly: false)
    static let exports = ExportList(exports: [export])
    static let mounts = MountList(mounts: [MountModel(id: "1", path: "/mnt", sysroot: false)])
    static let detail: DiskDetail = {
        var detail = DiskDetail(
            device: device, instance: "abc", generation: "1f", removal: "hide", profile: ["style": "inline"],
            settings: ["ro": "off"], holders: [opener], statistics: [StatisticsModel(device: "pl0")], ledger: ledger,
            exports: [export], notes: ["a note"])
        detail.latencies = [latency]
        detail.errors = ["ioError": 2]
        detail.settingsStale = true
        detail.hidden = true
        detail.node = node
        detail.parent = "pci0000:00"
        detail.attributes = ["serial": "7"]
        (detail.freezeDepth, detail.parked, detail.waiting) = (2, 32, 1)
        return detail
    }()
    static let latency = LatencyModel(
        operation: "read", count: 9, p50: 0.001, p90: 0.002, p99: 0.003, p999: 0.004, max: 0.005)
    static let attributes = AttributeList(
        device: "pl0", diskseq: 7,
        attributes: [AttributeModel(path: "size", readable: true, writable: false, value: "8")])
    static let node = NodeModel(path: "vdisk/a", mode: 0o640, uid: 0, gid: 6)
    static let removal: RemovalModel = {
        var model = RemovalModel(
            outcome: "removed", disk: "pl0", diskseq: 7, mode: "surprise", requestedMode: "surprise", state: "gone")
        model.durationSeconds = 0.0032
        model.inFlight = 128
        model.parked = 2
        model.failed = 130
        model.failedWriteBytes = 524_288
        model.unflushedBytes = 4096
        model.flush = "skipped"
        model.openers = [opener]
        model.notes = ["a note"]
        return model
    }()
    static let medium = MediumModel(
        disk: "sd0", diskseq: 8, size: 1 << 20, table: "gpt", partitions: ["sd0p1"], warnings: ["w"],
        unflushedBytes: 512,
        openers: [opener])
    static let stoppedTrace = StoppedTrace(device: "pl0", wasTraced: true)
    static let quarantine = QuarantineList(
        quarantine: [QuarantineModel(disk: "pl0", diskseq: 7, driver: "null", ios: 3, bytes: 12_288, since: 1.5)])
    static let health = HealthModel(
        status: "ok", instance: "abc", version: "0.1.0", pid: 1, disks: 2, uptimeSeconds: 3.5)
    static let event = EventModel(
        seqnum: 12, action: "add", devpath: "/devices/virtual/block/pl0/pl0p1", devname: "pl0p1",
        devtype: "partition", major: 259, minor: 1, diskseq: 7, partn: 1, partname: "root", partuuid: "u", time: 1.5,
        properties: ["RESIZE": "1"], environment: ["ACTION=add"])
    static let providers = ProviderList(
        providers: [ProviderModel(pattern: "a*", driver: "ram", parameters: ["size": .one("1M")])])
    static let rescan = RescanModel(
        disk: "pl0", diskseq: 7, table: "gpt", partitions: ["pl0p1"], added: ["pl0p1"], removed: [], warnings: ["w"])
    static let table = PartitionTableModel(
        table: "gpt", sectorSize: 512,
        partitions: [
            PartitionTableModel.Entry(
                number: 1, start: 2048, size: 204_800, type: "0fc63daf-8483-4772-8e79-3d69d8477de4", uuid: "x",
                name: nil)
        ], warnings: [])
    static let tableChange = TableChangeModel(
        disk: "pl0", dryRun: true, writes: [TableChangeModel.Write(offset: 512, length: 512, what: "x")], table: table,
        notes: ["n"], added: ["pl0p1"], removed: ["pl0p2"])
    static let tableEdit: TableEditRequest = {
        var request = TableEditRequest(edit: "create")
        request.table = "gpt"
        (request.number, request.numbers, request.start, request.size) = (1, [1], 1 << 20, 1 << 20)
        (request.type, request.uuid, request.name) = ("linux", "u", "root")
        (request.bootable, request.script, request.force, request.dryRun) = (true, "", false, true)
        return request
    }()
    static let problem = Problem(
        .busy, "disk 'pl0' is in use", errno: "EBUSY", disk: "pl0", diskseq: 7, openers: [opener], report: removal)
}

/// The testing library has one too.
typealias ExitStatus = BlockControl.ExitStatus
