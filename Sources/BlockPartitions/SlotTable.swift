// SPDX-License-Identifier: Apache-2.0

/// The numbered slots that a parser fills: 256 of them, where number 0 is the disk; libblkid has no limit.
struct SlotTable {
    /// The slots in use, by ascending number: most tables fill them in that order.
    private(set) var inOrder: [ParsedPartition] = []
    let limit: Int

    init(limit: Int = PartitionScanLimits.number) {
        self.limit = limit
    }

    /// Puts a partition into the slot of its number, in place of what was there. Other numbers are ignored.
    mutating func enter(_ partition: ParsedPartition) {
        let number = partition.entry.number
        guard (1...limit).contains(number) else { return }
        var (low, high) = (0, inOrder.count)
        if let last = inOrder.last, last.entry.number < number { low = high }
        while low < high {
            let middle = (low + high) / 2
            if inOrder[middle].entry.number < number { low = middle + 1 } else { high = middle }
        }
        if low < inOrder.count, inOrder[low].entry.number == number {
            inOrder[low] = partition
        } else {
            inOrder.insert(partition, at: low)
        }
    }

    /// Whether nothing was entered.
    var isEmpty: Bool { inOrder.isEmpty }

    /// The partitions in ascending number, fitted to a disk of `capacity` sectors.
    ///
    /// One without a size or beyond the end is dropped; one that reaches past the end is cut. One whose end is past
    /// 2^64 is dropped, except by the kernel's rules: its sum wraps, and may then seem to fit.
    /// - Invariant: except for the latter each lies on the disk: `start + size <= capacity`, and `size` is not 0.
    func partitions(
        capacity: UInt64, policy: PartitionPolicy, warnings: inout WarningList
    ) -> [ParsedPartition] {
        guard policy != .blkid else { return inOrder }
        var fitting: [ParsedPartition] = []
        for var partition in inOrder where partition.entry.size > 0 {
            let entry = partition.entry
            let (end, wraps) = entry.start.addingReportingOverflow(entry.size)
            guard !wraps || policy == .kernel else {
                warnings.add("partition \(entry.number): its end is past 2^64: dropped")
                continue
            }
            guard entry.start < capacity else {
                warnings.add(
                    "partition \(entry.number): starts at sector \(entry.start), the disk has \(capacity): dropped")
                continue
            }
            let room = capacity - entry.start
            if end > capacity {
                warnings.add(
                    "partition \(entry.number): \(entry.size) sectors reach past the end of the disk: cut to \(room)")
                partition.entry.size = room
            }
            fitting.append(partition)
        }
        return fitting
    }
}
