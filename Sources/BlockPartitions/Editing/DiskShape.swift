// SPDX-License-Identifier: Apache-2.0

/// What an edit of a table has to know of its disk.
public struct DiskShape: Sendable, Equatable {
    /// The size in logical blocks; a part of a block at the end does not count.
    public let blocks: UInt64

    /// The size of a logical block in bytes: 512, 1024, 2048 or 4096.
    public let blockSize: Int

    /// Where partitions begin unless a place is named: at multiples of so many logical blocks.
    ///
    /// 1 MiB, or what the disk prefers if that is more; where 1 MiB is no multiple of it, a multiple of both. On disks
    /// under 4 MiB its physical block.
    public var grain: UInt64

    /// The shape of a disk of so many sectors of 512 bytes; sizes are in bytes, 0 where the disk does not say.
    public init(sectors: UInt64, blockSize: Int, physicalBlockSize: Int = 0, optimalIO: Int = 0) {
        self.blockSize = blockSize
        blocks = sectors / UInt64(blockSize / 512)
        let physical = max(physicalBlockSize, blockSize)
        var bytes = UInt64(physical)
        if sectors >= 8192 {
            let preferred = UInt64(max(optimalIO, physical))
            bytes = Self.multiple(1 << 20, preferred)
        }
        grain = max(bytes / UInt64(blockSize), 1)
    }

    /// The least that is a multiple of both; the greater of the two where that is over 64 MiB.
    private static func multiple(_ one: UInt64, _ other: UInt64) -> UInt64 {
        var (divisor, rest) = (one, other)
        while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
        let (product, overflow) = (one / divisor).multipliedReportingOverflow(by: other)
        return overflow || product > 64 << 20 ? max(one, other) : product
    }

    /// Sectors of 512 bytes in a logical block.
    var scale: UInt64 { UInt64(blockSize / 512) }

    /// The next multiple of the grain.
    func aligned(_ block: UInt64) -> UInt64 { (block + grain - 1) / grain * grain }
}

/// The tables that can be written.
public enum PartitionLabel: String, Sendable, CaseIterable, Codable {
    /// A GUID partition table behind a protective MBR.
    case gpt
    /// A master boot record.
    case dos
}

/// Why a table is not edited: one line that says what to do.
public struct TableEditError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The line.
    public let reason: String

    /// Whether there is no room, rather than something wrong with the request.
    public let isNoRoom: Bool

    init(_ reason: String, isNoRoom: Bool = false) {
        self.reason = reason
        self.isNoRoom = isNoRoom
    }

    /// The line.
    public var description: String { reason }
}

/// A partition of a table that is edited; positions in logical blocks.
public struct DraftPartition: Sendable, Equatable {
    /// Its number.
    public var number: Int
    /// Its first block.
    public var start: UInt64
    /// How many blocks; never 0.
    public var count: UInt64
    /// `0x83`, or a GUID in lower case.
    public var type: String
    /// Its identity, in a GPT.
    public var uuid: String?
    /// Its name, in a GPT; empty if it has none.
    public var name = ""
    /// The attribute bits, in a GPT.
    public var attributes: UInt64 = 0
    /// The boot flag, in an MBR.
    public var isBootable = false

    /// The block behind it.
    public var end: UInt64 { start + count }

    var isExtended: Bool { ["0x5", "0xf", "0x85"].contains(type) }
}

/// Bytes to be written to a disk.
public struct TableWrite: Sendable, Equatable {
    /// Where, in bytes from the disk's beginning; a multiple of the logical block size, as is the length.
    public var offset: UInt64
    /// What.
    public var bytes: [UInt8]
    /// What it is, for people.
    public var what: String
}

/// What an edit does to a disk.
public struct TableChange: Sendable {
    /// The writes, in groups: each group is on the medium before the next begins.
    ///
    /// After any part of them, in this order, the disk has a table that can be read: the old one or the new one.
    public var groups: [[TableWrite]]

    /// What will be read from the disk afterwards, by our own rules.
    public var scan: PartitionScan

    /// What the user should know, a line each.
    public var notes: [String]
}
