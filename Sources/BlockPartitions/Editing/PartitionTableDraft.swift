// SPDX-License-Identifier: Apache-2.0

/// A table that is edited: read from a disk or new, changed, and then turned into writes.
///
/// What is not understood is kept byte for byte: boot code, a hybrid MBR, attribute bits, entries past the 128th or of
/// no sense, what stands behind the fields of a header, where the backup of a GPT is.
public struct PartitionTableDraft: Sendable, Equatable {
    enum Form: Equatable, Sendable {
        case gpt(GPTForm)
        case dos(MBRForm)
    }

    /// The disk.
    public internal(set) var shape: DiskShape
    /// The partitions, by ascending number; of an MBR the extended and the logical ones, too.
    public internal(set) var partitions: [DraftPartition]
    var form: Form
    /// What the user should know, a line each.
    public internal(set) var notes: [String] = []

    /// Which table it is.
    public var label: PartitionLabel {
        switch form {
        case .gpt: .gpt
        case .dos: .dos
        }
    }

    // MARK: Reading

    /// The table that is on a disk; nil if there is none at all.
    ///
    /// - Throws: ``TableEditError`` for a table that is not written here, or one with a fault that an edit would seal.
    public static func read(
        _ source: inout some PartitionSource, shape: DiskShape
    ) throws(TableEditError) -> PartitionTableDraft? {
        let scan = scanPartitions(&source)
        if let error = scan.error { throw TableEditError("the table on it cannot be read: \(error)") }
        switch scan.table {
        case .gpt: return try readGPT(&source, shape)
        case .dos: return try readMBR(&source, shape, scan)
        case nil:
            guard let record = source.read(sector: 0, count: 1) else {
                throw TableEditError("sector 0 cannot be read")
            }
            let boot = BootRecord(TableBytes(record[...]))
            guard !boot.isMarked || !boot.slots.contains(where: \.isProtective) else {
                throw TableEditError("it has a protective MBR, and both copies of its GPT are bad")
            }
            return nil
        case .some(let kind):
            throw TableEditError("it has a table of the kind \(kind.rawValue), which is read here and not written")
        }
    }

    private static func readGPT(
        _ source: inout some PartitionSource, _ shape: DiskShape
    ) throws(TableEditError) -> PartitionTableDraft {
        guard let record = source.read(sector: 0, count: 1), var found = FoundGPT(&source, shape) else {
            throw TableEditError("its GPT cannot be read a second time")
        }
        if let doubt = found.doubt { throw TableEditError(doubt) }
        found.form.record = record
        let partitions = found.form.takePartitions(shape)
        var draft = PartitionTableDraft(shape: shape, partitions: partitions, form: .gpt(found.form))
        draft.notes = found.notes
        return draft
    }

    private static func readMBR(
        _ source: inout some PartitionSource, _ shape: DiskShape, _ scan: PartitionScan
    ) throws(TableEditError) -> PartitionTableDraft {
        guard let record = source.read(sector: 0, count: 1) else { throw TableEditError("sector 0 cannot be read") }
        var form = MBRForm(record)
        let partitions = form.takePartitions(shape) { block in source.read(sector: block * shape.scale, count: 1) }
        form.reserved = scan.entries.compactMap { entry in
            guard form.oddity != nil, entry.number > 4, entry.nested == nil else { return nil }
            let end = (entry.start + entry.size + shape.scale - 1) / shape.scale
            return entry.start / shape.scale..<max(end, entry.start / shape.scale)
        }
        return PartitionTableDraft(shape: shape, partitions: partitions, form: .dos(form))
    }

