// SPDX-License-Identifier: Apache-2.0

/// A parser's answer.
enum Verdict {
    /// The disk is this format's, even if it holds no partition; nil if it holds no table either.
    case claimed(ParsedTable?)
    /// Why it is not.
    case notMine(String)
    /// A sector that decides it cannot be read.
    case unreadable(sector: UInt64)
    /// It is this format's by its mark, and broken. Others are asked, and the scan fails if none of them claims it.
    case malformed(String)
}

/// A table as it stands on the disk, before the end of the disk is considered.
struct ParsedTable {
    let kind: PartitionTableKind
    var id: String?
    var slots: SlotTable

    init(_ kind: PartitionTableKind, id: String? = nil, policy: PartitionPolicy) {
        self.kind = kind
        self.id = id
        slots = SlotTable(limit: policy == .blkid ? Int.max : PartitionScanLimits.number)
    }

    /// Puts a partition into the slot of its number.
    mutating func enter(_ entry: PartitionEntry) {
        slots.enter(ParsedPartition(entry: entry))
    }

    /// Puts a partition of which the table says no more into the slot of its number.
    mutating func enter(_ number: Int, _ start: UInt64, _ size: UInt64, type: String? = nil) {
        enter(PartitionEntry(number: number, start: start, size: size, type: type))
    }
}

/// What libblkid keeps of a table that it gave up half way.
struct LeftOverPartitions {
    var entries: [PartitionEntry] = []

    /// These and the partitions of a table, of which the numbers go on.
    func before(_ partitions: [ParsedPartition]) -> [PartitionEntry] {
        let shift = entries.last?.number ?? 0
        return entries
            + partitions.map { partition in
                var entry = partition.entry
                entry.number += shift
                return entry
            }
    }
}

/// A partition and its place in the table.
struct ParsedPartition {
    enum Role: Equatable {
        case plain
        /// Holds logical partitions over `extent` sectors, of which only the first are shown.
        case container(extent: UInt64)
        case logical
        /// Stands in the table of the partition of that number.
        case nested(parent: Int)
    }

    var entry: PartitionEntry
    var role = Role.plain
}
