// SPDX-License-Identifier: Apache-2.0

/// The tracks of a mainframe's disk, in logical blocks.
private struct DASDTracks {
    let geometry: DiskGeometry

    /// A cylinder and a head, with the upper bits of large cylinders in the head.
    func block(_ cylinder: UInt16, _ head: UInt16) -> UInt64 {
        let number = UInt64(head & 0xFFF0) << 12 | UInt64(cylinder)
        let track = UInt64(geometry.sectorsPerTrack)
        return (number &* UInt64(geometry.heads) &* track) &+ UInt64(head & 0xF) &* track
    }
}

extension PartitionScanner {
    /// A volume of IBM's mainframes, with a label in EBCDIC; asked only where the driver tells a geometry.
    ///
    /// The label is in sector 1, block 1 or block 2: `VOL1` has a table of contents, `LNX1` and `CMS1` one partition.
    mutating func parseIBM() -> Verdict {
        guard let geometry = options.geometry else { return .notMine("the disk has no geometry") }
        var tried: Set<UInt64> = []
        for sector in [1, reader.sectorsPerBlock, 2 * reader.sectorsPerBlock] where tried.insert(sector).inserted {
            guard let label = reader.sector(sector) else { continue }
            if label.has([0xE5, 0xD6, 0xD3, 0xF1], at: 0) {
                return parseVOL1(label, DASDTracks(geometry: geometry))
            }
            if label.has([0xD3, 0xD5, 0xE7, 0xF1], at: 0) { return parseLNX1(label, at: sector, geometry) }
            if label.has([0xC3, 0xD4, 0xE2, 0xF1], at: 0) { return parseCMS1(label, at: sector) }
        }
        return .notMine("no VOL1, LNX1 or CMS1 in sector 1, block 1 or block 2")
    }

    /// The compatible layout: a table of contents, block by block, up to the first that is no label of a data set.
    private mutating func parseVOL1(_ label: TableBytes, _ tracks: DASDTracks) -> Verdict {
        let scale = reader.sectorsPerBlock
        let (cylinder, head) = (label.be16(at: 15), label.be16(at: 17))
        var block = tracks.block(cylinder, head) &+ UInt64(label.u8(at: 19)) &+ 1
        var table = ParsedTable(.ibm, id: label.ebcdic(at: 8, count: 6), policy: policy)
        var number = 1
        while true {
            guard let lastBlock = reader.lastBlock, block <= lastBlock, let data = reader.sector(block * scale) else {
                return .unreadable(sector: block &* scale)
            }
            switch data.u8(at: 44) {
            case 0xF4, 0xF5, 0xF7, 0xF9: break
            case 0xF1, 0xF8:
                let first = tracks.block(data.be16(at: 107), data.be16(at: 109))
                let last = tracks.block(data.be16(at: 111), data.be16(at: 113))
                let size = (last &- first &+ UInt64(tracks.geometry.sectorsPerTrack)) &* scale
                table.enter(
                    PartitionEntry(
                        number: number, start: first &* scale, size: size, name: data.ebcdic(at: 0, count: 44)))
                number += 1
            default: return .claimed(table)
            }
            block += 1
        }
    }

    /// Linux' own layout: the rest of the disk, or of what is formatted.
    private mutating func parseLNX1(_ label: TableBytes, at sector: UInt64, _ geometry: DiskGeometry) -> Verdict {
        let scale = reader.sectorsPerBlock
        var table = ParsedTable(.ibm, id: label.ebcdic(at: 4, count: 6), policy: policy)
        let end: UInt64
        if label.u8(at: 79) == 0xF2 {
            end = label.be64(at: 80) &* scale
        } else {
            let blocks = UInt64(geometry.cylinders) &* UInt64(geometry.heads) &* UInt64(geometry.sectorsPerTrack)
            end = reader.capacity
            guard end == blocks &* scale else { return .claimed(table) }
        }
        let start = sector + scale
        table.enter(1, start, end &- start)
        return .claimed(table)
    }

    /// A minidisk of CMS: block size at 12, count at 28, and at 52 the offset of a disk inside it.
    private mutating func parseCMS1(_ label: TableBytes, at sector: UInt64) -> Verdict {
        let scale = UInt64(label.be32(at: 12) / 512)
        let (count, offset) = (UInt64(label.be32(at: 28)), UInt64(label.be32(at: 52)))
        var table = ParsedTable(.ibm, id: label.ebcdic(at: 4, count: 6), policy: policy)
        let start: UInt64
        var end = count * scale
        if offset != 0 {
            start = offset * scale
            end = (count &- 1) &* scale
        } else {
            start = sector == 1 ? 2 * scale : sector + scale
        }
        table.enter(1, start, end &- start)
        return .claimed(table)
    }
}

extension TableBytes {
    /// Text in EBCDIC without the blanks at its end, nil if it is empty: capitals, digits, and what names are made of.
    fileprivate func ebcdic(at offset: Int, count: Int) -> String? {
        var text = part(at: offset, count: count).bytes.map(Self.character)
        while let last = text.last, last == " " || last == "\0" { text.removeLast() }
        return text.isEmpty ? nil : String(text)
    }

    private static func character(_ byte: UInt8) -> Character {
        func from(_ first: Character, _ base: UInt8) -> Character {
            Character(UnicodeScalar((first.asciiValue ?? 0) + (byte - base)))
        }
        return switch byte {
        case 0x81...0x89: from("a", 0x81)
        case 0x91...0x99: from("j", 0x91)
        case 0xA2...0xA9: from("s", 0xA2)
        case 0xC1...0xC9: from("A", 0xC1)
        case 0xD1...0xD9: from("J", 0xD1)
        case 0xE2...0xE9: from("S", 0xE2)
        case 0xF0...0xF9: from("0", 0xF0)
        case 0x00: "\0"
        case 0x40: " "
        case 0x4B: "."
        case 0x5B: "$"
        case 0x60: "-"
        case 0x6D: "_"
        case 0x7B: "#"
        case 0x7C: "@"
        default: "?"
        }
    }
}
