// SPDX-License-Identifier: Apache-2.0

/// An entry of AHDI's. Big-endian: flags with bit 0 for active, three characters, u32 first sector, u32 count.
private struct AtariEntry {
    let isActive: Bool
    let id: [UInt8]
    let start: UInt32
    let size: UInt32

    init(_ bytes: TableBytes, at offset: Int) {
        isActive = bytes.u8(at: offset) & 1 == 1
        id = Array(bytes.part(at: offset + 1, count: 3).bytes)
        start = bytes.be32(at: offset + 4)
        size = bytes.be32(at: offset + 8)
    }

    /// Four entries of the root sector, or of one of a chain.
    static func primaries(_ sector: TableBytes) -> [AtariEntry] {
        (0..<4).map { AtariEntry(sector, at: 0x1C6 + 12 * $0) }
    }

    /// The eight entries that ICD's program adds.
    static func further(_ sector: TableBytes) -> [AtariEntry] {
        (0..<8).map { AtariEntry(sector, at: 0x156 + 12 * $0) }
    }

    var isLink: Bool { id == Array("XGM".utf8) }

    var isCommon: Bool { ["GEM", "BGM", "LNX", "SWP", "RAW"].contains { id == Array($0.utf8) } }

    var hasLatinID: Bool {
        id.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            case 0xC0...0xFF: byte != 0xD7 && byte != 0xF7
            default: false
            }
        }
    }

    /// Linux adds in 32 bits.
    func isValid(capacity: UInt64) -> Bool {
        isActive && hasLatinID && UInt64(start) <= capacity && UInt64(start &+ size) <= capacity
    }

    func entry(_ number: Int, from base: UInt64) -> PartitionEntry {
        PartitionEntry(
            number: number, start: base + UInt64(start), size: UInt64(size),
            // Latin-1.
            type: String(String.UnicodeScalarView(id.map { UnicodeScalar($0) })))
    }
}

extension PartitionScanner {
    /// AHDI's root sector. There is no mark: one plausible entry makes the table.
    mutating func parseAtari() -> Verdict {
        guard reader.sectorsPerBlock == 1 else { return .notMine("only disks with blocks of 512 bytes are Atari's") }
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        let primaries = AtariEntry.primaries(sector)
        // Linux compares in 32 bits here.
        let capacity = reader.capacity & (policy == .kernel ? 0xFFFF_FFFF : .max)
        guard primaries.contains(where: { $0.isValid(capacity: capacity) }) else {
            return .notMine("no plausible entry in sector 0")
        }
        var table = ParsedTable(.atari, policy: policy)
        var number = 1
        for primary in primaries {
            if primary.isActive {
                if !primary.isLink {
                    table.enter(primary.entry(number, from: 0))
                } else if let bad = walkAtari(from: primary, number: &number, into: &table) {
                    return .unreadable(sector: bad)
                }
            }
            number += 1
        }
        let hasLinks = primaries.contains { $0.isActive && $0.isLink }
        let further = AtariEntry.further(sector)
        guard !hasLinks, further[0].isCommon else { return .claimed(table) }
        for entry in further {
            if entry.isActive, entry.isCommon {
                table.enter(entry.entry(number, from: 0))
            }
            number += 1
        }
        return .claimed(table)
    }

    /// Enters the partitions of an XGM chain; gives the sector that cannot be read, if there is one.
    private mutating func walkAtari(
        from link: AtariEntry, number: inout Int, into table: inout ParsedTable
    ) -> UInt64? {
        let base = UInt64(link.start)
        var position = base
        while true {
            guard let sector = reader.sector(position) else { return position }
            let entries = AtariEntry.primaries(sector)
            guard entries[0].isActive else { return nil }
            table.enter(entries[0].entry(number, from: position))
            guard entries[1].isActive, entries[1].isLink else { return nil }
            position = (base + UInt64(entries[1].start)) & 0xFFFF_FFFF
            number += 1
            guard number <= PartitionScanLimits.number else {
                warnings.add("atari: no numbers are left for the rest of the chain from sector \(base)")
                return nil
            }
        }
    }
}

// MARK: - libblkid

extension PartitionScanner {
    /// AHDI's root sector as libblkid takes it: by the disk size in it, with plausible entries only.
    mutating func parseBlkidAtari() -> Verdict {
        guard reader.sectorsPerBlock == 1 else { return .notMine("only disks with blocks of 512 bytes are Atari's") }
        guard reader.capacity <= UInt64(Int32.max) else { return .notMine("the disk is too large") }
        guard let sector = reader.sector(0) else { return .unreadable(sector: 0) }
        let limit = sector.be32(at: 0x1C2)
        guard limit >= 2, UInt64(limit) <= reader.capacity else {
            return .notMine("the disk size in sector 0 is \(limit)")
        }
        func fits(_ start: UInt32, _ size: UInt32) -> Bool {
            let (end, wraps) = start.addingReportingOverflow(size)
            return !wraps && start > 0 && size > 0 && start <= limit && size <= limit && end <= limit
        }
        let primaries = AtariEntry.primaries(sector)
        guard primaries.contains(where: { $0.isActive && $0.hasLatinID && fits($0.start, $0.size) }) else {
            return .notMine("no plausible entry in sector 0")
        }
        let (badStart, badCount) = (sector.be32(at: 0x1F6), sector.be32(at: 0x1FA))
        guard badStart == 0 && badCount == 0 || fits(badStart, badCount) else {
            return .notMine("its list of bad sectors is not on the disk")
        }
        var list = BlkidAtariList(table: ParsedTable(.atari, policy: policy), known: leftOver.entries)
        for primary in primaries {
            guard primary.isActive else {
                list.number += 1
                continue
            }
            if primary.isLink {
                if let bad = walkBlkidAtari(from: primary, into: &list) { return .unreadable(sector: bad) }
            } else {
                list.add(primary, from: 0)
            }
        }
        let further = AtariEntry.further(sector)
        if !primaries.contains(where: { $0.isActive && $0.isLink }), further[0].isCommon {
            for entry in further {
                if entry.isActive, entry.isCommon { list.add(entry, from: 0) } else { list.number += 1 }
            }
        }
        return .claimed(list.table)
    }

    private mutating func walkBlkidAtari(from link: AtariEntry, into list: inout BlkidAtariList) -> UInt64? {
        var position = link.start
        for _ in 0..<100 {
            guard let sector = reader.sector(UInt64(position)) else {
                return UInt64(position) < reader.capacity ? UInt64(position) : nil
            }
            let entries = AtariEntry.primaries(sector)
            guard let index = entries.prefix(3).firstIndex(where: \.isActive), !entries[index].isLink else {
                return nil
            }
            guard list.add(entries[index], from: position) else { return nil }
            let next = entries[index + 1]
            guard next.isActive, next.isLink else { return nil }
            position = link.start &+ next.start
        }
        return nil
    }
}

/// Numbers as libblkid gives them: what starts where another one does is no partition, and uses up no number in a chain.
private struct BlkidAtariList {
    var table: ParsedTable
    var number = 1
    private var starts: Set<UInt64> = []

    init(table: ParsedTable, known: [PartitionEntry]) {
        self.table = table
        starts = Set(known.map(\.start))
    }

    /// Whether it was new.
    @discardableResult mutating func add(_ entry: AtariEntry, from base: UInt32) -> Bool {
        var partition = entry.entry(number, from: 0)
        partition.start = UInt64(entry.start &+ base)
        guard starts.insert(partition.start).inserted else {
            if base == 0 { number += 1 }
            return false
        }
        table.enter(partition)
        number += 1
        return true
    }
}
