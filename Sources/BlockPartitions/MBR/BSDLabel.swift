// SPDX-License-Identifier: Apache-2.0

/// The disk label of the BSDs, and of OSF/1. Little-endian:
///
/// | offset | field |
/// |---|---|
/// | 0 | mark 0x82564557 |
/// | 132 | the mark again |
/// | 138 | u16 number of slices |
/// | 148 + 16 i | u32 size, u32 offset, u32 fragment size, u8 file system |
struct BSDLabel {
    static let mark: UInt32 = 0x8256_4557

    struct Slice {
        let size: UInt64
        let offset: UInt64
        let fileSystem: UInt8
        var type: String { "0x" + hex(fileSystem) }
    }

    let sliceCount: Int
    let hasSecondMark: Bool
    private let bytes: TableBytes

    /// The label that begins with these bytes, nil without its mark.
    init?(_ bytes: TableBytes) {
        guard bytes.u32(at: 0) == Self.mark else { return nil }
        self.bytes = bytes
        sliceCount = Int(bytes.u16(at: 138))
        hasSecondMark = bytes.u32(at: 132) == Self.mark
    }

    /// Slice `index`, whether it is announced or not.
    func slice(_ index: Int) -> Slice {
        let offset = 148 + 16 * index
        return Slice(
            size: UInt64(bytes.u32(at: offset)), offset: UInt64(bytes.u32(at: offset + 4)),
            fileSystem: bytes.u8(at: offset + 12))
    }

    /// At most 16 of the announced slices, but for those without a file system.
    var usedSlices: [Slice] {
        (0..<min(sliceCount, 16)).map(slice).filter { $0.fileSystem != 0 }
    }
}

extension PartitionScanner {
    /// The slices of a label in sector 1 of an MBR's partition of a BSD.
    ///
    /// FreeBSD's offsets count from the partition if its third slice, the partition as a whole, begins at 0.
    mutating func bsdEntries(in parent: NestedParent) -> [PartitionEntry] {
        guard let label = bsdLabel(in: parent) else { return [] }
        let isAnnounced = policy != .blkid || label.sliceCount > 2
        let isRelative = parent.type == 0xA5 && label.slice(2).offset == 0 && isAnnounced
        let base = isRelative ? parent.start : 0
        return label.usedSlices.compactMap { slice in
            let start = slice.offset + base
            if start == parent.start, slice.size == parent.size { return nil }
            guard parent.holds(start, slice.size) else {
                warnings.add(
                    "partition \(parent.number): its BSD slice at sector \(start) lies outside of it: ignored")
                return nil
            }
            return PartitionEntry(number: 0, start: start, size: slice.size, type: slice.type)
        }
    }

    private mutating func bsdLabel(in parent: NestedParent) -> BSDLabel? {
        if policy == .blkid { return blkidLabel(from: parent.start)?.label }
        return reader.sector(parent.sector(1)).flatMap(BSDLabel.init)
    }

    /// Where libblkid looks for a label on a disk or in a partition of it: at byte 512, 64 or 128.
    private mutating func blkidLabel(from start: UInt64) -> (label: BSDLabel, at: Int)? {
        for offset in [512, 64, 128] {
            let sector = start + UInt64(offset / 512)
            guard let bytes = reader.sector(sector)?.part(at: offset % 512, count: 512) else { continue }
            if let label = BSDLabel(bytes) { return (label, offset) }
        }
        return nil
    }

    /// libblkid's bare label: the slices that have a file system, numbered without gaps.
    mutating func parseBareBSD() -> Verdict {
        guard let (label, offset) = blkidLabel(from: 0) else {
            return .notMine("no BSD label at byte 512, 64 or 128")
        }
        _ = offset
        var table = ParsedTable(.bsd, policy: policy)
        for (index, slice) in label.usedSlices.enumerated() {
            table.enter(index + 1, slice.offset, slice.size, type: slice.type)
        }
        return .claimed(table)
    }

    /// The label of OSF/1, at byte 64 of sector 0.
    mutating func parseOSF() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard let label = BSDLabel(sector.part(at: 64, count: 448)) else {
            return .notMine("no disk label at byte 64 of sector 0")
        }
        guard label.hasSecondMark else { return .notMine("its disk label lacks the second mark") }
        guard label.sliceCount <= 18 else {
            return .notMine("its disk label announces \(label.sliceCount) slices, 18 are possible")
        }
        var table = ParsedTable(.osf, policy: policy)
        for index in 0..<label.sliceCount {
            let slice = label.slice(index)
            guard slice.size > 0 else { continue }
            table.enter(index + 1, slice.offset, slice.size, type: slice.type)
        }
        return .claimed(table)
    }
}