    /// An empty table, in place of whatever is on the disk.
    ///
    /// The boot code stays if the disk has an MBR or a GPT now.
    ///
    /// - Parameters:
    ///   - identity: of the table, a GUID or 8 hex digits; nil: a new one.
    ///   - entryCount: how many partitions a GPT has room for.
    public static func empty(
        _ label: PartitionLabel, on source: inout some PartitionSource, shape: DiskShape, identity: String? = nil,
        entryCount: Int = 128, using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> PartitionTableDraft {
        let old = scanPartitions(&source)
        guard let sector = source.read(sector: 0, count: 1) else { throw TableEditError("sector 0 cannot be read") }
        // The boot sector of a FAT is no boot code.
        let isFAT = DiskContents.looksLikeFAT(BootRecord(TableBytes(sector[...])))
        let keepsCode = old.table == .gpt || old.table == .dos && !isFAT
        let record = keepsCode ? sector : [UInt8](repeating: 0, count: 512)
        guard (1...32768).contains(entryCount) else {
            throw TableEditError("a GPT has 1 to 32768 entries, not \(entryCount)")
        }
        let form: Form
        switch label {
        case .gpt:
            form = .gpt(
                try GPTForm(new: shape, identity: identity, entryCount: entryCount, record: record, using: &generator))
        case .dos:
            var signature: UInt32?
            if let identity { signature = try MBRForm.signature(identity) }
            var mbr = MBRForm(new: record, signature: signature, using: &generator)
            if var gpt = FoundGPT(&source, shape)?.form {
                // Only what was read as a header, and lies in no partition of the old table.
                let old = gpt.takePartitions(shape)
                mbr.staleBlocks = (gpt.standing == .primary ? [1] : []) + (gpt.hasBackup ? [gpt.backupBlock] : [])
                mbr.staleBlocks.removeAll { block in old.contains { $0.start <= block && block < $0.end } }
            }
            form = .dos(mbr)
        }
        var draft = PartitionTableDraft(shape: shape, partitions: [], form: form)
        draft.wipes = !keepsCode && (old.table != nil && old.table != .dos || old.error != nil)
        draft.isNew = true
        return draft
    }

    /// The table takes the place of whatever is on the disk.
    var isNew = false

    /// The first sectors hold another kind of table, which is to be gone.
    var wipes = false

    init(shape: DiskShape, partitions: [DraftPartition], form: Form) {
        self.shape = shape
        self.partitions = partitions
        self.form = form
    }

    /// The partition of that number.
    func partition(_ number: Int) throws(TableEditError) -> DraftPartition {
        if let one = partitions.first(where: { $0.number == number }) { return one }
        if case .dos(let form) = form, number > 4, let oddity = form.oddity { throw Self.oddChain(oddity) }
        let numbers = partitions.map { String($0.number) }
        throw TableEditError(
            "there is no partition \(number); there "
                + (numbers.isEmpty
                    ? "are none" : "\(numbers.count == 1 ? "is" : "are") \(numbers.joined(separator: ", "))"))
    }

    static func oddChain(_ oddity: String) -> TableEditError {
        TableEditError("the logical partitions are not edited: \(oddity), and an edit would lose what is in it")
    }
}

/// The valid copy of a GPT on a disk, and where the other one belongs.
private struct FoundGPT {
    var form: GPTForm
    var notes: [String] = []
    /// Why the bad copy cannot be made anew.
    var doubt: String?

    init?(_ source: inout some PartitionSource, _ shape: DiskShape) {
        guard shape.blocks > 1 else { return nil }
        let last = shape.blocks - 1
        var reader = PageReader(source)
        let primary = Self.copy(&reader, at: 1, last)
        var places = [primary?.header.alternateBlock, Self.alternate(&reader), last].compactMap { $0 }
        places = places.filter { $0 > 1 && $0 <= last }
        let backups = places.compactMap { place in Self.copy(&reader, at: place, last).map { (place, $0) } }
        defer { source = reader.source }
        guard let good = primary ?? backups.first?.1 else { return nil }
        let own = primary == nil ? backups[0].0 : 1
        guard let bytes = reader.block(own)?.bytes else { return nil }
        let table = GPTForm.tableBlocks(good.header.entryCount, shape)
        let backup = primary == nil ? own : places.first ?? last
        form = GPTForm(
            header: Array(bytes), entries: Array(good.entries.bytes), backupBlock: backup,
            standing: primary == nil ? .backup : .primary)
        if primary == nil {
            let place = Self.entriesBlock(of: good, table, &reader, last)
            if place == nil {
                doubt =
                    "its primary GPT is bad, and blocks 2 to \(1 + table) hold something that is not its entries: "
                    + "zero them if nobody needs it"
            }
            form.entriesBlock = place ?? 2
        } else {
            form.entriesBlock = good.header.entriesBlock
        }
        let other = backups.first { $0.0 == backup }?.1.header
        form.hasBackup = other != nil
        form.backupEntriesBlock = other?.entriesBlock ?? backup - min(table, backup)
        // Where nothing of the other copy is left, its place must be free.
        if primary == nil { notes.append("the primary GPT was bad: it is made anew from the backup") }
        if primary != nil, other == nil { notes.append("the backup GPT was bad: it is made anew") }
        if backup != last { notes.append("the backup GPT is at block \(backup), not at the last one, \(last)") }
    }

