// SPDX-License-Identifier: Apache-2.0

/// A GPT that is edited, without its partitions: where its copies are, and every byte that is not understood.
struct GPTForm: Equatable {
    /// Which copy is good, and so is written last.
    enum Standing: Equatable {
        /// Neither: the table is new, and whatever is on the disk counts until sector 0 is written.
        case neither
        case primary
        case backup
    }

    var standing: Standing
    /// Sector 0: boot code, and a protective or a hybrid MBR.
    var record: [UInt8]
    /// The header of the copy that was read, one block; places and sums are filled in when it is written.
    var header: [UInt8]
    /// All entries as they were read: what is not understood stays.
    var entries: [UInt8]
    var entriesBlock: UInt64 = 2
    var backupBlock: UInt64
    var backupEntriesBlock: UInt64
    /// A header that is to go when the new ones are there: the backup's, when it moves.
    var staleBlock: UInt64?
    /// Whether a backup was read where it is said to be; else what stands there is nobody's to wipe.
    var hasBackup = false
    /// Slots that hold something which is no partition; they keep it.
    var opaque: Set<Int> = []
    /// The blocks of those that have any, by number: they are nobody else's.
    var reserved: [Int: Range<UInt64>] = [:]
    /// The partitions as they were read, by number.
    var read: [Int: DraftPartition] = [:]

    var entryCount: Int { entries.count / GPTHeader.entrySize }
    var firstUsable: UInt64 {
        get { TableBytes(header[...]).u64(at: 40) }
        set { header.put(newValue, at: 40) }
    }
    var lastUsable: UInt64 {
        get { TableBytes(header[...]).u64(at: 48) }
        set { header.put(newValue, at: 48) }
    }
    var identity: String { guidText(TableBytes(header[56..<72])) }

    /// The blocks of so many entries.
    static func tableBlocks(_ entryCount: Int, _ shape: DiskShape) -> UInt64 {
        (UInt64(entryCount * GPTHeader.entrySize) + UInt64(shape.blockSize) - 1) / UInt64(shape.blockSize)
    }

    /// An empty table.
    ///
    /// - Parameter record: sector 0 with the boot code that stays.
    init(
        new shape: DiskShape, identity: String?, entryCount: Int, record: [UInt8],
        using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) {
        let table = Self.tableBlocks(entryCount, shape)
        guard shape.blocks > 2 * table + 3 else {
            throw TableEditError(
                "a GPT of \(entryCount) entries needs \(2 * table + 4) blocks of \(shape.blockSize) bytes, "
                    + "the disk has \(shape.blocks)", isNoRoom: true)
        }
        guard let guid = guidBytes(identity ?? randomGUID(using: &generator)) else {
            throw TableEditError("'\(identity ?? "")' is no GUID: a GPT's identity is one")
        }
        standing = .neither
        self.record = record
        header = [UInt8](repeating: 0, count: shape.blockSize)
        header.put("EFI PART".utf8, at: 0)
        header.put(UInt32(0x0001_0000), at: 8)
        header.put(UInt32(92), at: 12)
        header.put(guid, at: 56)
        header.put(UInt32(GPTHeader.entrySize), at: 84)
        entries = [UInt8](repeating: 0, count: entryCount * GPTHeader.entrySize)
        backupBlock = shape.blocks - 1
        backupEntriesBlock = backupBlock - table
        firstUsable = 2 + table
        lastUsable = backupEntriesBlock - 1
        protect(shape)
    }

    /// Makes sector 0 a protective MBR; the boot code stays.
    mutating func protect(_ shape: DiskShape) {
        let slot: [UInt8] = [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]
        record.put([UInt8](repeating: 0, count: 66), at: 0x1BE)
        record.put(slot, at: 0x1BE)
        record.put(UInt32(1), at: 0x1C6)
        record.put(UInt32(clamping: shape.blocks - 1), at: 0x1CA)
        record.put(UInt16(0xAA55), at: 0x1FE)
    }

    /// Whether sector 0 has nothing but the one protective slot.
    var isPlainlyProtected: Bool {
        let slots = BootRecord(TableBytes(record[...])).slots
        return slots[0].isProtective && slots[0].start == 1 && slots[1...].allSatisfy { $0.type == 0 && !$0.isUsed }
    }

    /// Puts the backup at the end of the disk, where what has grown has room for partitions.
    mutating func moveBackup(_ shape: DiskShape) throws(TableEditError) {
        let end = shape.blocks - 1
        let table = Self.tableBlocks(entryCount, shape)
        guard end > table + firstUsable else {
            throw TableEditError("the disk has no room for a backup of its GPT", isNoRoom: true)
        }
        if hasBackup, backupBlock < end - table { staleBlock = backupBlock }
        (backupBlock, backupEntriesBlock) = (end, end - table)
        lastUsable = backupEntriesBlock - 1
        if isPlainlyProtected { record.put(UInt32(clamping: end), at: 0x1CA) }
    }
}

