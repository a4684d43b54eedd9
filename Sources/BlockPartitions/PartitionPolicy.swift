// SPDX-License-Identifier: Apache-2.0

/// How to decide where Linux, libblkid and Platter differ.
///
/// | | `platter` | `kernel` | `blkid` |
/// |---|---|---|---|
/// | formats asked | all but Cumana and PowerTec | all | those that libblkid knows, in its order |
/// | primary GPT header is bad | the backup in the last block is read, with a warning | no partitions | the backup |
/// | GPT names | true UTF-16 | seven bits of each unit, `!` for what does not print | true UTF-16 |
/// | past the end of the disk | cut or dropped | cut or dropped | as it stands |
/// | start and size wrap 64 bits | dropped | as it stands | as it stands |
/// | no table, and a read failed | an error | an error, also past the end | an error, and later formats are not asked |
/// | a disk too small for a format | not that format | an error | not that format |
/// | warnings about what is used as it stands (overlaps, the backup, …) | yes | no | no |
public enum PartitionPolicy: String, Sendable, CaseIterable {
    /// Prefers the data: what can be read safely is read, and what is odd is told.
    case platter
    /// Gives what Linux gives with every format built in.
    case kernel
    /// Gives what libblkid 2.38 gives.
    case blkid
}
