// SPDX-License-Identifier: Apache-2.0

package import BlockControl
import CSmartcols

/// The columns of `list`: those of lsblk that a disk can fill, with its names, widths and texts, and a few of ours.
package struct DiskColumn: Sendable {
    /// What a cell is in JSON.
    package enum Kind: Sendable { case text, number, size, flag }

    /// `MAJ:MIN`.
    package let name: String
    /// A share of the line below 1, else characters.
    let width: Double
    let kind: Kind
    let help: String
    private var flags: Int32 = 0
    private let value: @Sendable (DeviceForest.Node) -> String?

    private init(
        _ name: String, _ width: Double, _ help: String, as kind: Kind = .text, flags: Int = 0,
        node value: @escaping @Sendable (DeviceForest.Node) -> String?
    ) {
        self.name = name
        self.width = width
        self.kind = kind
        self.help = help
        self.value = value
        self.flags = Int32(flags)
    }

    private init(
        _ name: String, _ width: Double, _ help: String, as kind: Kind = .text, flags: Int = 0,
        _ value: @escaping @Sendable (DeviceModel) -> String?
    ) {
        self.init(name, width, help, as: kind, flags: flags, node: { value($0.device) })
    }

    /// One that an attribute fills; of a partition without it, that of its disk.
    private init(
        _ name: String, _ width: Double, _ help: String, as kind: Kind = .text, flags: Int = 0, of path: String
    ) {
        self.init(name, width, help, as: kind, flags: flags, node: { $0.attribute(path) })
    }

    /// What libsmartcols is told of it.
    var smartcolsFlags: Int32 { kind == .text ? flags : flags | Int32(SCOLS_FL_RIGHT) }

    /// The text of a cell; nil: there is nothing to say.
    func cell(_ node: DeviceForest.Node, _ style: DiskTable.Style) -> String? {
        guard let text = value(node) else { return nil }
        switch kind {
        case .size: return style.inBytes ? text : UInt64(text).map { Units.short($0) } ?? text
        case .text where style.hasPaths && (name == "NAME" || name == "KNAME" || name == "PKNAME"):
            return "/dev/" + text
        case .text where name == "MAJ:MIN" && !style.isForPrograms: return DiskColumn.aligned(text)
        default: return text
        }
    }

    /// Whether one line stands before another that is sorted by this column: numbers by their value, and what has none
    /// first.
    package func isBefore(_ one: DeviceForest.Node, _ other: DeviceForest.Node) -> Bool {
        let (one, other) = (value(one), value(other))
        if name == "MAJ:MIN" { return DiskColumn.pair(one).lexicographicallyPrecedes(DiskColumn.pair(other)) }
        if kind == .text { return Array((one ?? "").utf8).lexicographicallyPrecedes(Array((other ?? "").utf8)) }
        return one.flatMap { Int64($0) } ?? 0 < other.flatMap { Int64($0) } ?? 0
    }

    private static func pair(_ number: String?) -> [Int] { (number ?? "").split(separator: ":").map { Int($0) ?? 0 } }

    /// The colons in one place, as lsblk has them.
    private static func aligned(_ number: String) -> String {
        let parts = number.split(separator: ":")
        guard parts.count == 2 else { return number }
        return String(repeating: " ", count: max(0, 3 - parts[0].count)) + number
            + String(repeating: " ", count: max(0, 3 - parts[1].count))
    }

    /// In the order of lsblk's `-O`, then ours.
    package static let all: [DiskColumn] =
        (sizes + names + partitionColumns + queue).sorted { $0.name < $1.name } + ours

    /// What is shown where nothing is asked for.
    static let standard = ["NAME", "MAJ:MIN", "RM", "SIZE", "RO", "TYPE", "DISKSEQ", "STATE", "DRIVER"]
    /// Those of `-t`.
    static let topology = [
        "NAME", "ALIGNMENT", "MIN-IO", "OPT-IO", "PHY-SEC", "LOG-SEC", "ROTA", "SCHED", "RQ-SIZE", "WSAME",
    ]

    /// Those of `-D`.
    static let discard = ["NAME", "DISC-ALN", "DISC-GRAN", "DISC-MAX", "DISC-ZERO"]
    /// By which lines are sorted where nothing else is asked for.
    package static let numbers = DiskColumn("MAJ:MIN", 6, "major:minor device number") { device in device.majMin }

    private static let sizes: [DiskColumn] = [
        DiskColumn("ALIGNMENT", 6, "alignment offset", as: .number, of: "alignment_offset"),
        DiskColumn("DISC-ALN", 6, "discard alignment offset", as: .number, of: "discard_alignment"),
        DiskColumn("DISC-GRAN", 6, "discard granularity", as: .size, of: "queue/discard_granularity"),
        DiskColumn("DISC-MAX", 6, "discard max bytes", as: .size, of: "queue/discard_max_bytes"),
        DiskColumn("DISC-ZERO", 1, "discard zeroes data", as: .flag, of: "queue/discard_zeroes_data"),
        DiskColumn("LOG-SEC", 6, "logical sector size", as: .number, of: "queue/logical_block_size"),
        DiskColumn("MIN-IO", 6, "minimum I/O size", as: .number, of: "queue/minimum_io_size"),
        DiskColumn("OPT-IO", 6, "optimal I/O size", as: .number, of: "queue/optimal_io_size"),
        DiskColumn("PHY-SEC", 6, "physical sector size", as: .number, of: "queue/physical_block_size"),
    ]

    private static let names: [DiskColumn] = [
        DiskColumn("KNAME", 0.3, "name") { device in device.name },
        numbers,
        DiskColumn("MODEL", 0.1, "device identifier", flags: SCOLS_FL_TRUNC, of: "device/model"),
        DiskColumn("NAME", 0.25, "device name", flags: SCOLS_FL_NOEXTREMES) { device in device.name },
        DiskColumn("PATH", 0.3, "path to the device node") { device in "/dev/" + device.name },
        DiskColumn("PKNAME", 0.3, "name of the disk of a partition, or of what it stands on", node: { $0.parent }),
        DiskColumn("REV", 4, "device revision", flags: SCOLS_FL_RIGHT, of: "device/rev"),
        DiskColumn("SERIAL", 0.1, "disk serial number", flags: SCOLS_FL_TRUNC, of: "device/serial"),
        DiskColumn("TYPE", 4, "device type") { device in device.type },
        DiskColumn("VENDOR", 0.1, "device vendor", flags: SCOLS_FL_TRUNC, of: "device/vendor"),
        DiskColumn("WWN", 18, "unique storage identifier", of: "device/wwid"),
    ]

    private static let partitionColumns: [DiskColumn] = [
        DiskColumn("PARTFLAGS", 36, "partition flags") { device in device.partFlags },
        DiskColumn("PARTLABEL", 0.1, "partition LABEL", flags: SCOLS_FL_TRUNC) { device in device.partLabel },
        DiskColumn("PARTTYPE", 36, "partition type code or UUID") { device in device.partType },
        DiskColumn("PARTUUID", 36, "partition UUID") { device in device.partUUID },
        DiskColumn("PTTYPE", 0.1, "partition table type") { device in device.partitionTable },
        DiskColumn("START", 5, "partition start offset", as: .number, of: "start"),
    ]

    private static let queue: [DiskColumn] = [
        DiskColumn("HOTPLUG", 1, "removable or hotplug device", as: .flag) { device in device.removable ? "1" : "0" },
        DiskColumn("RM", 1, "removable device", as: .flag) { device in device.removable ? "1" : "0" },
        DiskColumn("RO", 1, "read-only device", as: .flag) { device in device.readOnly ? "1" : "0" },
        DiskColumn("ROTA", 1, "rotational device", as: .flag, of: "queue/rotational"),
        DiskColumn("RQ-SIZE", 5, "request queue size", as: .number, of: "queue/nr_requests"),
        DiskColumn(
            "SCHED", 0.1, "I/O scheduler name",
            node: { $0.attribute("queue/scheduler").map { $0.filter { $0 != "[" && $0 != "]" } } }),
        DiskColumn("SIZE", 5, "size of the device", as: .size) { device in "\(device.size)" },
        DiskColumn("STATE", 5, "state of the disk") { device in device.state },
        DiskColumn("WSAME", 6, "write same max bytes", as: .size, of: "queue/write_same_max_bytes"),
        DiskColumn("ZONED", 0.3, "zone model", of: "queue/zoned"),
    ]

    private static let ours: [DiskColumn] = [
        DiskColumn("DISKSEQ", 3, "disk sequence number", as: .number) { device in "\(device.diskseq)" },
        DiskColumn("DRIVER", 5, "driver of the disk") { device in device.driver },
        DiskColumn("OPENERS", 3, "open handles", as: .number) { device in "\(device.openers)" },
    ]

    /// The columns of a list: `NAME,SIZE`, or `+WWN` for some behind the standard ones.
    /// - Throws: ``Problem`` for a name that is none of them, and for none.
    package static func parse(_ text: String, behind standard: [String]) throws(Problem) -> [DiskColumn] {
        let isMore = text.hasPrefix("+")
        let names = text.dropFirst(isMore ? 1 : 0).split(separator: ",").map(String.init)
        guard !names.isEmpty else {
            throw Problem(
                .usage, "'\(text)' names no column; 'platter list --help' has those there are", errno: "EINVAL")
        }
        var found: [DiskColumn] = []
        for name in (isMore ? standard : []) + names {
            let column = try one(name)
            if !found.contains(where: { $0.name == column.name }) { found.append(column) }
        }
        return found
    }

    /// The column with this name.
    /// - Throws: ``Problem`` where there is none.
    package static func one(_ name: String) throws(Problem) -> DiskColumn {
        guard let column = all.first(where: { $0.name == name.uppercased() }) else {
            throw Problem(
                .usage, "there is no column '\(name)'; 'platter list --help' has those there are", errno: "EINVAL")
        }
        return column
    }

    /// The columns with these names.
    static func named(_ names: [String]) -> [DiskColumn] {
        names.compactMap { name in all.first { $0.name == name } }
    }
}

extension DeviceForest.Node {
    /// What an attribute says; of a partition without it, what that of its disk says.
    func attribute(_ path: String) -> String? { device.sysfs?[path] ?? disk?.sysfs?[path] }

    /// Without what hangs under it.
    var alone: DeviceForest.Node {
        var alone = self
        alone.children = []
        return alone
    }
}
