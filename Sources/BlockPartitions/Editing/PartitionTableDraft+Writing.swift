// SPDX-License-Identifier: Apache-2.0

extension PartitionTableDraft {
    /// The writes that make the disk have this table, read back before anything is written.
    ///
    /// What is on the disk already is left out. The result is read by our own rules: a table that would not be read as
    /// it is meant is refused.
    ///
    /// - Parameter source: the disk as it is.
    public func change(
        on source: inout some PartitionSource
    ) throws(TableEditError) -> TableChange {
        var groups: [[TableWrite]]
        switch form {
        case .gpt(let form):
            try form.check(partitions, shape)
            groups = form.groups(partitions, shape)
        case .dos(let form): groups = form.groups(partitions, shape)
        }
        if wipes { groups.insert([wipe()], at: 0) }
        var whole: [[TableWrite]] = []
        var after = WrittenSource(base: source)
        for group in groups {
            var kept: [TableWrite] = []
            for write in group {
                guard let write = try completed(write, &after) else { continue }
                after.write(write)
                kept.append(write)
            }
            if !kept.isEmpty { whole.append(kept) }
        }
        let scan = scanPartitions(&after)
        source = after.base
        try check(scan, capacity: source.capacity)
        return TableChange(groups: whole, scan: scan, notes: notes)
    }

    /// The first sectors of a disk with another kind of table, which would be found before the new one.
    private func wipe() -> TableWrite {
        let bytes = min(64 * 512, Int(shape.blocks) * shape.blockSize) / shape.blockSize * shape.blockSize
        return TableWrite(
            offset: 0, bytes: [UInt8](repeating: 0, count: max(bytes, shape.blockSize)), what: "what was there before")
    }

    /// In whole blocks, with what is beside it; nil if that is on the disk already.
    private func completed<Source>(
        _ write: TableWrite, _ source: inout WrittenSource<Source>
    ) throws(TableEditError) -> TableWrite? {
        let sectors = (write.bytes.count + shape.blockSize - 1) / shape.blockSize * Int(shape.scale)
        guard var bytes = source.read(sector: write.offset / 512, count: sectors) else {
            throw TableEditError("sector \(write.offset / 512) cannot be read")
        }
        let old = bytes
        bytes.put(write.bytes, at: 0)
        return bytes == old ? nil : TableWrite(offset: write.offset, bytes: bytes, what: write.what)
    }

    /// Whether a scan says what is meant.
    private func check(_ scan: PartitionScan, capacity: UInt64) throws(TableEditError) {
        func refuse(_ what: String) -> TableEditError {
            TableEditError("the new table would not be read as it is meant (\(what)): nothing is written")
        }
        guard scan.error == nil, scan.table == (label == .gpt ? .gpt : .dos) else {
            throw refuse("as \(scan.table?.rawValue ?? "none")")
        }
        // What begins past the end of the disk was there before, and stays unseen.
        let seen = partitions.filter { $0.start < capacity / shape.scale }
        for one in seen {
            guard let entry = scan.entries.first(where: { $0.number == one.number }) else {
                throw refuse("partition \(one.number) is missing")
            }
            let size = one.count * shape.scale
            let hasSize = entry.size == size || one.isExtended || one.end > shape.blocks
            guard entry.start == one.start * shape.scale, hasSize, entry.type == one.type else {
                throw refuse("partition \(one.number) is another one")
            }
            guard label == .dos || entry.name ?? "" == one.name && entry.uuid == one.uuid else {
                throw refuse("partition \(one.number) has another name")
            }
        }
        var hasOddChain = false
        if case .dos(let form) = form { hasOddChain = form.oddity != nil }
        guard hasOddChain || scan.entries.filter({ $0.nested == nil }).count == seen.count else {
            throw refuse("with \(scan.entries.count) partitions")
        }
    }
}

/// A disk with some writes over it.
struct WrittenSource<Base: PartitionSource>: PartitionSource {
    var base: Base
    private var sectors: [UInt64: [UInt8]] = [:]

    init(base: Base) { self.base = base }

    var capacity: UInt64 { base.capacity }
    var logicalBlockSize: Int { base.logicalBlockSize }

    mutating func write(_ write: TableWrite) {
        for index in 0..<write.bytes.count / 512 {
            sectors[write.offset / 512 + UInt64(index)] = Array(write.bytes[index * 512..<index * 512 + 512])
        }
    }

    mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        let range = sector..<sector + UInt64(count)
        if range.allSatisfy({ sectors[$0] != nil }) { return range.flatMap { sectors[$0] ?? [] } }
        guard var bytes = base.read(sector: sector, count: count), bytes.count == count * 512 else { return nil }
        for (index, number) in range.enumerated() {
            if let written = sectors[number] { bytes.put(written, at: index * 512) }
        }
        return bytes
    }
}
