// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Something that happened to a disk or a partition, with the keys of a kernel block event.
public struct DiskEvent: Sendable, Codable, Equatable {
    /// What happened.
    public enum Action: String, Sendable, Codable, CaseIterable {
        case add, remove, change, offline
        /// An export was bound to a device, or taken off it.
        case bind, unbind
        /// Nothing here moves or comes back: only asked for with ``BlockDevice/synthesizeEvent(_:)``.
        case move, online
    }
    /// Counts from 1 in each registry's life, without a gap.
    public var sequence: UInt64
    /// What happened.
    public var action: Action
    /// `pl0`, `pl0p1`.
    public var device: String
    /// The disk it belongs to.
    public var disk: String
    /// `disk` or `partition`.
    public var deviceType: String
    /// The device number.
    public var number: DeviceNumber
    /// The DISKSEQ of its disk.
    public var diskSequence: UInt64
    /// For a partition: its number.
    public var partition: Int?
    /// For a partition: its name in the table.
    public var partitionName: String?
    /// For a partition: its UUID in the table.
    public var partitionUUID: String?
    /// What else there is to say: `RESIZE=1`, `DISK_RO=1`.
    public var extra: [String]
    /// Seconds since 1970.
    public var time: Double
    /// The node that stands for the device, where the driver names one; nil: the device's name.
    public var node: DeviceNode?
    /// What the disk hangs on, as in ``DiskOptions/parent``; nil: nothing.
    public var parent: String?
    /// Of a hidden disk: takes no number and reaches nobody.
    var isSilent = false

    enum CodingKeys: String, CodingKey {
        case sequence, action, device, disk, deviceType, number, diskSequence, partition, partitionName, partitionUUID
        case extra, time, node, parent
    }

    /// Where it would be in sysfs.
    public var path: String {
        let whole = "/devices/\(parent ?? "virtual")/block/\(disk)"
        return partition == nil ? whole : "\(whole)/\(device)"
    }

    /// The keys and values, in the order in which the kernel writes them.
    public var properties: [(key: String, value: String)] {
        var all = [
            ("ACTION", action.rawValue), ("DEVPATH", path), ("SUBSYSTEM", "block"),
        ]
        for text in extra {
            let parts = text.split(separator: "=", maxSplits: 1)
            all.append((String(parts[0]), parts.count > 1 ? String(parts[1]) : ""))
        }
        all += [
            ("MAJOR", String(number.major)), ("MINOR", String(number.minor)), ("DEVNAME", node?.path ?? device),
        ]
        if let mode = node?.mode { all.append(("DEVMODE", "0" + String(mode, radix: 8))) }
        if let user = node?.user { all.append(("DEVUID", String(user))) }
        if let group = node?.group { all.append(("DEVGID", String(group))) }
        all += [("DEVTYPE", deviceType), ("DISKSEQ", String(diskSequence))]
        if let partition { all.append(("PARTN", String(partition))) }
        if let partitionName, !partitionName.isEmpty { all.append(("PARTNAME", onOneLine(partitionName))) }
        if let partitionUUID { all.append(("PARTUUID", partitionUUID)) }
        all.append(("SEQNUM", String(sequence)))
        return all.map { (key: $0.0, value: $0.1) }
    }
}

/// A text from a disk, which may say anything: what would end the line, or move a terminal's cursor, is `!`, as in Linux.
private func onOneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isControl ? "!" : $0 }))
}

extension Unicode.Scalar {
    private static let lineSeparators: ClosedRange<UInt32> = 0x2028...0x2029

    /// Whether it is no letter but an order: C0, C1, delete, and what separates lines.
    fileprivate var isControl: Bool {
        value < 0x20 || (0x7F...0x9F).contains(value) || Self.lineSeparators.contains(value)
    }
}
