// SPDX-License-Identifier: Apache-2.0

// The tables of Solaris, UnixWare and Minix inside a partition of an MBR.

extension PartitionScanner {
    /// The volume table of Solaris on PCs, in sector 1 of its partition. Little-endian:
    ///
    /// | offset | field |
    /// |---|---|
    /// | 12 | u32 0x600DDEEE |
    /// | 16 | u32 version, 1 |
    /// | 30 | u16 number of slices |
    /// | 72 + 12 i | u16 tag, u16 flags, u32 start, u32 size |
    ///
    /// Starts count from the partition; nothing holds the slices inside of it.
    mutating func solarisEntries(in parent: NestedParent) -> [PartitionEntry] {
        guard let bytes = reader.sector(parent.sector(1)), bytes.isSolarisTable else { return [] }
        let announced = Int(bytes.u16(at: 30))
        guard policy != .blkid else {
            return bytes.blkidSolarisSlices(base: parent.start).filter { parent.holds($0.start, $0.size) }
        }
        return (0..<(announced > 8 ? 16 : 8)).compactMap { index in
            let slice = bytes.solarisSlice(index)
            guard slice.size > 0 else { return nil }
            let start = slice.start + parent.start
            if policy == .platter, !parent.holds(start, slice.size) {
                warnings.add(
                    "partition \(parent.number): its Solaris slice \(index) at sector \(start) lies outside of it: kept"
                )
            }
            return PartitionEntry(solaris: slice, start: start)
        }
    }

    /// libblkid's Solaris table on a whole disk.
    mutating func parseBareSolaris() -> Verdict {
        guard let bytes = reader.sector(1) else { return .unreadable(sector: 1) }
        guard bytes.isSolarisTable else { return .notMine("no Solaris table in sector 1") }
        var table = ParsedTable(.solaris, policy: policy)
        for (index, var entry) in bytes.blkidSolarisSlices(base: 0).enumerated() {
            entry.number = index + 1
            table.enter(entry)
        }
        return .claimed(table)
    }

    /// The volume table of UnixWare, in sector 29 of its partition. Little-endian:
    ///
    /// | offset | field |
    /// |---|---|
    /// | 4 | u32 0xCA5E600D |
    /// | 156 | u32 0x600DDEEE |
    /// | 216 + 12 i | u16 label, u16 flags, u32 start, u32 size; slice 0 is the whole |
    ///
    /// Starts count from the disk's beginning. libblkid looks for the mark in the wrong place, and finds none.
    mutating func unixwareEntries(in parent: NestedParent) -> [PartitionEntry] {
        guard policy != .blkid, let bytes = reader.sector(parent.sector(29)), bytes.u32(at: 4) == 0xCA5E_600D,
            bytes.u32(at: 156) == 0x600D_DEEE
        else { return [] }
        return (1..<16).compactMap { index in
            let offset = 216 + 12 * index
            let label = bytes.u16(at: offset)
            guard label != 0 else { return nil }
            return PartitionEntry(
                number: 0, start: UInt64(bytes.u32(at: offset + 4)), size: UInt64(bytes.u32(at: offset + 8)),
                type: "0x" + hex(label))
        }
    }

    /// Minix' own boot record at the start of its partition: slots of type 81, from the disk's beginning, in sectors.
    mutating func minixEntries(in parent: NestedParent) -> [PartitionEntry] {
        guard let bytes = reader.sector(parent.start) else { return [] }
        let record = BootRecord(bytes)
        guard record.isMarked, policy == .blkid || record.slots[0].type == 0x81 else { return [] }
        return record.slots.filter { $0.type == 0x81 }.compactMap { slot in
            let (start, size) = (UInt64(slot.start), UInt64(slot.count))
            if policy == .blkid, !parent.holds(start, size) { return nil }
            return PartitionEntry(
                number: 0, start: start, size: size, type: "0x81", isBootable: slot.bootByte == 0x80)
        }
    }
}

/// One slice of a Solaris table.
private struct SolarisSlice {
    let tag: UInt16
    let start: UInt64
    let size: UInt64
}

extension TableBytes {
    fileprivate var isSolarisTable: Bool { u32(at: 12) == 0x600D_DEEE && u32(at: 16) == 1 }

    fileprivate func solarisSlice(_ index: Int) -> SolarisSlice {
        let offset = 72 + 12 * index
        return SolarisSlice(
            tag: u16(at: offset), start: UInt64(u32(at: offset + 4)), size: UInt64(u32(at: offset + 8)))
    }

    /// What libblkid takes: one slice less than announced, and never the one for the whole.
    fileprivate func blkidSolarisSlices(base: UInt64) -> [PartitionEntry] {
        let count = min(Int(u16(at: 30)), 16) - 1
        return (0..<max(0, count)).compactMap { index in
            let slice = solarisSlice(index)
            guard slice.size > 0, slice.tag != 5 else { return nil }
            return PartitionEntry(solaris: slice, start: slice.start + base)
        }
    }
}

extension PartitionEntry {
    fileprivate init(solaris slice: SolarisSlice, start: UInt64) {
        self.init(number: 0, start: start, size: slice.size, type: "0x" + hex(slice.tag))
        isWholeDisk = slice.tag == 5
    }
}
