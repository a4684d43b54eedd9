// SPDX-License-Identifier: Apache-2.0

// An MBR as libblkid 2.38 reads it.

extension PartitionScanner {
    /// Reads an MBR by libblkid's rules: a file system's boot sector is none, loops end at the first known start.
    mutating func parseBlkidMBR() -> Verdict {
        guard let bytes = reader.sector(0) else { return .unreadable(sector: 0) }
        let record = BootRecord(bytes)
        guard record.isMarked else { return .notMine("sector 0 does not end in 55 AA") }
        guard !record.hasAIXMark else { return .notMine("an AIX disk") }
        if let odd = record.slots.firstIndex(where: { !$0.hasSaneBootByte }) {
            return .notMine("boot byte \(hex(record.slots[odd].bootByte, digits: 2)) in slot \(odd + 1)")
        }
        guard !record.slots.contains(where: \.isProtective) else {
            return .notMine("a slot of type EE announces a GPT")
        }
        if let fileSystem = FileSystemMark.whole(of: bytes) {
            return .notMine("the boot sector of a file system (\(fileSystem))")
        }
        if !record.slots.contains(where: \.isUsed), hasVolumeLabel() {
            return .notMine("an empty MBR on a physical volume of LVM")
        }
        return blkidPartitions(of: record)
    }

    private mutating func hasVolumeLabel() -> Bool {
        (0..<4).contains { reader.sector($0)?.has("LVM2 001", at: 24) == true }
    }

    private mutating func blkidPartitions(of record: BootRecord) -> Verdict {
        var table = ParsedTable(.dos, id: record.identity, policy: policy)
        let scale = UInt32(reader.sectorsPerBlock)
        var chain = BlkidChain(signature: record.signature, scale: scale)
        for (index, slot) in record.slots.enumerated() where slot.count &* scale != 0 {
            let entry = chain.entry(index + 1, start: UInt64(slot.start &* scale), slot)
            table.enter(entry)
            chain.known.insert(entry.start)
        }
        for slot in record.slots where slot.count &* scale != 0 && slot.isExtended {
            chain.walk(slot, into: &table, reader: &reader)
        }
        // Not on floppy disks.
        guard reader.capacity > 2880 else { return .claimed(table) }
        for (index, slot) in record.slots.enumerated() where slot.count &* scale != 0 && !slot.isExtended {
            guard slot.type != 0xBF, let kind = slot.nestedTable, options.asks(kind) else { continue }
            let parent = NestedParent(
                number: index + 1, type: slot.type, start: UInt64(slot.start &* scale),
                size: UInt64(slot.count &* scale))
            guard parent.start + parent.size <= reader.capacity else {
                return .malformed("partition \(parent.number) may hold a table, and is not on the disk")
            }
            // Its mark is looked for in 1024 bytes of the partition.
            guard parent.size >= 2 else { continue }
            let found: [PartitionEntry] =
                switch kind {
                case .bsd: bsdEntries(in: parent)
                case .solaris: solarisEntries(in: parent)
                case .unixware: unixwareEntries(in: parent)
                default: minixEntries(in: parent)
                }
            for var entry in found {
                entry.number = chain.next
                entry.nested = kind
                table.slots.enter(ParsedPartition(entry: entry, role: .nested(parent: parent.number)))
                chain.next += 1
            }
        }
        return .claimed(table)
    }

    /// A protective MBR behind which no GPT is valid.
    mutating func parseProtectiveMBR() -> Verdict {
        guard let bytes = reader.sector(0) else { return .unreadable(sector: 0) }
        let record = BootRecord(bytes)
        guard record.isMarked, record.slots.contains(where: \.isProtective) else {
            return .notMine("no slot of type EE in sector 0")
        }
        return .claimed(ParsedTable(.protectiveMBR, policy: policy))
    }
}

/// libblkid's walk along a chain of extended boot records, with its 32-bit arithmetic.
private struct BlkidChain {
    let signature: UInt32
    let scale: UInt32
    var next = 5

    /// Where partitions start so far: what starts there again is taken for a loop.
    var known: Set<UInt64> = []

    func entry(_ number: Int, start: UInt64, _ slot: BootSlot) -> PartitionEntry {
        var entry = PartitionEntry(
            number: number, start: start, size: UInt64(slot.count &* scale), slot: slot, signature: signature)
        if signature == 0 { entry.uuid = nil }
        return entry
    }

