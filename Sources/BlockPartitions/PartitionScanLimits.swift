// SPDX-License-Identifier: Apache-2.0

/// Bounds of every scan, whatever is on the disk.
public enum PartitionScanLimits {
    /// The most that one scan reads from its source, in bytes.
    ///
    /// A GPT of the greatest size needs 8 MiB and six pages for both its copies. An MBR whose chain of extended boot
    /// records is longer than 4000 pages is cut short with a warning; Linux would go on for up to 100 MiB. No real
    /// disk comes near: 251 logical partitions take 251 pages.
    public static let bytes = 16 << 20

    /// The most reads that one scan makes of its source.
    public static let reads = 4096

    /// The most reads of a disk on which there is no table.
    public static let readsOfEmptyDisk = 24

    /// The greatest partition number, but for libblkid, which has no limit.
    public static let number = 255
}