// MARK: - Entries

extension GPTForm {
    /// The partitions in the entries. What cannot be one by our own rules stays where it is, untouched.
    mutating func takePartitions(_ shape: DiskShape) -> [DraftPartition] {
        var partitions: [DraftPartition] = []
        for index in 0..<entryCount {
            let offset = index * GPTHeader.entrySize
            let entry = GPTEntry(bytes: TableBytes(entries[offset..<offset + GPTHeader.entrySize]))
            guard entry.isUsed else { continue }
            guard entry.first <= entry.last, entry.last < shape.blocks, index < PartitionScanLimits.number else {
                opaque.insert(index + 1)
                if entry.first <= entry.last, entry.first < shape.blocks {
                    reserved[index + 1] = entry.first..<min(entry.last, .max - 1) + 1
                }
                continue
            }
            partitions.append(
                DraftPartition(
                    number: index + 1, start: entry.first, count: entry.last - entry.first + 1, type: entry.type,
                    uuid: entry.uuid, name: entry.name(.platter) ?? "", attributes: entry.attributes))
        }
        read = Dictionary(uniqueKeysWithValues: partitions.map { ($0.number, $0) })
        return partitions
    }

    /// The entries with these partitions. Of one that did not change no byte does.
    func filled(with partitions: [DraftPartition]) -> [UInt8] {
        var bytes = entries
        let size = GPTHeader.entrySize
        for number in read.keys where !partitions.contains(where: { $0.number == number }) {
            bytes.put([UInt8](repeating: 0, count: size), at: (number - 1) * size)
        }
        for one in partitions where read[one.number] != one && one.number <= entryCount {
            let offset = (one.number - 1) * size
            bytes.put(guidBytes(one.type) ?? [], at: offset)
            bytes.put(guidBytes(one.uuid ?? "") ?? [], at: offset + 16)
            bytes.put(one.start, at: offset + 32)
            bytes.put(one.end - 1, at: offset + 40)
            bytes.put(one.attributes, at: offset + 48)
            guard read[one.number]?.name != one.name else { continue }
            bytes.put([UInt8](repeating: 0, count: 72), at: offset + 56)
            for (index, unit) in one.name.utf16.prefix(36).enumerated() { bytes.put(unit, at: offset + 56 + 2 * index) }
        }
        return bytes
    }
}

// MARK: - Writing

extension GPTForm {
    /// One copy: its entries, then its header, which makes them count.
    private func copy(
        _ what: String, at own: UInt64, other: UInt64, entries table: [UInt8], at entriesBlock: UInt64,
        _ shape: DiskShape
    ) -> [TableWrite] {
        var bytes = header
        bytes.put(own, at: 24)
        bytes.put(other, at: 32)
        bytes.put(entriesBlock, at: 72)
        bytes.put(UInt32(entryCount), at: 80)
        bytes.put(CRC32(of: table[...]).value, at: 88)
        bytes.put(UInt32(0), at: 16)
        let length = Int(TableBytes(bytes[...]).u32(at: 12))
        bytes.put(CRC32(of: bytes.prefix(length)).value, at: 16)
        let size = UInt64(shape.blockSize)
        let padding = Int(Self.tableBlocks(entryCount, shape) * size) - table.count
        return [
            TableWrite(
                offset: entriesBlock * size, bytes: table + [UInt8](repeating: 0, count: padding),
                what: "\(what) entries"),
            TableWrite(offset: own * size, bytes: bytes, what: "\(what) GPT header"),
        ]
    }

    /// The writes in their order: the copy that is good now comes last, and sector 0, which may make all of it count,
    /// after both.
    func groups(_ partitions: [DraftPartition], _ shape: DiskShape) -> [[TableWrite]] {
        let table = filled(with: partitions)
        let primary = copy("primary", at: 1, other: backupBlock, entries: table, at: entriesBlock, shape)
        let backup = copy("backup", at: backupBlock, other: 1, entries: table, at: backupEntriesBlock, shape)
        var groups = standing == .backup ? [primary, backup] : [backup, primary]
        // In a copy the entries come first: a header without its entries is none.
        groups = groups.flatMap { [[$0[0]], [$0[1]]] }
        groups.append([TableWrite(offset: 0, bytes: record, what: "protective MBR")])
        if let staleBlock, !partitions.contains(where: { $0.start <= staleBlock && staleBlock < $0.end }) {
            groups.append([
                TableWrite(
                    offset: staleBlock * UInt64(shape.blockSize), bytes: [UInt8](repeating: 0, count: shape.blockSize),
                    what: "old backup GPT header")
            ])
        }
        return groups
    }
}
