// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// Reads the master boot record, the chains of its extended partitions, and the tables inside its partitions.
    mutating func parseMBR() -> Verdict {
        guard let bytes = reader.sector(0) else { return .unreadable(sector: 0) }
        let record = BootRecord(bytes)
        if isAIX(record) {
            warnings.add("sector 0: an AIX disk: not read as an MBR")
            return .notMine("an AIX disk")
        }
        guard record.isMarked else { return .notMine("sector 0 does not end in 55 AA") }
        if let odd = record.slots.firstIndex(where: { !$0.hasSaneBootByte }) {
            // A file system on the whole disk: nobody else must read its boot code as a table.
            if odd == 0 && record.looksLikeFAT { return .claimed(nil) }
            return .notMine("boot byte \(hex(record.slots[odd].bootByte, digits: 2)) in slot \(odd + 1)")
        }
        guard !record.slots.contains(where: \.isProtective) else {
            return .notMine("a slot of type EE announces a GPT")
        }
        var table = ParsedTable(.dos, id: record.identity, policy: policy)
        let next = enterPrimaries(of: record, into: &table)
        enterNested(of: record, into: &table, next: next)
        return .claimed(table)
    }

    /// The first pass: primary and logical partitions. Gives the number after the last one.
    private mutating func enterPrimaries(of record: BootRecord, into table: inout ParsedTable) -> Int {
        let signature = record.signature
        var chain = ExtendedChain(signature: signature, scale: reader.sectorsPerBlock)
        for (index, slot) in record.slots.enumerated() where slot.isUsed {
            let number = index + 1
            let start = UInt64(slot.start) * reader.sectorsPerBlock
            let size = UInt64(slot.count) * reader.sectorsPerBlock
            guard slot.isExtended else {
                table.enter(
                    PartitionEntry(number: number, start: start, size: size, slot: slot, signature: signature))
                continue
            }
            // Only the boot record shows, and room for a boot loader: the logical ones are reached by their own names.
            let shown = min(size, max(reader.sectorsPerBlock, 2))
            var entry = PartitionEntry(number: number, start: start, size: shown, slot: slot, signature: signature)
            entry.uuid = nil
            if size > shown { entry.extent = size }
            table.slots.enter(ParsedPartition(entry: entry, role: .container(extent: size)))
            chain.walk(number, start: start, size: size, into: &table.slots, scanner: &self)
        }
        return chain.next
    }

    /// The second pass: tables inside primary partitions. Logical ones are never looked into.
    private mutating func enterNested(of record: BootRecord, into table: inout ParsedTable, next: Int) {
        var next = next
        for (index, slot) in record.slots.enumerated() where slot.isUsed {
            guard let kind = slot.nestedTable, options.asks(kind) else { continue }
            let parent = NestedParent(
                number: index + 1, type: slot.type, start: UInt64(slot.start) * reader.sectorsPerBlock,
                size: UInt64(slot.count) * reader.sectorsPerBlock)
            for var entry in nestedEntries(kind, in: parent) {
                guard next <= PartitionScanLimits.number else {
                    warnings.add("partition \(parent.number): no numbers are left for those inside it")
                    return
                }
                entry.number = next
                entry.nested = kind
                table.slots.enter(ParsedPartition(entry: entry, role: .nested(parent: parent.number)))
                next += 1
            }
        }
    }

    /// What the table inside a partition holds, in its order; the numbers are the caller's. Nothing if there is none.
    private mutating func nestedEntries(_ kind: PartitionTableKind, in parent: NestedParent) -> [PartitionEntry] {
        switch kind {
        case .bsd: bsdEntries(in: parent)
        case .solaris: solarisEntries(in: parent)
        case .unixware: unixwareEntries(in: parent)
        default: minixEntries(in: parent)
        }
    }
}

/// The partition of an MBR inside which a table is looked for; positions in sectors.
struct NestedParent {
    let number: Int
    let type: UInt8
    let start: UInt64
    let size: UInt64

    /// The sector that lies `offset` sectors after the start.
    func sector(_ offset: UInt64) -> UInt64 { start + offset }

    /// Whether a stretch lies within it.
    func holds(_ from: UInt64, _ count: UInt64) -> Bool {
        from >= start && from &+ count <= start + size && from &+ count >= from
    }
}

extension BootSlot {
    /// The table that partitions of this type hold.
    var nestedTable: PartitionTableKind? {
        switch type {
        case 0xA5, 0xA6, 0xA9: .bsd
        case 0x63: .unixware
        case 0x81: .minix
        case 0x82, 0xBF: .solaris
        default: nil
        }
    }
}

extension BootRecord {
    /// The signature as 8 hex digits, nil if it is 0.
    var identity: String? { signature == 0 ? nil : hex(signature, digits: 8) }
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
