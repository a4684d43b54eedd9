// SPDX-License-Identifier: Apache-2.0

/// What a scan reads from.
///
/// The scan trusts nothing it is handed: an answer of the wrong length counts as a failed read.
public protocol PartitionSource {
    /// The size in sectors of 512 bytes; a trailing part of a sector does not count.
    var capacity: UInt64 { get }

    /// The size of a logical block in bytes: 512, 1024, 2048 or 4096.
    var logicalBlockSize: Int { get }

    /// Reads `count` sectors of 512 bytes from `sector` on.
    ///
    /// Returns nil if they cannot be read: a device error, or beyond the end.
    mutating func read(sector: UInt64, count: Int) -> [UInt8]?
}
