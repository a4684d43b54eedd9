// SPDX-License-Identifier: Apache-2.0

extension PartitionScript {
    /// The table that the script describes, in place of the partitions that are there.
    ///
    /// Without a header `label` the table that is there keeps its kind and identity, and a disk without one gets an MBR,
    /// as with sfdisk.
    ///
    /// - Parameter keepsTable: whether what is on the disk is read as a table; false: a new one takes its place.
    func draft(
        on source: inout some PartitionSource, shape: DiskShape, keepsTable: Bool = true,
        using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> PartitionTableDraft {
        // Nothing at all is a pipe that broke more often than a wish.
        guard !isEmpty else {
            throw TableEditError("the script describes nothing: an empty table is 'label: gpt' or 'label: dos'")
        }
        var shape = shape
        if let sectorSize, sectorSize != shape.blockSize {
            throw TableEditError("the script is for sectors of \(sectorSize) bytes, the disk has \(shape.blockSize)")
        }
        if let grain { shape.grain = max(grain / UInt64(shape.blockSize), 1) }
        var draft = try begin(&source, shape, keepsTable, using: &generator)
        if draft.label == .dos {
            guard entryCount == nil, firstBlock == nil, lastBlock == nil else {
                throw TableEditError("an MBR has no table-length, first-lba or last-lba")
            }
            if let line = lines.first(where: { $0.uuid != nil || $0.name != nil }) {
                throw TableEditError("line \(line.row) of the script: the partitions of an MBR have no uuid or name")
            }
        }
        for line in lines {
            do throws(TableEditError) {
                try draft.create(try wish(line, draft), using: &generator)
            } catch {
                let which = line.number.map { " (partition \($0))" } ?? ""
                throw TableEditError(
                    "line \(line.row) of the script\(which): \(error.reason)", isNoRoom: error.isNoRoom)
            }
        }
        return draft
    }

    private var isEmpty: Bool {
        lines.isEmpty && label == nil && identity == nil && entryCount == nil && sectorSize == nil
            && firstBlock == nil && lastBlock == nil
    }

    private func begin(
        _ source: inout some PartitionSource, _ shape: DiskShape, _ keepsTable: Bool,
        using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> PartitionTableDraft {
        if label == nil, keepsTable, var draft = try PartitionTableDraft.read(&source, shape: shape) {
            try draft.delete(draft.partitions.map(\.number))
            draft.notes = []
            try changeHeaders(of: &draft)
            return draft
        }
        var draft = try PartitionTableDraft.empty(
            label ?? .dos, on: &source, shape: shape, identity: identity, entryCount: entryCount ?? 128,
            using: &generator)
        if case .gpt(var form) = draft.form {
            try limit(&form, form.firstUsable...form.lastUsable)
            draft.form = .gpt(form)
        }
        return draft
    }

    /// What the headers of the script say of a table that stays.
    private func changeHeaders(of draft: inout PartitionTableDraft) throws(TableEditError) {
        switch draft.form {
        case .gpt(var form):
            if let identity {
                guard let guid = guidBytes(identity) else {
                    throw TableEditError("'\(identity)' is no GUID: a GPT's identity is one")
                }
                form.header.put(guid, at: 56)
            }
            if let entryCount, entryCount != form.entryCount {
                throw TableEditError(
                    "the GPT has \(form.entryCount) entries, not \(entryCount): with 'label: gpt' a new one is made")
            }
            let table = GPTForm.tableBlocks(form.entryCount, draft.shape)
            let least = max(2, form.entriesBlock < form.backupEntriesBlock ? form.entriesBlock + table : 2)
            // As far as its own pieces leave room, and no further than it said before where they are elsewhere.
            let most = max(form.lastUsable, form.backupEntriesBlock > least ? form.backupEntriesBlock - 1 : 0)
            try limit(&form, min(least, form.firstUsable)...max(most, form.firstUsable))
            draft.form = .gpt(form)
        case .dos(var form):
            if let identity { form.record.put(try MBRForm.signature(identity), at: 0x1B8) }
            draft.form = .dos(form)
        }
    }

    /// Sets the usable blocks, as far as they may go.
    private func limit(_ form: inout GPTForm, _ possible: ClosedRange<UInt64>) throws(TableEditError) {
        if let firstBlock { form.firstUsable = max(firstBlock, possible.lowerBound) }
        if let lastBlock { form.lastUsable = min(lastBlock, possible.upperBound) }
        guard form.firstUsable <= form.lastUsable else {
            throw TableEditError("first-lba comes after last-lba")
        }
    }

    private func wish(_ line: Line, _ draft: PartitionTableDraft) throws(TableEditError) -> NewPartition {
        let shape = draft.shape
        let size = UInt64(shape.blockSize)
        var wish = NewPartition()
        wish.number = line.number
        switch line.start {
        case .blocks(let blocks): wish.start = blocks
        case .bytes(let bytes): wish.start = (bytes + size - 1) / size
        case nil: break
        }
        switch line.size {
        case .blocks(let blocks): wish.count = blocks
        case .bytes(let bytes): wish.count = draft.rounded((bytes + size - 1) / size, from: wish.start)
        case nil: break
        }
        wish.type = line.type
        wish.uuid = line.uuid
        wish.name = line.name
        wish.attributes = line.attributes
        wish.isBootable = line.isBootable
        return wish
    }
}

extension PartitionTableDraft {
    /// A size that was given in bytes: it ends at the multiple of the grain that is nearest, as sfdisk has it.
    fileprivate func rounded(_ count: UInt64, from start: UInt64?) -> UInt64 {
        // A chosen place begins at such a multiple.
        let start = start ?? 0
        guard start <= shape.blocks, count <= shape.blocks else { return count }
        let end = (start + count + shape.grain / 2) / shape.grain * shape.grain
        guard end > start, shape.grain > 1 else { return count }
        // Where that is taken, the size is what was said.
        let isFree = start == 0 || gaps(isLogical: false).contains { $0.contains(start) && end <= $0.upperBound }
        return isFree ? end - start : count
    }
}
