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
        if wipes { groups = replacing(groups) }
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

    /// The writes in place of another kind of table, which may be anywhere in the first 64 sectors.
    ///
    /// Sector 0 comes as soon as the new table can be read, from the backup of a GPT: what is written over the old table
    /// then leaves the new one. The rest of it, which may be found before the new one, goes last.
    private func replacing(_ groups: [[TableWrite]]) -> [[TableWrite]] {
        var groups = groups
        guard let place = groups.lastIndex(where: { $0.contains { $0.offset == 0 } }) else { return groups }
        var record = groups.remove(at: place)
        let size = shape.blockSize
        record[0].bytes += [UInt8](repeating: 0, count: max(size - record[0].bytes.count, 0))
        groups.insert(record, at: label == .gpt ? 2 : place)
        let writes = groups.joined().map { write in
            write.offset / UInt64(size)..<(write.offset + UInt64(write.bytes.count + size - 1)) / UInt64(size)
        }
        let rest = (1..<max(min(UInt64(64 * 512 / size), shape.blocks), 1)).filter { block in
            !writes.contains { $0.contains(block) }
        }
        groups.append(
            rest.map { block in
                TableWrite(
                    offset: block * UInt64(size), bytes: [UInt8](repeating: 0, count: size),
                    what: "what was there before")
            })
        return groups
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
