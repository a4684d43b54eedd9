// SPDX-License-Identifier: Apache-2.0

/// One edit of a table, as a user asks for it.
public enum TableEdit: Sendable, Equatable {
    /// An empty table; what is there must have no partitions unless it is forced.
    case make(PartitionLabel, isForced: Bool)
    /// A partition; on a disk without a table, one of this kind is made first.
    case create(NewPartition, PartitionLabel?)
    /// Takes partitions out.
    case delete([Int])
    /// Another size in logical blocks; nil: as much as there is.
    case resize(Int, UInt64?)
    /// Another name.
    case rename(Int, String)
    /// To a GPT; of a GPT, its backup to the end of the disk.
    case convertToGPT
    /// What a script of sfdisk's says.
    case apply(String)

    /// What it does to a disk. Nothing is written.
    ///
    /// - Parameter shape: of the disk that `source` reads.
    /// - Throws: ``TableEditError``: it cannot be done, in one line.
    public func change(
        on source: inout some PartitionSource, shape: DiskShape, using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> TableChange {
        guard shape.blocks > 0 else { throw TableEditError("the disk has no block", isNoRoom: true) }
        var draft = try draft(of: &source, shape, using: &generator)
        switch self {
        case .make, .apply: break
        case .create(let wish, _): try draft.create(wish, using: &generator)
        case .delete(let numbers): try draft.delete(numbers)
        case .resize(let number, let count): try draft.resize(number, to: count)
        case .rename(let number, let name): try draft.rename(number, to: name)
        case .convertToGPT: try draft.convertToGPT(using: &generator)
        }
        return try draft.change(on: &source)
    }

    /// The table to begin with.
    private func draft(
        of source: inout some PartitionSource, _ shape: DiskShape, using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> PartitionTableDraft {
        switch self {
        case .make(let label, let isForced):
            let old = scanPartitions(&source)
            guard isForced || old.error == nil && old.entries.isEmpty else {
                throw TableEditError(
                    old.error == nil
                        ? "it has a table with \(old.entries.count) partitions, which would be lost"
                        : "it has a table that cannot be read, which would be lost")
            }
            return try PartitionTableDraft.empty(label, on: &source, shape: shape, using: &generator)
        case .apply(let text):
            return try PartitionScript(text).draft(on: &source, shape: shape, using: &generator)
        case .create(_, let label):
            if let draft = try PartitionTableDraft.read(&source, shape: shape) {
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
