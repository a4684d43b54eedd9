// SPDX-License-Identifier: Apache-2.0

// The tables of Acorn's disk interfaces other than its own file system. All little-endian.

extension PartitionScanner {
    /// ICS: at 508 of sector 0 the sum of all bytes before, plus `Part`; then entries of u32 start, s32 size.
    ///
    /// A negative size marks a partition that may begin with a label of Linux'.
    mutating func parseICS() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        let sum = (0..<508).reduce(UInt32(0x5061_7274)) { $0 &+ UInt32(sector.u8(at: $1)) }
        guard sector.u32(at: 508) == sum else { return .notMine("the checksum of sector 0 is not ICS'") }
        var table = ParsedTable(.acornICS, policy: policy)
        for index in 0..<63 {
            var start = UInt64(sector.u32(at: 8 * index))
            let signed = Int32(bitPattern: sector.u32(at: 8 * index + 4))
            guard signed != 0 else { break }
            // Linux negates in 32 bits, and the smallest number stays negative.
            var size = UInt64(signed.magnitude)
            if signed == .min, policy == .kernel { size = UInt64(bitPattern: Int64(signed)) }
            if signed < 0, size > 1, Int64(bitPattern: size) > 1, reader.sector(start)?.has("LinuxPart") == true {
                start += 1
                size -= 1
            }
            table.enter(index + 1, start, size)
        }
        return .claimed(table)
    }

    /// PowerTec: a sum of 8 bits at the end of sector 0, and twelve entries of 28 bytes with start at 8 and size at 12.
    mutating func parsePowerTec() -> Verdict {
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        guard sector.u16(at: 510) != 0xAA55 else { return .notMine("sector 0 ends in 55 AA") }
        let sum = (0..<511).reduce(UInt8(0x2A)) { $0 &+ sector.u8(at: $1) }
        guard sector.u8(at: 511) == sum else { return .notMine("the checksum of sector 0 is not PowerTec's") }
        var table = ParsedTable(.acornPowerTec, policy: policy)
        var number = 1
        for index in 0..<12 {
            let size = sector.u32(at: 28 * index + 12)
            guard size != 0 else { continue }
            table.enter(number, UInt64(sector.u32(at: 28 * index + 8)), UInt64(size))
            number += 1
        }
        return .claimed(table)
    }

    /// EESOX: 256 bytes of sector 7 under a cipher, eight entries with `Eesox` and a start at 16.
    ///
    /// Each partition ends where the next one begins, the last one with the disk.
    mutating func parseEESOX() -> Verdict {
        guard let sector = reader.sector(7) else { return .unreadable(sector: 7) }
        let key = Array("Neil Critchell  ".utf8)
        let plain = TableBytes((0..<256).map { sector.u8(at: $0) ^ key[$0 % 16] }[...])
        var starts: [UInt64] = []
        for index in 0..<8 {
            guard plain.has(Array("Eesox".utf8) + [0], at: 32 * index) else { break }
            starts.append(UInt64(plain.u32(at: 32 * index + 16)))
        }
        guard !starts.isEmpty else { return .notMine("no EESOX entry in sector 7") }
        var table = ParsedTable(.acornEESOX, policy: policy)
        for (index, start) in starts.enumerated() {
            // Where starts descend, sizes wrap.
            let end = index + 1 < starts.count ? starts[index + 1] : reader.capacity
            table.enter(index + 1, start, end &- start)
        }
        return .claimed(table)
    }
}
