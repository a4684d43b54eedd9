// SPDX-License-Identifier: Apache-2.0

/// What a bio asks of the device.
public enum BioOperation: UInt8, Sendable, CaseIterable {
    /// Fill the memory from the device.
    case read
    /// Put the memory on the device.
    case write
    /// Make everything acknowledged so far durable; no range, no memory.
    case flush
    /// The content of the range is no longer needed; reads of it answer anything until it is written again.
    case discard
    /// The range reads as zeroes afterwards; no memory.
    case writeZeroes

    /// Whether it changes the device: such a bio is refused on something read-only.
    @inlinable public var isWrite: Bool {
        @inline(__always) get { self == .write || self == .discard || self == .writeZeroes }
    }

    /// Whether it carries memory.
    @inlinable public var hasData: Bool {
        @inline(__always) get { self == .read || self == .write }
    }
}

/// How a bio is to be done.
@frozen public struct BioFlags: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt8

    /// Flags from their bits.
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Forced unit access: answered only when this write is durable. Only on write, discard and write zeroes.
    @inlinable public static var fua: BioFlags { BioFlags(rawValue: 1) }
    /// Rather answer ``BlockStatus/again`` than wait: for a freeze, a pause or a place at the driver, or for the rest of
    /// an I/O that is too long for one request.
    @inlinable public static var noWait: BioFlags { BioFlags(rawValue: 2) }
    /// Write zeroes must leave the range allocated: no hole.
    @inlinable public static var noUnmap: BioFlags { BioFlags(rawValue: 4) }
    /// Write zeroes must be faster than writing them, else ``BlockStatus/notSupported``.
    @inlinable public static var fastZero: BioFlags { BioFlags(rawValue: 8) }
    /// A flush first, which covers everything acknowledged so far. As ``fua``; an empty write with it is a flush.
    @inlinable public static var preflush: BioFlags { BioFlags(rawValue: 16) }
}

/// A run of 512-byte sectors.
@frozen public struct SectorRange: Sendable, Hashable, Codable {
    /// The first sector.
    public var start: UInt64
    /// How many sectors.
    public var count: UInt64

    /// A run of `count` sectors from `start`.
    @inlinable public init(start: UInt64, count: UInt64) {
        self.start = start
        self.count = count
    }

    /// Whether the run lies on a device of `capacity` sectors; an empty run always does. Cannot overflow.
    @inlinable public func fits(in capacity: UInt64) -> Bool {
        count == 0 || (count <= capacity && start <= capacity - count)
    }
}

/// Bytes in a sector, always: whatever the logical block size of a disk is.
public let sectorSize = 512
