// SPDX-License-Identifier: Apache-2.0

/// The kinds of partition table that a scan knows, in blkid's words.
public enum PartitionTableKind: String, Sendable {
    /// A GUID partition table.
    case gpt
    /// A master boot record, with logical partitions.
    case dos
}
