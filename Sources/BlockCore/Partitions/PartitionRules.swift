// SPDX-License-Identifier: Apache-2.0

/// What a single partition may be, beside the others and on its disk. Pure; in the order in which Linux asks (BLKPG).
package struct PartitionRules: Sendable {
    /// A partition that is there.
    package struct Place: Sendable, Equatable {
        package var number: Int
        package var range: SectorRange

        package init(number: Int, range: SectorRange) {
            self.number = number
            self.range = range
        }
    }

    /// Why not.
    package enum Refusal: Equatable, Sendable {
        /// The number is not 1 to 255.
        case number
        /// It has no sectors, or its end cannot be counted.
        case range
        /// Not in whole logical blocks.
        case alignment(UInt64)
        /// It does not lie on the disk.
        case beyondEnd
        /// It shares a sector with another.
        case overlap(Int)
        /// There is one of this number.
        case used
        /// There is none of this number.
        case missing
    }

    /// The greatest number: 256 devices for a disk, of which the first is the disk itself.
    package static let greatestNumber = 255

    private let others: [Place]
    private let capacity: UInt64
    private let blockSectors: UInt64

    /// The rules on a disk of `capacity` sectors in logical blocks of `blockSectors`.
    package init(_ others: [Place], capacity: UInt64, blockSectors: UInt64) {
        self.others = others
        self.capacity = capacity
        self.blockSectors = blockSectors
    }

    /// Why a new one cannot be; nil: it can.
    package func adding(_ number: Int, _ range: SectorRange) -> Refusal? {
        guard (1...Self.greatestNumber).contains(number) else { return .number }
        if let refusal = place(range) { return refusal }
        if let other = others.first(where: { Self.overlap($0.range, range) }) { return .overlap(other.number) }
        return others.contains { $0.number == number } ? .used : nil
    }

    /// Why one cannot have so many sectors; nil: it can. Where it starts cannot change.
    package func resizing(_ number: Int, to size: UInt64) -> Refusal? {
        guard let one = others.first(where: { $0.number == number }) else { return .missing }
        let range = SectorRange(start: one.range.start, count: size)
        if let refusal = place(range) { return refusal }
        let other = others.first { $0.number != number && Self.overlap($0.range, range) }
        return other.map { .overlap($0.number) }
    }

    private func place(_ range: SectorRange) -> Refusal? {
        guard range.count > 0, !range.start.addingReportingOverflow(range.count).overflow else { return .range }
        guard range.start % blockSectors == 0, range.count % blockSectors == 0 else { return .alignment(blockSectors) }
        return range.fits(in: capacity) ? nil : .beyondEnd
    }

    /// Whether two runs share a sector. Neither may be empty; cannot overflow.
    package static func overlap(_ left: SectorRange, _ right: SectorRange) -> Bool {
        left.start <= right.start
            ? right.start - left.start < left.count : left.start - right.start < right.count
    }
}
