// SPDX-License-Identifier: Apache-2.0

/// What one request to a driver may be: sizes, boundaries, and what it is best to keep to.
///
/// A value. A driver declares its own in ``DriverProfile/limits``; ``Disk/updateLimits(deadline:_:)`` changes them as
/// one, while no I/O is under way. I/O that is longer than one request may be goes in several; see
/// ``first(of:_:)``. Fresh limits limit nothing.
public struct QueueLimits: Sendable, Codable, Equatable {
    /// The smallest unit of I/O in bytes: a power of two from 512 to 65,536. Fixed at the disk's add.
    public var logicalBlockSize = 512
    /// The unit that the device handles without reading first, in bytes: a power of two, at least the logical one.
    public var physicalBlockSize = 512
    /// How far the first physical block lies from sector 0, in bytes.
    public var alignmentOffset = 0
    /// The smallest I/O in bytes that costs no more than it must; at least a physical block.
    public var minimumIO = 512
    /// The preferred size of I/O in bytes, whole physical blocks; 0: none.
    public var optimalIO = 0
    /// The most sectors that the device takes in one read or write.
    public var maxHardwareSectors = UInt64.max
    /// A cap on that from elsewhere (a bus, a transport); 0: none.
    public var maxDeviceSectors: UInt64 = 0
    /// What the user allows, at least 8; nil: what is best.
    public var maxUserSectors: UInt64?
    /// What follows from the three and the preferred sizes: the most sectors of one read or write.
    public internal(set) var maxSectors = UInt64.max
    /// No read, write or write zeroes crosses a multiple of so many sectors; 0: none.
    public var chunkSectors: UInt64 = 0
    /// The most sectors that the device discards in one request; 0: it discards none.
    public var maxHardwareDiscardSectors = UInt64.max
    /// What the user allows of them.
    public var maxUserDiscardSectors = UInt64.max
    /// In bytes, the unit in which space is given back; pieces of a discard begin and end at multiples of it.
    public var discardGranularity = 0
    /// The most sectors of one write zeroes; 0: none.
    public var maxWriteZeroesSectors = UInt64.max
    /// A stack whose parts do not line up: it works, and is slower than it could be.
    public var isMisaligned = false

    /// Limits that limit nothing, with blocks of 512 bytes.
    public init() {}

    /// The least that a limit on reads and writes may be: 4 KiB, so that a page always fits.
    public static let leastSectors: UInt64 = 8
    /// What a device that takes more is given, unless its preferred size is larger: 4 MiB.
    static let usualSectors: UInt64 = 8192

    /// The most sectors of one discard.
    public var maxDiscardSectors: UInt64 { min(maxHardwareDiscardSectors, maxUserDiscardSectors) }

    /// Whether any I/O could be too long.
    var isLimiting: Bool {
        maxSectors != .max || chunkSectors != 0 || maxDiscardSectors != .max || maxWriteZeroesSectors != .max
    }

    private var logicalSectors: UInt64 { UInt64(logicalBlockSize / sectorSize) }

    // MARK: Validation

    /// The same limits made consistent, or why they cannot be.
    ///
    /// Raised, rounded or derived without a word: a physical block below the logical one, the preferred sizes, limits
    /// that are no whole blocks.
    /// - Throws: EINVAL, with what is wrong and what is possible.
    public func validated() throws(DiskError) -> QueueLimits {
        var limits = self
        try limits.validateBlocks()
        try limits.validateTransfers()
        try limits.validateRanges()
        return limits
    }

    private static func isPowerOfTwo(_ number: Int) -> Bool { number > 0 && number & (number - 1) == 0 }

    private func refuse(_ reason: String) -> DiskError { DiskError(errno: DiskError.invalid, reason: reason) }

    private mutating func validateBlocks() throws(DiskError) {
        guard Self.isPowerOfTwo(logicalBlockSize), (512...65536).contains(logicalBlockSize) else {
            throw refuse("a logical block of \(logicalBlockSize) bytes cannot be: a power of two from 512 to 65536")
        }
        physicalBlockSize = max(physicalBlockSize, logicalBlockSize)
        guard Self.isPowerOfTwo(physicalBlockSize) else {
            throw refuse("a physical block of \(physicalBlockSize) bytes cannot be: take a power of two")
        }
        guard optimalIO >= 0, minimumIO >= 0, alignmentOffset >= 0, discardGranularity >= 0 else {
            throw refuse("a limit cannot be negative")
        }
        minimumIO = max(minimumIO, physicalBlockSize)
        optimalIO -= optimalIO % physicalBlockSize
        // As the kernel's blk_validate_limits: where the blocks lie is known then.
        if alignmentOffset != 0 {
            alignmentOffset &= physicalBlockSize - 1
            isMisaligned = false
        }
    }

