// SPDX-License-Identifier: Apache-2.0

/// What a scan found.
public struct PartitionScan: Sendable, Equatable {
    /// The kind of the table, nil if there is none.
    ///
    /// A disk that begins with a FAT boot sector has none: it is a file system without partitions.
    public var table: PartitionTableKind?

    /// The table's own identity: a GPT's disk GUID, an MBR's signature as 8 hex digits if it is not 0, a volume's name.
    public var tableID: String?

    /// The partitions in ascending number, cut and dropped at the end of the disk as Linux does.
    public var entries: [PartitionEntry]

    /// One line for each thing that was odd: it names the entry and says what was done.
    ///
    /// There are at most 257 of them; the last one then counts those left out.
    public var warnings: [String]

    /// Why no table was recognised, if something could not be read or is broken.
    public var error: PartitionScanError?

    /// What each format that was asked had to say, in that order; empty unless it was asked for.
    public var trace: [ProbeTrace] = []

    /// A scan of these values; by default one that found nothing.
    public init(
        table: PartitionTableKind? = nil, tableID: String? = nil, entries: [PartitionEntry] = [],
        warnings: [String] = [], error: PartitionScanError? = nil
    ) {
        self.table = table
        self.tableID = tableID
        self.entries = entries
        self.warnings = warnings
        self.error = error
    }
}

/// Why a scan cannot say whether there is a table.
public enum PartitionScanError: Error, Sendable, Equatable {
    /// A sector that a table needs cannot be read: it is bad, hidden by a bad one beside it, or beyond the end.
    case unreadable(sector: UInt64)
    /// A table bears the marks of its kind and is broken, and no other kind claims the disk.
    case malformed(PartitionTableKind, reason: String)
    /// The source has blocks that are not 512, 1024, 2048 or 4096 bytes.
    case unsupportedBlockSize(Int)
}

extension PartitionScanError: CustomStringConvertible {
    /// The error in one line.
    public var description: String {
        switch self {
        case .unreadable(let sector): "sector \(sector) cannot be read"
        case .malformed(let kind, let reason): "the \(kind.rawValue) table is broken: \(reason)"
        case .unsupportedBlockSize(let size): "blocks of \(size) bytes are not supported"
        }
    }
}
