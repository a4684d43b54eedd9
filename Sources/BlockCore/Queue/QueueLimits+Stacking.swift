// SPDX-License-Identifier: Apache-2.0

extension QueueLimits {
    /// These limits with those of a disk beneath taken in, of which the device uses the sectors from `startSector` on.
    ///
    /// The result is what both allow. Begin with ``init()`` and take in one lower disk after the other. Where the parts
    /// do not line up, ``isMisaligned`` is set and stays: the stack works, and what cannot be kept is given up.
    public func stacked(on lower: QueueLimits, startSector: UInt64) -> QueueLimits {
        var top = self
        let offset = lower.alignment(at: startSector)
        if top.alignmentOffset != offset {
            let above = max(top.physicalBlockSize, top.minimumIO) + top.alignmentOffset
            let below = max(lower.physicalBlockSize, lower.minimumIO) + offset
            if max(above, below) % min(above, below) != 0 { top.isMisaligned = true }
        }
        top.takeTransfers(of: lower)
        top.logicalBlockSize = max(logicalBlockSize, lower.logicalBlockSize)
        top.physicalBlockSize = max(physicalBlockSize, lower.physicalBlockSize)
        top.minimumIO = max(minimumIO, lower.minimumIO)
        top.optimalIO = Self.leastCommon(optimalIO, lower.optimalIO)
        top.chunkSectors = Self.greatestCommon(chunkSectors, lower.chunkSectors)
        top.isMisaligned = top.isMisaligned || lower.isMisaligned
        top.giveUpWhatDoesNotFit()
        top.alignmentOffset =
            Self.leastCommon(alignmentOffset, offset) % max(top.physicalBlockSize, top.minimumIO)
        if top.alignmentOffset % top.logicalBlockSize != 0 { top.isMisaligned = true }
        top.roundTransfers()
        return top
    }

    /// How far the next good place lies behind a sector, in bytes: the alignment offset of a device that begins there.
    public func alignment(at sector: UInt64) -> Int {
        let grain = max(physicalBlockSize, minimumIO, 1)
        let beyond = Int(sector % UInt64(max(grain / sectorSize, 1))) * sectorSize
        return (grain + alignmentOffset - beyond) % grain
    }

    private mutating func takeTransfers(of lower: QueueLimits) {
        // What says "no limit" is the largest number there is, so that the lower of two is the tighter.
        maxHardwareSectors = min(maxHardwareSectors, lower.maxHardwareSectors)
        maxDeviceSectors = Self.tighter(maxDeviceSectors, lower.maxDeviceSectors)
        maxSectors = min(maxSectors, lower.maxSectors)
        if let theirs = lower.maxUserSectors { maxUserSectors = min(maxUserSectors ?? .max, theirs) }
        maxHardwareDiscardSectors = Self.tighter(maxHardwareDiscardSectors, lower.maxHardwareDiscardSectors)
        maxUserDiscardSectors = Self.tighter(maxUserDiscardSectors, lower.maxUserDiscardSectors)
        discardGranularity = max(discardGranularity, lower.discardGranularity)
        maxWriteZeroesSectors = min(maxWriteZeroesSectors, lower.maxWriteZeroesSectors)
    }

    private mutating func giveUpWhatDoesNotFit() {
        if physicalBlockSize % logicalBlockSize != 0 {
            physicalBlockSize = logicalBlockSize
            isMisaligned = true
        }
        if minimumIO % physicalBlockSize != 0 {
            minimumIO = physicalBlockSize
            isMisaligned = true
        }
        if optimalIO % physicalBlockSize != 0 {
            optimalIO = 0
            isMisaligned = true
        }
        if chunkSectors % UInt64(physicalBlockSize / sectorSize) != 0 {
            chunkSectors = 0
            isMisaligned = true
        }
    }

    private mutating func roundTransfers() {
        let block = UInt64(logicalBlockSize / sectorSize)
        func rounded(_ sectors: UInt64) -> UInt64 {
            sectors == .max ? sectors : max(sectors - sectors % block, Self.leastSectors)
        }
        maxHardwareSectors = rounded(maxHardwareSectors)
        maxSectors = rounded(maxSectors)
        if maxDeviceSectors != 0 { maxDeviceSectors = rounded(maxDeviceSectors) }
    }

    /// The lower of two of which 0 is none.
    private static func tighter(_ left: UInt64, _ right: UInt64) -> UInt64 {
        left == 0 ? right : right == 0 ? left : min(left, right)
    }

    /// 0 has no say.
    private static func greatestCommon(_ left: UInt64, _ right: UInt64) -> UInt64 {
        var (larger, smaller) = (max(left, right), min(left, right))
        while smaller != 0 { (larger, smaller) = (smaller, larger % smaller) }
        return larger
    }

    /// 0 has no say. What would overflow gives the larger.
    private static func leastCommon(_ left: Int, _ right: Int) -> Int {
        guard left != 0, right != 0 else { return max(left, right) }
        let divisor = Int(greatestCommon(UInt64(left), UInt64(right)))
        let (product, overflow) = (left / divisor).multipliedReportingOverflow(by: right)
        return overflow ? max(left, right) : product
    }
}

extension DriverProfile {
    /// The limits of a disk with this profile: the driver's own, with the block sizes that it has elsewhere.
    /// - Throws: EINVAL, as ``QueueLimits/validated()``.
    func effectiveLimits() throws(DiskError) -> QueueLimits {
        var limits = limits ?? QueueLimits()
        limits.logicalBlockSize = logicalBlockSize
        limits.physicalBlockSize = max(physicalBlockSize, limits.physicalBlockSize)
        if limits.optimalIO == 0 { limits.optimalIO = optimalIO }
        return try limits.validated()
    }
}
