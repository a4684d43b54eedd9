// SPDX-License-Identifier: Apache-2.0

// Apple's partition map. Big-endian; sector 0: `ER` and the block size; then in each block an entry: `PM`, u32 number of
// entries at 4, first block at 8, count at 12, name and type of 32 bytes at 16 and 48, status at 88.

extension PartitionScanner {
    /// Reads Apple's map: every entry up to the first without its mark, the map itself and free space included.
    mutating func parseMac() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.has("ER") else { return .notMine("sector 0 does not begin with ER") }
        let blockSize = UInt64(sector.be16(at: 2))
        guard blockSize >= 512, blockSize & (blockSize - 1) == 0 else {
            return .malformed("its block size is \(blockSize)")
        }
        let scale = blockSize / 512
        guard let first = reader.sector(scale) else { return .unreadable(sector: scale) }
        guard first.has("PM") else { return .notMine("block 1 does not begin with PM") }
        let count = first.be32(at: 4)
        guard count < 256 else { return .notMine("its map has \(count) entries, 255 are possible") }
        var table = ParsedTable(.mac, policy: policy)
        for slot in 0..<Int(count) {
            let number = slot + 1
            let position = UInt64(number) * scale
            guard let entry = reader.sector(position) else { return .unreadable(sector: position) }
            guard entry.has("PM") else {
                warnings.add("mac: entry \(number) of \(count) has no mark: the map ends there")
                break
            }
            table.enter(PartitionEntry(mac: entry, number: number, scale: scale, wraps: policy == .kernel))
        }
        return .claimed(table)
    }

    /// Reads Apple's map as libblkid does: any block size that holds an entry, the old mark too, all entries or none.
    mutating func parseBlkidMac() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.has("ER") else { return .notMine("sector 0 does not begin with ER") }
        let blockSize = UInt64(sector.be16(at: 2))
        guard blockSize >= 136 else { return .notMine("its block size is \(blockSize)") }
        guard let first = reader.bytes(at: blockSize, count: Int(blockSize)) else {
            return .unreadable(sector: blockSize / 512)
        }
        guard first.isMacEntry else { return .notMine("block 1 is no entry") }
        let count = min(first.be32(at: 4), 256)
        var table = ParsedTable(.mac, policy: policy)
        for number in 1...max(1, Int(count)) where number <= count {
            let position = UInt64(number) * blockSize
            guard let entry = reader.bytes(at: position, count: Int(blockSize)) else {
                return .unreadable(sector: position / 512)
            }
            guard entry.isMacEntry else {
                leftOver.entries = table.slots.inOrder.map(\.entry)
                return .notMine("entry \(number) of \(count) has no mark")
            }
            table.enter(PartitionEntry(mac: entry, number: number, scale: blockSize / 512, wraps: true))
        }
        return .claimed(table)
    }
}

extension TableBytes {
    fileprivate var isMacEntry: Bool { has("PM") || has("TS") }
}

extension PartitionEntry {
    /// An entry of the map. Linux multiplies in 32 bits.
    fileprivate init(mac entry: TableBytes, number: Int, scale: UInt64, wraps: Bool) {
        var (start, size) = (UInt64(entry.be32(at: 8)) * scale, UInt64(entry.be32(at: 12)) * scale)
        if wraps { (start, size) = (start & 0xFFFF_FFFF, size & 0xFFFF_FFFF) }
        let type = entry.text(at: 48, count: 32)
        self.init(
            number: number, start: start, size: size, type: type, name: entry.text(at: 16, count: 32),
            isRAID: type?.lowercased().hasPrefix("linux_raid") == true)
    }
}
