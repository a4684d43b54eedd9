// SPDX-License-Identifier: Apache-2.0

/// One edit of a table, as a user asks for it.
public enum TableEdit: Sendable, Equatable {
    /// An empty table; unless it is forced, what is there must have no partitions, and nothing else may be there.
    case make(PartitionLabel, isForced: Bool)
    /// A partition; on a disk without a table, one of this kind is made first. Then nothing else may be there unless it
    /// is forced.
    case create(NewPartition, PartitionLabel?, isForced: Bool = false)
    /// Takes partitions out.
    case delete([Int])
    /// Another size in logical blocks; nil: as much as there is.
    case resize(Int, UInt64?)
    /// Another name.
    case rename(Int, String)
    /// To a GPT; of a GPT, its backup to the end of the disk.
    case convertToGPT
    /// What a script of sfdisk's says; on a disk without a table nothing may be unless it is forced.
    case apply(String, isForced: Bool = false)

    /// What it does to a disk. Nothing is written.
    ///
    /// - Parameter shape: of the disk that `source` reads.
    /// - Throws: ``TableEditError``: it cannot be done, in one line.
    public func change(
        on source: inout some PartitionSource, shape: DiskShape, using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> TableChange {
        guard shape.blocks > 0 else { throw TableEditError("the disk has no block", isNoRoom: true) }
        let old = scanPartitions(&source)
        if !isForced { try refuseLoss(of: old, &source, shape) }
        var draft = try draft(of: &source, old, shape, using: &generator)
        switch self {
        case .make, .apply: break
        case .create(let wish, _, _): try draft.create(wish, using: &generator)
        case .delete(let numbers): try draft.delete(numbers)
        case .resize(let number, let count): try draft.resize(number, to: count)
        case .rename(let number, let name): try draft.rename(number, to: name)
        case .convertToGPT: try draft.convertToGPT(using: &generator)
        }
        let change = try draft.change(on: &source)
        if !isForced, draft.isNew, isBare(old) { try refuseOverwriting(change, old, &source) }
        return change
    }

    /// The table to begin with.
    private func draft(
        of source: inout some PartitionSource, _ old: PartitionScan, _ shape: DiskShape,
        using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> PartitionTableDraft {
        switch self {
        case .make(let label, _):
            return try PartitionTableDraft.empty(label, on: &source, shape: shape, using: &generator)
        case .apply(let text, let isForced):
            return try PartitionScript(text).draft(
                on: &source, shape: shape, keepsTable: !isForced || isTable(old), using: &generator)
        case .create(_, let label, let isForced):
            if !isForced || isTable(old), let draft = try PartitionTableDraft.read(&source, shape: shape) {
                guard label == nil || label == draft.label else {
                    throw TableEditError("it has a table of the kind \(draft.label.rawValue) already")
                }
                return draft
            }
            return try PartitionTableDraft.empty(label ?? .gpt, on: &source, shape: shape, using: &generator)
        default:
            guard let draft = try PartitionTableDraft.read(&source, shape: shape) else {
                throw TableEditError("it has no partition table")
            }
            return draft
        }
    }
}

// MARK: - What is there already

extension TableEdit {
    private var isForced: Bool {
        switch self {
        case .make(_, let isForced), .create(_, _, let isForced), .apply(_, let isForced): isForced
        default: true
        }
    }

    private var isMake: Bool { if case .make = self { true } else { false } }

    private func isTable(_ old: PartitionScan) -> Bool { old.error == nil && old.table != nil }

    /// Whether the disk may hold something else than the table that a scan has found: there is none, or one that every
    /// boot sector with a mark looks like.
    private func isBare(_ old: PartitionScan) -> Bool {
        old.table == nil || old.table != .gpt && old.entries.isEmpty && (isMake || old.table == .dos)
    }

    /// Tables with partitions, and what is known by a mark of its own.
    private func refuseLoss(
        of old: PartitionScan, _ source: inout some PartitionSource, _ shape: DiskShape
    ) throws(TableEditError) {
        if case .create = self {
            // A table that cannot be read is refused when it is read.
        } else if old.error != nil {
            throw TableEditError("it has a table that cannot be read, which would be lost: --force writes over it")
        }
        if isMake {
            var count = old.entries.count
            if old.table == .gpt, case .gpt(let form) = try PartitionTableDraft.read(&source, shape: shape)?.form {
                count += form.opaque.count
            }
            guard count == 0 else {
                throw TableEditError(
                    "it has a table with \(count == 1 ? "a partition" : "\(count) partitions"), which would be lost: "
                        + "--force writes over it")
            }
        }
        guard isBare(old) else { return }
        // An MBR with a signature is one that was made as such.
        let isMBR = old.table == .dos && old.tableID != nil && !isMake
        if let what = DiskContents.found(on: &source, isBootOnly: isMBR) {
            throw TableEditError("it has no table but \(what), which would be lost: --force writes over it")
        }
    }

    /// What is not known, but stands where the table is to be.
    private func refuseOverwriting(
        _ change: TableChange, _ old: PartitionScan, _ source: inout some PartitionSource
    ) throws(TableEditError) {
        for write in change.groups.joined() {
            guard let bytes = source.read(sector: write.offset / 512, count: write.bytes.count / 512) else {
                throw TableEditError("sector \(write.offset / 512) cannot be read")
            }
            // The boot code of an MBR without partitions stays, and its slots are empty.
            let from = write.offset == 0 && old.table == .dos ? 512 : 0
            guard let at = bytes.indices.first(where: { $0 >= from && bytes[$0] != 0 && bytes[$0] != write.bytes[$0] })
            else { continue }
            throw TableEditError(
                "it has no table but something in sector \(write.offset / 512 + UInt64(at / 512)), which would be lost: "
                    + "--force writes over it")
        }
    }
}
