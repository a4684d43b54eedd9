// SPDX-License-Identifier: Apache-2.0

/// How to decide where Linux and Platter differ.
///
/// | | `platter` | `kernel` |
/// |---|---|---|
/// | primary GPT header is bad | the backup in the last block is read, with a warning | no partitions |
/// | GPT names | true UTF-16 | seven bits of each unit, `!` for what does not print |
/// | no table, and a read failed | an error | an error if sector 0 or a read past the end failed |
/// | warnings about what is used as it stands (overlaps, the backup, …) | yes | no |
public enum PartitionPolicy: String, Sendable, CaseIterable {
    /// Prefers the data: what can be read safely is read, and what is odd is told.
    case platter
    /// Gives what Linux gives, except for sizes that wrap: those are no partition.
    case kernel
}
