// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// The volume header of SGI's machines. Big-endian, in sector 0: 0x0BE5A941, at 312 sixteen slots of u32 count, u32
    /// first sector, u32 type; all words of the sector add up to 0.
    mutating func parseSGI() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.be32(at: 0) == 0x0BE5_A941 else { return .notMine("sector 0 does not begin with 0BE5A941") }
        guard sector.sumOfWords(128) == 0 else { return .notMine("the checksum of its volume header is wrong") }
        var table = ParsedTable(.sgi, policy: policy)
        for index in 0..<16 {
            let offset = 312 + 12 * index
            let size = sector.be32(at: offset)
            guard size > 0 else { continue }
            let type = sector.be32(at: offset + 8)
            table.enter(
                PartitionEntry(
                    number: index + 1, start: UInt64(sector.be32(at: offset + 4)), size: UInt64(size),
                    type: "0x" + hex(type), isRAID: type == 0xFD))
        }
        return .claimed(table)
    }
}
