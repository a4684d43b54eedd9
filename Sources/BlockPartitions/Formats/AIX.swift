// SPDX-License-Identifier: Apache-2.0

/// AIX' logical volumes, of version 1. Big-endian, in sector 7: `_LVM`; at 24 the length of the descriptor area, at 28
/// its sector, at 46 the logarithm of the size of a physical partition, at 60 the version.
private struct AIXVolume {
    let areaLength: UInt64
    let area: UInt64
    /// Sectors in a physical partition.
    let partSectors: UInt32

    init?(_ label: TableBytes) {
        let shift = label.be16(at: 46)
        guard label.be16(at: 60) == 1, shift < 32 else { return nil }
        areaLength = UInt64(label.be32(at: 24))
        area = UInt64(label.be32(at: 28))
        partSectors = (UInt32(1) << UInt32(shift)) / 512
    }
}

extension PartitionScanner {
    /// Whether it is an AIX disk: its mark, no slot of a type that Linux uses, and a volume label in sector 7.
    mutating func isAIX(_ record: BootRecord) -> Bool {
        record.looksLikeAIX && reader.sector(7)?.has("_LVM") == true
    }

    /// Makes partitions of those logical volumes that lie in one piece, numbered by their index.
    mutating func parseAIX() -> Verdict {
        guard let bytes = reader.sector(0) else {
            return policy == .blkid ? .unreadable(sector: 0) : .notMine("sector 0 cannot be read")
        }
        let record = BootRecord(bytes)
        if policy == .blkid {
            return record.hasAIXMark
                ? .claimed(ParsedTable(.aix, policy: policy)) : .notMine("no AIX mark in sector 0")
        }
        guard record.looksLikeAIX else { return .notMine("no AIX mark in sector 0") }
        guard isAIX(record), let label = reader.sector(7) else { return .notMine("no volume label in sector 7") }
        guard let volume = AIXVolume(label) else { return .notMine("its volume label is of another version") }
        guard volume.area != 0, let head = reader.sector(volume.area), head.be16(at: 24) > 0 else {
            return .notMine("its descriptor area holds no logical volumes")
        }
        let (lengths, isCut) = logicalVolumes(Int(head.be16(at: 24)), of: volume)
        guard !isCut else { return .notMine("its logical volume descriptors cannot be read") }
        let nameSector = volume.area + volume.areaLength
        guard nameSector >= 33, let names = region(nameSector - 33, byteCount: 256 * 64),
            let map = region(volume.area + 17, byteCount: 32544)
        else { return .notMine("its descriptor area does not lie on the disk") }
        let table = partitions(of: volume, lengths: lengths, names: names, map: map)
        return table.slots.isEmpty ? .notMine("no logical volume lies in one piece") : .claimed(table)
    }

    /// The bytes of an area that must end before the last sector.
    private mutating func region(_ sector: UInt64, byteCount: Int) -> TableBytes? {
        guard sector + UInt64(byteCount / 512) <= reader.capacity - 1 else { return nil }
        return reader.read(sector: sector, byteCount: byteCount)
    }

    /// How many physical partitions each logical volume has, by its index.
    private mutating func logicalVolumes(_ count: Int, of volume: AIXVolume) -> (lengths: [Int], isCut: Bool) {
        var lengths = [Int](repeating: 0, count: 256)
        var left = count
        for index in 0..<256 where left > 0 {
            guard let sector = reader.sector(volume.area + 1 + UInt64(index / 16)) else { return (lengths, true) }
            lengths[index] = Int(sector.be16(at: index % 16 * 32 + 14))
            left -= lengths[index] > 0 ? 1 : 0
        }
        return (lengths, false)
    }

    private mutating func partitions(
        of volume: AIXVolume, lengths: [Int], names: TableBytes, map: TableBytes
    ) -> ParsedTable {
        var table = ParsedTable(.aix, policy: policy)
        let first = map.be32(at: 20)
        var current: Int?
        var wanted = 1
        for index in 0..<min(Int(map.be16(at: 16)), 1016) {
            let offset = 32 + 32 * index
            let part = Int(map.be16(at: offset + 6))
            let logical = Int(map.be16(at: offset)) - 1
            guard part != 0 else {
                wanted = 1
                continue
            }
            guard (0..<256).contains(logical) else {
                current = nil
                continue
            }
            if part == 1 {
                (current, wanted) = (logical, 1)
            } else if logical != current || part != wanted {
                warnings.add(
                    "AIX: logical volume \(logical + 1) does not lie in one piece at physical partition \(index)")
                wanted = 1
                continue
            }
            guard part == lengths[logical] else {
                wanted += 1
                continue
            }
            let start = UInt32(truncatingIfNeeded: index + 1 - part) &* volume.partSectors &+ first
            table.enter(
                PartitionEntry(
                    number: logical + 1, start: UInt64(start),
                    size: UInt64(UInt32(truncatingIfNeeded: part) &* volume.partSectors),
                    name: names.text(at: 64 * logical, count: 64)))
            wanted = 1
        }
        return table
    }
}
