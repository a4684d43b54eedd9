// SPDX-License-Identifier: Apache-2.0

public import BlockPartitions

/// An edit of a partition table: `POST /v1/disks/NAME/table`.
public struct TableEditRequest: Codable, Sendable, Equatable {
    /// `make`, `create`, `delete`, `resize`, `name`, `convert` or `apply`.
    public var edit: String
    /// `gpt` or `dos`: what to make, to convert to, or to make first for a partition on a disk without a table.
    public var table: String?
    /// The partition, or the number that a new one is to have.
    public var number: Int?
    /// The partitions to delete.
    public var numbers: [Int]?
    /// Where a new partition begins, in bytes; chosen if absent.
    public var start: UInt64?
    /// The size in bytes; as much as there is if absent.
    public var size: UInt64?
    /// The type: a word of sfdisk's, a GUID or two hex digits.
    public var type: String?
    /// The identity of a new partition.
    public var uuid: String?
    /// A name.
    public var name: String?
    /// Whether a new partition is to be booted from.
    public var bootable: Bool?
    /// What sfdisk's script says.
    public var script: String?
    /// Whether `make` may replace a table with partitions, and `make`, `create` and `apply` what a disk without one holds.
    public var force: Bool?
    /// Says what would be written, and writes nothing.
    public var dryRun: Bool?

    enum CodingKeys: String, CodingKey {
        case edit, table, number, numbers, start, size, type, uuid, name, bootable, script, force
        case dryRun = "dry_run"
    }

    /// A request of this kind, without anything else.
    public init(edit: String) { self.edit = edit }

    /// The edit that is asked for.
    ///
    /// - Parameter blockSize: of the disk, in bytes.
    /// - Throws: ``Problem`` of the kind `usage` for what is missing or makes no sense.
    public func tableEdit(blockSize: Int) throws(Problem) -> TableEdit {
        let label = try label()
        switch edit {
        case "make": return .make(try needed(label, "table"), isForced: force ?? false)
        case "create":
            var wish = NewPartition()
            wish.number = number
            wish.start = try blocks(start, "start", blockSize)
            wish.count = try blocks(size, "size", blockSize)
            wish.type = type
            wish.uuid = uuid
            wish.name = name
            wish.isBootable = bootable ?? false
            return .create(wish, label, isForced: force ?? false)
        case "delete": return .delete(try needed(numbers, "numbers"))
        case "resize": return .resize(try needed(number, "number"), try blocks(size, "size", blockSize))
        case "name": return .rename(try needed(number, "number"), try needed(name, "name"))
        case "convert":
            guard try needed(label, "table") == .gpt else {
                throw Problem(.usage, "a table is converted to gpt, not to dos", errno: "EINVAL")
            }
            return .convertToGPT
        case "apply": return .apply(try needed(script, "script"), isForced: force ?? false)
        default:
            throw Problem(
                .usage,
                "there is no edit '\(edit)'; there are make, create, delete, resize, name, convert and apply",
                errno: "EINVAL")
        }
    }

    private func label() throws(Problem) -> PartitionLabel? {
        guard let table else { return nil }
        guard let label = PartitionLabel(rawValue: table == "mbr" ? "dos" : table) else {
            throw Problem(
                .usage, "a table of the kind '\(table)' is not written; gpt and dos are", errno: "EINVAL")
        }
        return label
    }

    private func needed<Value>(_ value: Value?, _ key: String) throws(Problem) -> Value {
        guard let value else { throw Problem(.usage, "'\(edit)' needs '\(key)'", errno: "EINVAL") }
        return value
    }

    private func blocks(_ bytes: UInt64?, _ key: String, _ blockSize: Int) throws(Problem) -> UInt64? {
        guard let bytes else { return nil }
        guard bytes % UInt64(blockSize) == 0 else {
            throw Problem(
                .usage, "the \(key), \(bytes) bytes, is not a multiple of the disk's blocks of \(blockSize)",
                errno: "EINVAL")
        }
        return bytes / UInt64(blockSize)
    }
}

/// What an edit of a table did, or would do.
public struct TableChangeModel: Codable, Sendable, Equatable {
    /// One write.
    public struct Write: Codable, Sendable, Equatable {
        /// Where, in bytes.
        public var offset: UInt64
        /// How many bytes.
        public var length: Int
        /// What it is.
        public var what: String

        /// A write.
        public init(offset: UInt64, length: Int, what: String) {
            self.offset = offset
            self.length = length
            self.what = what
        }
    }

    /// The disk or file.
    public var disk: String
    /// Whether nothing was written.
    public var dryRun: Bool
    /// The writes in their order.
    public var writes: [Write]
    /// The table as it is read now, or would be.
    public var table: PartitionTableModel
    /// What the user should know, a line each.
    public var notes: [String]
    /// Devices that are new; of a disk.
    public var added: [String]
    /// Devices that are gone; of a disk.
    public var removed: [String]

    enum CodingKeys: String, CodingKey {
        case disk
        case dryRun = "dry_run"
        case writes, table, notes, added, removed
    }

    /// What a change does to a disk or a file.
    public init(
        disk: String, dryRun: Bool, _ change: TableChange, sectorSize: Int, added: [String] = [],
        removed: [String] = []
    ) {
        self.init(
            disk: disk, dryRun: dryRun,
            writes: change.groups.joined().map { Write(offset: $0.offset, length: $0.bytes.count, what: $0.what) },
            table: PartitionTableModel(change.scan, sectorSize: sectorSize), notes: change.notes, added: added,
            removed: removed)
    }

    /// A change of these parts.
    public init(
        disk: String, dryRun: Bool, writes: [Write], table: PartitionTableModel, notes: [String], added: [String],
        removed: [String]
    ) {
        self.disk = disk
        self.dryRun = dryRun
        self.writes = writes
        self.table = table
        self.notes = notes
        self.added = added
        self.removed = removed
    }
}
