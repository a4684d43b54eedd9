// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// Motorola's System V. Big-endian, in sector 0: `MOTOROLA` at 248, at 384 the sector of the table, at 388 the number
    /// of its slices. Each is a u32 size and a u32 first sector; the last one is the disk as a whole, and left out.
    mutating func parseSysV68() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.has("MOTOROLA", at: 248) else { return .notMine("no MOTOROLA at byte 248 of sector 0") }
        // Linux takes the position for a signed number: a great one is beyond any disk.
        let position = UInt64(bitPattern: Int64(Int32(bitPattern: sector.be32(at: 384))))
        guard let slices = reader.sector(position) else { return .unreadable(sector: position) }
        let count = Int(sector.be16(at: 388)) - 1
        if count > 64 { warnings.add("sysv68: \(count + 1) slices, a sector has room for 64: the others are left out") }
        var table = ParsedTable(.sysv68, policy: policy)
        for index in 0..<max(0, min(count, 64)) {
            let size = slices.be32(at: 8 * index)
            guard size > 0 else { continue }
            table.enter(index + 1, UInt64(slices.be32(at: 8 * index + 4)), UInt64(size))
        }
        return .claimed(table)
    }
}
