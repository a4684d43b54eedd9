// SPDX-License-Identifier: Apache-2.0

/// Walks the chains of extended boot records, and numbers the logical partitions from 5 on.
///
/// ```
/// E = start of the extended partition
/// E                        E + link                 E + link'
/// [record | data ........ ][record | data ........ ][record | data ... ]
///    \ data: from here on     \ link: from E on, always
/// ```
///
/// Links may go anywhere, backwards too; the walk ends by its counts. 100 records in a row without data end it, and
/// data uses up numbers, so a loop with data makes partitions up to 255, and one without makes none.
struct ExtendedChain {
    let signature: UInt32

    /// Sectors in a logical block.
    let scale: UInt64

    /// The number of the next logical partition; the chains of all extended partitions share it.
    private(set) var next = 5

    private static let recordsWithoutData = 100

    init(signature: UInt32, scale: UInt64) {
        self.signature = signature
        self.scale = scale
    }

    /// The extended partition of which the chain is walked.
    private struct Container {
        let number: Int
        let start: UInt64
        let size: UInt64

        func holds(_ position: UInt64, _ count: UInt64) -> Bool {
            position >= start && position + count <= start + size
        }
    }

    /// Enters the logical partitions of extended partition `number`.
    ///
    /// Every position is a sum of at most three 32-bit numbers times 8: none can overflow.
    mutating func walk<Source>(
        _ number: Int, start: UInt64, size: UInt64, into slots: inout SlotTable,
        scanner: inout PartitionScanner<Source>
    ) {
        let container = Container(number: number, start: start, size: size)
        var position = start
        var room = size
        var withoutData = 0
        while withoutData < Self.recordsWithoutData {
            guard next <= PartitionScanLimits.number else {
                scanner.warnings.add("partition \(number): no numbers are left for its other logical partitions")
                return
            }
            guard let record = record(at: position, of: container, scanner: &scanner) else { return }
            let dataBefore = next
            enterData(of: record, at: position, room: room, container, into: &slots, warnings: &scanner.warnings)
            withoutData = next == dataBefore ? withoutData + 1 : 0
            guard let link = record.slots.first(where: { $0.isUsed && $0.isExtended }) else { return }
            position = start + UInt64(link.start) * scale
            room = UInt64(link.count) * scale
            if scanner.policy == .platter, !container.holds(position, 1) {
                scanner.warnings.add("partition \(number): its chain leaves it for sector \(position): followed")
            }
        }
        scanner.warnings.add(
            "partition \(number): \(Self.recordsWithoutData) boot records in a row without data: the chain ends there")
    }

    /// The boot record at `position`, nil with a warning where the chain breaks.
    private func record<Source>(
        at position: UInt64, of container: Container, scanner: inout PartitionScanner<Source>
    ) -> BootRecord? {
        guard let bytes = scanner.reader.sector(position) else {
            let reason =
                scanner.reader.isExhausted
                ? "would be read past the limit of \(PartitionScanLimits.bytes) bytes" : "cannot be read"
            scanner.warnings.add(
                "partition \(container.number): the boot record at sector \(position) \(reason): the chain ends there")
            return nil
        }
        let record = BootRecord(bytes)
        guard record.isMarked else {
            scanner.warnings.add(
                "partition \(container.number): sector \(position) is no boot record: the chain ends there")
            return nil
        }
        return record
    }

    /// Enters the data slots of one boot record as long as there are numbers.
    private mutating func enterData(
        of record: BootRecord, at position: UInt64, room: UInt64, _ container: Container,
        into slots: inout SlotTable, warnings: inout WarningList
    ) {
        for (index, slot) in record.slots.enumerated() where slot.isUsed && !slot.isExtended {
            guard next <= PartitionScanLimits.number else { return }
            let offset = UInt64(slot.start) * scale
            let size = UInt64(slot.count) * scale
            // Slots 3 and 4 have no use in a chain, and often hold what was there before.
            guard index < 2 || (offset + size <= room && container.holds(position + offset, size)) else {
                warnings.add(
                    "partition \(container.number): slot \(index + 1) of the boot record at sector \(position) "
                        + "points outside: ignored")
                continue
            }
            let entry = PartitionEntry(
                number: next, start: position + offset, size: size, slot: slot, signature: signature)
            slots.enter(ParsedPartition(entry: entry, role: .logical))
            next += 1
        }
    }
}