    mutating func walk<Source>(_ slot: BootSlot, into table: inout ParsedTable, reader: inout PageReader<Source>) {
        let (first, extent) = (slot.start &* scale, slot.count &* scale)
        var position = UInt64(first)
        var room = extent
        var withoutData = 0
        while withoutData < 100 {
            guard let bytes = reader.sector(position) else { return }
            let record = BootRecord(bytes)
            guard record.isMarked else { return }
            withoutData += 1
            for (index, slot) in record.slots.enumerated() where slot.count &* scale != 0 && !slot.isExtended {
                let (offset, size) = (slot.start &* scale, slot.count &* scale)
                let start = UInt32(truncatingIfNeeded: position) &+ offset
                let isInside = offset &+ size <= room && start >= first && start &+ size <= first &+ extent
                guard index < 2 || isInside, known.insert(UInt64(start)).inserted else { continue }
                table.slots.enter(ParsedPartition(entry: entry(next, start: UInt64(start), slot), role: .logical))
                next += 1
                withoutData = 0
            }
            guard let link = record.slots.first(where: { $0.count &* scale != 0 && $0.isExtended }) else { return }
            position = UInt64(first) + UInt64(link.start &* scale)
            room = link.count &* scale
        }
    }
}

/// The marks by which libblkid knows that a boot sector is a file system's.
enum FileSystemMark {
    /// The file system to which this boot sector belongs, nil if it is none.
    static func whole(of sector: TableBytes) -> String? {
        if isFAT(sector) { return "FAT" }
        if isExFAT(sector) { return "exFAT" }
        if isNTFS(sector) { return "NTFS" }
        return nil
    }

    private static func isPowerOfTwo(_ value: Int) -> Bool { value > 0 && value & (value - 1) == 0 }

    private static func isFAT(_ sector: TableBytes) -> Bool {
        let named =
            sector.has("MSWIN", at: 0x52) || sector.has("FAT32   ", at: 0x52) || sector.has("MSDOS", at: 0x36)
            || ["FAT16   ", "FAT12   ", "FAT     "].contains { (name: StaticString) in sector.has(name, at: 0x36) }
        if !named {
            let isOther = sector.has("JFS     ", at: 0x36) || sector.has("HPFS    ", at: 0x36)
            guard !isOther, sector.u16(at: 0x1FE) == 0xAA55 else { return false }
        }
        let media = sector.u8(at: 0x15)
        let sectorSize = Int(sector.u16(at: 0x0B))
        let clusterSize = Int(sector.u8(at: 0x0D))
        let (reserved, copies) = (Int(sector.u16(at: 0x0E)), Int(sector.u8(at: 0x10)))
        guard copies > 0, reserved > 0, media == 0xF0 || media >= 0xF8, isPowerOfTwo(clusterSize),
            isPowerOfTwo(sectorSize), (512...4096).contains(sectorSize)
        else { return false }
        let shortLength = Int(sector.u16(at: 0x16))
        let longLength = Int(sector.u32(at: 0x24))
        let sectors = sector.u16(at: 0x13) == 0 ? Int(sector.u32(at: 0x20)) : Int(sector.u16(at: 0x13))
        let tables = (shortLength == 0 ? longLength : shortLength) * copies
        let directory = (Int(sector.u16(at: 0x11)) * 32 + sectorSize - 1) / sectorSize
        let data = UInt32(truncatingIfNeeded: sectors &- (reserved + tables + directory))
        let clusters = Int(data) / clusterSize
        if shortLength == 0, longLength != 0 { return clusters <= 0x0FFF_FFF6 }
        return clusters <= 0xFFF4
    }

    private static func isExFAT(_ sector: TableBytes) -> Bool {
        guard sector.has("EXFAT   ", at: 3), sector.u16(at: 0x1FE) == 0xAA55 else { return false }
        return sector.part(at: 11, count: 53).bytes.allSatisfy { $0 == 0 } && (1...2).contains(sector.u8(at: 110))
            && (9...12).contains(sector.u8(at: 108))
    }

    private static func isNTFS(_ sector: TableBytes) -> Bool {
        guard sector.has("NTFS    ", at: 3) else { return false }
        let size = Int(sector.u16(at: 0x0B))
        return isPowerOfTwo(size) && (256...4096).contains(size) && sector.u16(at: 0x0E) == 0
            && sector.u8(at: 0x10) == 0 && sector.u16(at: 0x16) == 0
    }
}
