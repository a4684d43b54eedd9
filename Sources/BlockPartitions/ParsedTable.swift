// SPDX-License-Identifier: Apache-2.0

/// A parser's answer.
enum Verdict {
    /// The disk is this format's, even if it holds no partition; nil if it holds no table either.
    case claimed(ParsedTable?)
    case notMine
    /// A sector that decides it cannot be read.
    case error(sector: UInt64)
}

/// A table as it stands on the disk, before the end of the disk is considered.
struct ParsedTable {
    let kind: PartitionTableKind
    let id: String?
    var slots = SlotTable()
}

/// A partition and its place in the table.
struct ParsedPartition {
    enum Role: Equatable {
        case plain
        /// Holds logical partitions over `extent` sectors, of which only the first are shown.
        case container(extent: UInt64)
        case logical
    }

    var entry: PartitionEntry
    var role = Role.plain
}
