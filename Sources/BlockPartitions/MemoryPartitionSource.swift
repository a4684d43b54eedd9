// SPDX-License-Identifier: Apache-2.0

/// An image in memory, for tests and small files.
///
/// Bytes after the last whole sector do not exist for the scan.
public struct MemoryPartitionSource: PartitionSource, Sendable {
    /// The whole sectors of the image.
    public let capacity: UInt64

    /// The size of a logical block in bytes.
    public let logicalBlockSize: Int

    private let bytes: [UInt8]

    /// An image of `bytes` on a disk with blocks of `logicalBlockSize`.
    public init(_ bytes: [UInt8], logicalBlockSize: Int = 512) {
        self.bytes = bytes
        self.logicalBlockSize = logicalBlockSize
        capacity = UInt64(bytes.count / 512)
    }

    /// The bytes of `count` sectors, or nil if not all of them are in the image.
    public mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        guard count > 0, sector < capacity, UInt64(count) <= capacity - sector else { return nil }
        let start = Int(sector) * 512
        return Array(bytes[start..<start + count * 512])
    }
}
