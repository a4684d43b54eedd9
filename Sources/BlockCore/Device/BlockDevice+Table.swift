// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions

extension BlockDevice {
    /// The life of the registry that it belongs to: with name and DISKSEQ it names a device in a process for ever.
    package var instance: String { disk.registry.instance }

    /// What the disk's partition table says of it, under the keys that udev has for that.
    package var tableProperties: [(key: String, value: String)] {
        var found: [(key: String, value: String)] = []
        if let kind = disk.partitionTable { found.append(("ID_PART_TABLE_TYPE", kind.rawValue)) }
        guard let entry else { return found }
        if let kind = disk.partitionTable { found.append(("ID_PART_ENTRY_SCHEME", kind.rawValue)) }
        found.append(("ID_PART_ENTRY_NUMBER", "\(entry.number)"))
        found.append(("ID_PART_ENTRY_OFFSET", "\(entry.start)"))
        found.append(("ID_PART_ENTRY_SIZE", "\(entry.size)"))
        found.append(("ID_PART_ENTRY_DISK", "\(disk.number.major):\(disk.number.minor)"))
        if let type = entry.type { found.append(("ID_PART_ENTRY_TYPE", type)) }
        if let uuid = entry.uuid { found.append(("ID_PART_ENTRY_UUID", uuid.lowercased())) }
        if let name = entry.name, !name.isEmpty { found.append(("ID_PART_ENTRY_NAME", name)) }
        if let flags = entry.attributes, flags != 0 {
            found.append(("ID_PART_ENTRY_FLAGS", "0x" + String(flags, radix: 16)))
        } else if entry.isBootable {
            found.append(("ID_PART_ENTRY_FLAGS", "0x80"))
        }
        return found
    }
}
