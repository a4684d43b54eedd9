// SPDX-License-Identifier: Apache-2.0

/// A block of the Amiga's: big-endian, its mark at 0, at 4 how many of its words add up to 0.
private struct AmigaBlock {
    var bytes: TableBytes

    func sum(without word: Int? = nil) -> UInt32 {
        let sum = bytes.sumOfWords(Int(bytes.be32(at: 4) & 0x7F))
        return word.map { sum &- ($0 / 4 < Int(bytes.be32(at: 4) & 0x7F) ? bytes.be32(at: $0) : 0) } ?? sum
    }
}

extension PartitionScanner {
    /// The rigid disk block of the Amiga: `RDSK` in one of the first 16 sectors, then a list of `PART` blocks.
    mutating func parseAmiga() -> Verdict {
        var found: TableBytes?
        let last = policy == .platter ? min(16, reader.capacity) : 16
        for position in 0..<last where found == nil {
            guard let sector = reader.sector(position) else { return .unreadable(sector: position) }
            guard sector.has("RDSK") else { continue }
            // The word at DC is not always counted.
            let block = AmigaBlock(bytes: sector)
            guard block.sum() == 0 || block.sum(without: 0xDC) == 0 else {
                warnings.add("amiga: the checksum of the disk block in sector \(position) is wrong")
                continue
            }
            found = sector
        }
        guard let disk = found else { return .notMine("no RDSK with a good checksum in the first 16 sectors") }
        return amigaPartitions(of: disk)
    }

    private mutating func amigaPartitions(of disk: TableBytes) -> Verdict {
        let blockSectors = UInt64(disk.be32(at: 16) / 512)
        var table = ParsedTable(.amiga, policy: policy)
        var link = disk.be32(at: 28)
        var number = 1
        for _ in 0..<16 where Int32(bitPattern: link) > 0 {
            let position = UInt64(link) * blockSectors
            guard let sector = reader.sector(position) else { return .unreadable(sector: position) }
            link = sector.be32(at: 16)
            guard sector.has("PART"), AmigaBlock(bytes: sector).sum() == 0 else {
                warnings.add("amiga: sector \(position) in its list is no partition block: skipped")
                continue
            }
            guard var entry = PartitionEntry(amiga: sector, blockSectors: blockSectors) else {
                warnings.add("amiga: the partition of sector \(position) has no size, or is past 2^64: skipped")
                continue
            }
            entry.number = number
            table.enter(entry)
            number += 1
        }
        return table.slots.isEmpty ? .notMine("its disk block lists no partition") : .claimed(table)
    }
}

extension PartitionEntry {
    /// The partition of a `PART` block: heads at 140, sectors at 148, first and last cylinder at 164 and 168.
    fileprivate init?(amiga block: TableBytes, blockSectors: UInt64) {
        let (blocks, isGreat) = block.be32(at: 140).multipliedReportingOverflow(by: block.be32(at: 148))
        let cylinder = UInt64(blocks) * blockSectors
        guard !isGreat, cylinder <= UInt64(UInt32.max) else { return nil }
        let (low, high) = (UInt64(block.be32(at: 164)), UInt64(block.be32(at: 168)))
        let (start, size) = (low * cylinder, (high &- low &+ 1) &* cylinder)
        guard size != 0, !start.addingReportingOverflow(size).overflow else { return nil }
        self.init(number: 0, start: start, size: size, type: Self.amigaType(block.be32(at: 192)))
        // A name with its length before it.
        name = block.text(at: 37, count: min(31, Int(block.u8(at: 36))))
        isBootable = block.be32(at: 20) & 1 == 1
    }

    /// `DOS\3` as the Amiga writes it: what prints as it is, the last byte as a number.
    private static func amigaType(_ type: UInt32) -> String {
        (0..<4).map { index in
            let byte = UInt8(truncatingIfNeeded: type >> (24 - 8 * UInt32(index)))
            return (0x21...0x7E).contains(byte) ? String(UnicodeScalar(byte)) : "\\\(byte)"
        }.joined()
    }
}
