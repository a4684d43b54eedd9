// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// The label of Sun's SPARC machines. Big-endian, in sector 0:
    ///
    /// | offset | field |
    /// |---|---|
    /// | 128 | u32 version, 188 u32 0x600DDEEE, 140 u16 slots: of the volume table |
    /// | 142 + 4 i | u16 tag, u16 flags |
    /// | 436 | u16 heads, u16 sectors per track |
    /// | 444 + 8 i | u32 first cylinder, u32 sectors |
    /// | 508 | u16 0xDABE, and a word that makes the XOR of all words 0 |
    mutating func parseSun() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.be16(at: 508) == 0xDABE else { return .notMine("no DABE at byte 508 of sector 0") }
        guard (0..<256).reduce(0, { $0 ^ sector.be16(at: 2 * $1) }) == 0 else {
            return .notMine("the checksum of its label is wrong")
        }
        let (version, sanity, count) = (sector.be32(at: 128), sector.be32(at: 188), sector.be16(at: 140))
        let isGood = sanity == 0x600D_DEEE && version == 1 && count <= 8
        let usesTags = isGood || (sanity == 0 && version == 0 && count == 0)
        let cylinder = UInt64(sector.be16(at: 436)) * UInt64(sector.be16(at: 438))
        var table = ParsedTable(.sun, id: isGood ? sector.text(at: 132, count: 8) : nil, policy: policy)
        for index in 0..<(isGood ? Int(count) : 8) {
            let size = sector.be32(at: 448 + 8 * index)
            let tag = usesTags ? sector.be16(at: 142 + 4 * index) : 0
            guard size > 0, policy != .blkid || tag != 5 else { continue }
            var entry = PartitionEntry(
                number: index + 1, start: UInt64(sector.be32(at: 444 + 8 * index)) * cylinder, size: UInt64(size),
                type: usesTags ? "0x" + hex(tag) : nil, isRAID: tag == 0xFD)
            entry.isWholeDisk = tag == 5
            table.enter(entry)
        }
        return .claimed(table)
    }
}
