// SPDX-License-Identifier: Apache-2.0

/// The numbered slots 1 to 255 that a parser fills.
struct SlotTable {
    private var slots: [ParsedPartition?] = Array(repeating: nil, count: PartitionScanLimits.number + 1)

    /// Puts a partition into the slot of its number, in place of what was there. Other numbers are ignored.
    mutating func enter(_ partition: ParsedPartition) {
        guard (1...PartitionScanLimits.number).contains(partition.entry.number) else { return }
        slots[partition.entry.number] = partition
    }

    /// The partitions in ascending number, fitted to a disk of `capacity` sectors.
    ///
    /// One without a size, beyond the end, or with an end past 2^64 is dropped; one that reaches past the end is cut.
    /// - Invariant: each of them lies on the disk: `start + size <= capacity`, and `size` is not 0.
    func partitions(capacity: UInt64, warnings: inout WarningList) -> [ParsedPartition] {
        var fitting: [ParsedPartition] = []
        for case var partition? in slots {
            let entry = partition.entry
            guard entry.size > 0 else { continue }
            guard !entry.start.addingReportingOverflow(entry.size).overflow else {
                warnings.add("partition \(entry.number): its end is past 2^64: dropped")
                continue
            }
            guard entry.start < capacity else {
                warnings.add(
                    "partition \(entry.number): starts at sector \(entry.start), the disk has \(capacity): dropped")
                continue
            }
            let room = capacity - entry.start
            if entry.size > room {
                warnings.add(
                    "partition \(entry.number): \(entry.size) sectors reach past the end of the disk: cut to \(room)")
                partition.entry.size = room
            }
            fitting.append(partition)
        }
        return fitting
    }
}