    private static func copy<Source>(_ reader: inout PageReader<Source>, at block: UInt64, _ last: UInt64) -> GPTCopy? {
        guard let bytes = reader.block(block),
            let header = try? GPTHeader(bytes, at: block, lastBlock: last, policy: .platter),
            let entries = reader.read(block: header.entriesBlock, byteCount: header.entryCount * GPTHeader.entrySize),
            CRC32(of: entries.bytes).value == header.entriesChecksum
        else { return nil }
        return GPTCopy(header: header, entries: entries)
    }

    /// Where the entries of a bad primary copy belong: where its header says, where they are, or from block 2 on if they
    /// may be there. Nil: something else is there.
    private static func entriesBlock<Source>(
        of good: GPTCopy, _ table: UInt64, _ reader: inout PageReader<Source>, _ last: UInt64
    ) -> UInt64? {
        let first = good.header.firstUsable
        if let bytes = reader.block(1), let header = try? GPTHeader(bytes, at: 1, lastBlock: last, policy: .platter),
            header.entriesBlock >= 2, header.entryCount == good.header.entryCount
        {
            return header.entriesBlock
        }
        // With no room for anything else before the partitions it is the entries' place, whatever stands there.
        guard first > 2 + table else { return 2 }
        func entries(_ block: UInt64) -> ArraySlice<UInt8>? {
            reader.read(block: block, byteCount: good.header.entryCount * GPTHeader.entrySize)?.bytes
        }
        let places = [2, first - table]
        if let place = places.first(where: { entries($0)?.elementsEqual(good.entries.bytes) == true }) { return place }
        return entries(2)?.allSatisfy { $0 == 0 } == true ? 2 : nil
    }

    /// Where a primary header whose entries are bad says that its backup is.
    private static func alternate<Source>(_ reader: inout PageReader<Source>) -> UInt64? {
        guard let bytes = reader.block(1), let last = reader.lastBlock else { return nil }
        return (try? GPTHeader(bytes, at: 1, lastBlock: last, policy: .platter))?.alternateBlock
    }
}

extension GPTForm {
    fileprivate init(header: [UInt8], entries: [UInt8], backupBlock: UInt64, standing: Standing) {
        self.standing = standing
        record = []
        self.header = header
        self.entries = entries
        self.backupBlock = backupBlock
        backupEntriesBlock = backupBlock
    }

    /// Whether its four pieces lie on the disk, apart from each other and from the usable blocks.
    func check(_ partitions: [DraftPartition], _ shape: DiskShape) throws(TableEditError) {
        let table = Self.tableBlocks(entryCount, shape)
        let pieces = [
            1..<2, entriesBlock..<entriesBlock + table, backupEntriesBlock..<backupEntriesBlock + table,
            backupBlock..<backupBlock + 1,
        ]
        for (index, piece) in pieces.enumerated() {
            guard piece.lowerBound > 0, piece.upperBound <= shape.blocks,
                !pieces[..<index].contains(where: { $0.overlaps(piece) })
            else { throw TableEditError("its GPT has no room for both copies where they belong") }
            if let one = partitions.first(where: { $0.start < piece.upperBound && piece.lowerBound < $0.end }) {
                throw TableEditError("partition \(one.number) lies where the GPT itself belongs")
            }
            // What reaches past the end makes no sense, and lies over the backup as it is.
            let whole = reserved.filter { $0.value.upperBound <= shape.blocks }
            if let one = whole.first(where: { $0.value.overlaps(piece) }) {
                throw TableEditError("entry \(one.key) lies where the GPT itself belongs")
            }
        }
    }
}
