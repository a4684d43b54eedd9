// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// The disk of the Rio Karma. Little-endian, in sector 0: 56 AB at 510, at 270 two slots of 16 bytes with the type
    /// at 4, the first sector at 8 and the count at 12; those of type 4D count.
    mutating func parseKarma() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.u16(at: 510) == 0xAB56 else { return .notMine("sector 0 does not end in 56 AB") }
        var table = ParsedTable(.karma, policy: policy)
        for index in 0..<2 {
            let offset = 270 + 16 * index
            let size = sector.u32(at: offset + 12)
            guard sector.u8(at: offset + 4) == 0x4D, size > 0 else { continue }
            table.enter(index + 1, UInt64(sector.u32(at: offset + 8)), UInt64(size), type: "0x4d")
        }
        return .claimed(table)
    }
}
