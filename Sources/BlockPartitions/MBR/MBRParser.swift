// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// Reads the master boot record and the chains of its extended partitions.
    mutating func parseMBR() -> Verdict {
        guard let bytes = reader.sector(0) else { return .error(sector: 0) }
        let record = BootRecord(bytes)
        if record.looksLikeAIX, let label = reader.sector(7), label.bytes.starts(with: "_LVM".utf8) {
            warnings.add("sector 0: an AIX disk, which is not read")
            return .notMine
        }
        guard record.isMarked else { return .notMine }
        if let odd = record.slots.firstIndex(where: { !$0.hasSaneBootByte }) {
            // A file system on the whole disk: nobody else must read its boot code as a table.
            return odd == 0 && record.looksLikeFAT ? .claimed(nil) : .notMine
        }
        guard !record.slots.contains(where: \.isProtective) else { return .notMine }
        return .claimed(partitions(of: record))
    }

    private mutating func partitions(of record: BootRecord) -> ParsedTable {
        let signature = record.signature
        var table = ParsedTable(kind: .dos, id: signature == 0 ? nil : hex(signature, digits: 8))
        var chain = ExtendedChain(signature: signature, scale: reader.sectorsPerBlock)
        for (index, slot) in record.slots.enumerated() where slot.isUsed {
            let number = index + 1
            let start = UInt64(slot.start) * reader.sectorsPerBlock
            let size = UInt64(slot.count) * reader.sectorsPerBlock
            guard slot.isExtended else {
                let entry = PartitionEntry(number: number, start: start, size: size, slot: slot, signature: signature)
                table.slots.enter(ParsedPartition(entry: entry))
                continue
            }
            // Only the boot record shows, and room for a boot loader: the logical ones are reached by their own names.
            let shown = min(size, max(reader.sectorsPerBlock, 2))
            var entry = PartitionEntry(number: number, start: start, size: shown, slot: slot, signature: signature)
            entry.uuid = nil
            table.slots.enter(ParsedPartition(entry: entry, role: .container(extent: size)))
            chain.walk(number, start: start, size: size, into: &table.slots, scanner: &self)
        }
        return table
    }
}

extension PartitionEntry {
    /// The partition of a slot, at the place that the caller worked out.
    init(number: Int, start: UInt64, size: UInt64, slot: BootSlot, signature: UInt32) {
        self.init(
            number: number, start: start, size: size, type: "0x" + hex(slot.type),
            uuid: "\(hex(signature, digits: 8))-\(hex(number, digits: 2))", isBootable: slot.bootByte == 0x80,
            isRAID: slot.type == 0xFD)
    }
}
