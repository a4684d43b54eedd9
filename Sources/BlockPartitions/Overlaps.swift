// SPDX-License-Identifier: Apache-2.0

/// Warns once for each partition that begins before an earlier one ends. All of them are kept.
///
/// ```
/// 1  |------------------|
/// 2       |----|                  2 overlaps 1
/// 3                 |--------|    3 overlaps 1
/// ```
///
/// Logical partitions lie in their container by nature, and are compared with each other and with plain ones. Those of a
/// nested table, and slots that stand for the whole disk, overlap by nature and are left out.
func warnOfOverlaps(_ partitions: [ParsedPartition], warnings: inout WarningList) {
    var data: [PartitionEntry] = []
    for partition in partitions where !partition.entry.isWholeDisk && !partition.isNested {
        guard case .container(let extent) = partition.role else {
            data.append(partition.entry)
            continue
        }
        for other in partitions where other.role == .plain {
            guard other.entry.overlaps(partition.entry, extent: extent) else { continue }
            warnings.add("partition \(other.entry.number): overlaps extended partition \(partition.entry.number)")
        }
    }
    data.sort { ($0.start, $0.number) < ($1.start, $1.number) }
    guard var furthest = data.first else { return }
    for entry in data.dropFirst() {
        if entry.start - furthest.start < furthest.size {
            warnings.add("partition \(entry.number): overlaps partition \(furthest.number)")
        }
        if entry.start + entry.size > furthest.start + furthest.size {
            furthest = entry
        }
    }
}

extension ParsedPartition {
    /// Lies in another partition by nature.
    fileprivate var isNested: Bool {
        if case .nested = role { true } else { false }
    }
}

extension PartitionEntry {
    /// Whether it shares a sector with a `container` that is `extent` sectors long.
    fileprivate func overlaps(_ container: PartitionEntry, extent: UInt64) -> Bool {
        if start >= container.start {
            start - container.start < extent
        } else {
            container.start - start < size
        }
    }
}
