// SPDX-License-Identifier: Apache-2.0

extension PartitionScanner {
    /// The label of Ultrix. Little-endian, in the last 72 bytes of sector 31: 0x032957, 1, then eight slots of s32 count,
    /// u32 first sector.
    ///
    /// A negative count is a size past 2^63, as in Linux: what wraps is dropped or kept as the policy says.
    mutating func parseUltrix() -> Verdict {
        guard let sector = reader.sector(31) else { return .unreadable(sector: 31) }
        guard sector.u32(at: 440) == 0x0003_2957, sector.u32(at: 444) == 1 else {
            return .notMine("no Ultrix label at byte 440 of sector 31")
        }
        var table = ParsedTable(.ultrix, policy: policy)
        for index in 0..<8 {
            let count = Int32(bitPattern: sector.u32(at: 448 + 8 * index))
            guard count != 0 else { continue }
            table.enter(
                index + 1, UInt64(sector.u32(at: 452 + 8 * index)), UInt64(bitPattern: Int64(count)))
        }
        return .claimed(table)
    }
}
