// SPDX-License-Identifier: Apache-2.0

/// The boot block of Acorn's file system, and what it says of another system behind it.
private struct ADFSBootBlock {
    let sectors: UInt32
    /// 1 and 2: RISC iX, 9: Linux.
    let system: UInt8
    /// Sectors before the other system, modulo 2^32.
    let offset: UInt32

    /// Nil if the checksum is wrong or no size is given.
    init?(_ bytes: TableBytes) {
        var sum: UInt32 = 0
        for index in (0..<511).reversed() {
            sum = (sum & 0xFF) + (sum >> 8) + UInt32(bytes.u8(at: index))
        }
        guard UInt8(truncatingIfNeeded: sum) == bytes.u8(at: 511) else { return nil }
        let (size, sizeHigh) = (bytes.u32(at: 0x1D0), bytes.u32(at: 0x1E4))
        guard size != 0 || sizeHigh != 0 else { return nil }
        sectors = sizeHigh << 23 | size >> 9
        system = bytes.u8(at: 0x1FC) & 0x0F
        let heads = UInt32(bytes.u8(at: 0x1C2)) + (bytes.u8(at: 0x1C8) & 0x40 != 0 ? 1 : 0)
        offset = UInt32(bytes.u16(at: 0x1FD)) &* UInt32(bytes.u8(at: 0x1C1)) &* heads
    }
}

extension PartitionScanner {
    /// Acorn's own file system: partition 1, and the table of RISC iX or Linux that its boot block points at.
    mutating func parseADFS() -> Verdict {
        guard let sector = reader.sector(6) else { return .unreadable(sector: 6) }
        guard let boot = ADFSBootBlock(sector) else { return .notMine("no boot block of ADFS in sector 6") }
        var table = ParsedTable(.acornADFS, policy: policy)
        table.enter(1, 0, UInt64(boot.sectors))
        if boot.offset != 0 {
            var number = 2
            _ = enterBehind(
                boot, at: UInt64(boot.offset), room: reader.capacity &- UInt64(boot.offset), &number, &table)
        }
        return .claimed(table)
    }

    /// Cumana: boot blocks that follow each other, each with a partition and another system behind it.
    mutating func parseCumana() -> Verdict {
        var table = ParsedTable(.acornCumana, policy: policy)
        var (first, block): (UInt64, UInt32) = (0, 0)
        var number = 1
        var isMine = false
        while true {
            let position = UInt64(block) * 2 + 6
            guard let sector = reader.sector(position) else { return .unreadable(sector: position) }
            guard number <= PartitionScanLimits.number, let boot = ADFSBootBlock(sector) else { break }
            table.enter(number, first, UInt64(boot.sectors))
            number += 1
            guard boot.offset != 0 else { break }
            isMine = true
            first &+= UInt64(boot.offset)
            block &+= boot.offset / 2
            // Linux hands over no room here: the first partition of the other system only uses up its number.
            if let bad = enterBehind(boot, at: first, room: 0, &number, &table) { return .unreadable(sector: bad) }
        }
        return isMine ? .claimed(table) : .notMine("no boot block of Cumana's with a size in cylinders in sector 6")
    }

    /// Enters what another system has from `start` on; gives the sector that cannot be read, if there is one.
    private mutating func enterBehind(
        _ boot: ADFSBootBlock, at start: UInt64, room: UInt64, _ number: inout Int, _ table: inout ParsedTable
    ) -> UInt64? {
        switch boot.system {
        case 1 where table.kind == .acornADFS, 2: enterRISCiX(at: start, room: room, &number, &table)
        case 9: enterLinux(at: start, room: room, &number, &table)
        default: nil
        }
    }

    private mutating func enterLinux(
        at start: UInt64, room: UInt64, _ number: inout Int, _ table: inout ParsedTable
    ) -> UInt64? {
        table.enter(number, start, min(room, 2))
        number += 1
        guard let sector = reader.sector(start) else { return start }
        for index in 0..<42 {
            let offset = 12 * index
            guard [0xDEAF_A1DE, 0xDEAF_AB1E].contains(sector.u32(at: offset)) else { break }
            table.enter(number, start &+ UInt64(sector.u32(at: offset + 4)), UInt64(sector.u32(at: offset + 8)))
            number += 1
        }
        return nil
    }

    private mutating func enterRISCiX(
        at start: UInt64, room: UInt64, _ number: inout Int, _ table: inout ParsedTable
    ) -> UInt64? {
        guard let sector = reader.sector(start) else { return start }
        guard sector.u32(at: 0) == 0x4A65_7320 else {
            table.enter(number, start, room)
            number += 1
            return nil
        }
        table.enter(number, start, min(room, 2))
        number += 1
        for index in 0..<8 {
            let offset = 8 + 28 * index
            guard sector.u32(at: offset + 8) != 0, !sector.has(Array("All".utf8) + [0], at: offset + 12) else {
                continue
            }
            table.enter(
                PartitionEntry(
                    number: number, start: UInt64(sector.u32(at: offset)), size: UInt64(sector.u32(at: offset + 4)),
                    name: sector.text(at: offset + 12, count: 16)))
            number += 1
        }
        return nil
    }
}
