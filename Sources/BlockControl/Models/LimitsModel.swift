// SPDX-License-Identifier: Apache-2.0

/// What one request to the device may be, under the kernel's names; sizes in bytes, counts in 512-byte sectors. Absent:
/// no limit.
public struct LimitsModel: Codable, Sendable, Equatable {
    /// The smallest unit of I/O.
    public var logicalBlockSize: Int
    /// The unit that the device handles without reading first.
    public var physicalBlockSize: Int
    /// How far the first physical block lies from the start.
    public var alignmentOffset: Int
    /// The smallest I/O that costs no more than it must.
    public var minimumIOSize: Int
    /// The preferred size of I/O; 0: none.
    public var optimalIOSize: Int
    /// The most sectors of one read or write, of all that follows.
    public var maxSectors: UInt64?
    /// The most that the device takes.
    public var maxHardwareSectors: UInt64?
    /// A cap on that from elsewhere, such as a bus; 0: none.
    public var maxDeviceSectors: UInt64
    /// The most that the user allows.
    public var maxUserSectors: UInt64?
    /// No request crosses a multiple of so many sectors; 0: none.
    public var chunkSectors: UInt64
    /// The most sectors of one discard; 0: none are done.
    public var maxDiscardSectors: UInt64?
    /// The most that the device discards.
    public var maxHardwareDiscardSectors: UInt64?
    /// The most that the user allows of them.
    public var maxUserDiscardSectors: UInt64?
    /// The unit in which space is given back.
    public var discardGranularity: Int
    /// The most sectors of one write zeroes; 0: none are done.
    public var maxWriteZeroesSectors: UInt64?
    /// Of a stack whose parts do not line up.
    public var misaligned: Bool

    enum CodingKeys: String, CodingKey {
        case logicalBlockSize = "logical_block_size"
        case physicalBlockSize = "physical_block_size"
        case alignmentOffset = "alignment_offset"
        case minimumIOSize = "minimum_io_size"
        case optimalIOSize = "optimal_io_size"
        case maxSectors = "max_sectors"
        case maxHardwareSectors = "max_hw_sectors"
        case maxDeviceSectors = "max_dev_sectors"
        case maxUserSectors = "max_user_sectors"
        case chunkSectors = "chunk_sectors"
        case maxDiscardSectors = "max_discard_sectors"
        case maxHardwareDiscardSectors = "max_hw_discard_sectors"
        case maxUserDiscardSectors = "max_user_discard_sectors"
        case discardGranularity = "discard_granularity"
        case maxWriteZeroesSectors = "max_write_zeroes_sectors"
        case misaligned
    }

    /// Limits that limit nothing, with blocks of 512 bytes.
    public init() {
        logicalBlockSize = 512
        physicalBlockSize = 512
        alignmentOffset = 0
        minimumIOSize = 512
        optimalIOSize = 0
        maxDeviceSectors = 0
        chunkSectors = 0
        discardGranularity = 0
        misaligned = false
    }
}