    private mutating func validateTransfers() throws(DiskError) {
        let least = max(Self.leastSectors, logicalSectors)
        guard maxHardwareSectors >= least else {
            throw refuse("at most \(maxHardwareSectors) sectors in one request is too few: at least \(least)")
        }
        if let user = maxUserSectors, user < least {
            throw refuse("a user's limit of \(user) sectors is too low: at least \(least)")
        }
        if maxDeviceSectors != 0 { maxHardwareSectors = max(min(maxHardwareSectors, maxDeviceSectors), least) }
        maxHardwareSectors = roundedDown(maxHardwareSectors)
        let preferred = UInt64(max(optimalIO, minimumIO) / sectorSize)
        let most: UInt64 =
            if let user = maxUserSectors {
                min(user, maxHardwareSectors)
            } else if maxHardwareSectors == .max {
                .max
            } else {
                min(maxHardwareSectors, max(preferred, Self.usualSectors))
            }
        maxSectors = roundedDown(most)
        guard chunkSectors % logicalSectors == 0 else {
            throw refuse(
                "chunks of \(chunkSectors) sectors are no whole logical blocks: a multiple of \(logicalSectors)")
        }
    }

    private mutating func validateRanges() throws(DiskError) {
        maxHardwareDiscardSectors = roundedDown(maxHardwareDiscardSectors)
        maxUserDiscardSectors = roundedDown(maxUserDiscardSectors)
        if maxDiscardSectors == 0 {
            discardGranularity = 0
        } else {
            discardGranularity = max(discardGranularity, physicalBlockSize)
            guard discardGranularity % logicalBlockSize == 0 else {
                throw refuse("a discard granularity of \(discardGranularity) bytes is no whole logical blocks")
            }
            guard maxDiscardSectors >= UInt64(discardGranularity / sectorSize) else {
                throw refuse(
                    "at most \(maxDiscardSectors) sectors in one discard is less than its granularity of \(discardGranularity) bytes"
                )
            }
        }
        guard maxWriteZeroesSectors == 0 || maxWriteZeroesSectors >= logicalSectors else {
            throw refuse("at most \(maxWriteZeroesSectors) sectors in one write zeroes is less than a logical block")
        }
        maxWriteZeroesSectors = roundedDown(maxWriteZeroesSectors)
    }

    /// Whole logical blocks; no limit stays none.
    private func roundedDown(_ sectors: UInt64) -> UInt64 {
        sectors == .max ? sectors : sectors - sectors % logicalSectors
    }

    // MARK: Splitting

    /// How many sectors of a range go in the first request: all of them, or as many as a limit, a boundary and good
    /// alignment allow. The remainder is asked about anew. 0: the device does not do this at all.
    ///
    /// A read or write is cut at the next chunk boundary, else as long as it may be with its end at a physical block; a
    /// discard so that the next one begins at a multiple of the granularity. A flush is never cut.
    public func first(of operation: BioOperation, _ range: SectorRange) -> UInt64 {
        var most: UInt64
        switch operation {
        case .flush: return range.count
        case .discard: return firstOfDiscard(range)
        case .read, .write: most = maxSectors
        case .writeZeroes: most = maxWriteZeroesSectors
        }
        if chunkSectors != 0 { most = min(most, chunkSectors - range.start % chunkSectors) }
        guard range.count > most else { return range.count }
        let physical = UInt64(physicalBlockSize / sectorSize)
        let beyond = (range.start + most) % physical
        return beyond < most ? most - beyond : most - most % logicalSectors
    }

    private func firstOfDiscard(_ range: SectorRange) -> UInt64 {
        let granularity = max(UInt64(discardGranularity / sectorSize), 1)
        let most = maxDiscardSectors == .max ? maxDiscardSectors : maxDiscardSectors - maxDiscardSectors % granularity
        guard range.count > most else { return range.count }
        let beyond = (range.start + most) % granularity
        return beyond < most ? most - beyond : most
    }
}
