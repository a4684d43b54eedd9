// SPDX-License-Identifier: Apache-2.0

/// A sector with four partition slots: the master boot record, or an extended boot record of its chain.
struct BootRecord {
    let bytes: TableBytes

    /// Whether the sector ends in 55 AA.
    var isMarked: Bool { bytes.u16(at: 0x1FE) == 0xAA55 }

    var signature: UInt32 { bytes.u32(at: 0x1B8) }

    /// The four slots, used or not.
    let slots: [BootSlot]

    init(_ bytes: TableBytes) {
        self.bytes = bytes
        slots = (0..<4).map { BootSlot(bytes.part(at: 0x1BE + 16 * $0, count: 16)) }
    }

    /// Whether the fields of a FAT boot sector are plausible: reserved sectors, number of FATs, media byte.
    var looksLikeFAT: Bool {
        let media = bytes.u8(at: 0x15)
        return bytes.u16(at: 0x0E) != 0 && bytes.u8(at: 0x10) != 0 && (media == 0xF0 || media >= 0xF8)
    }

    /// Whether it bears AIX's mark.
    var hasAIXMark: Bool { bytes.u32(at: 0) == 0xC1D4_C2C9 }

    /// Whether it bears AIX's mark, and no slot is of a type that Linux uses.
    var looksLikeAIX: Bool {
        hasAIXMark
            && !slots.contains { [0x82, 0x83, 0x8E, 0xFD].contains($0.type) || $0.isExtended }
    }
}

/// One slot of a boot record; positions are in logical blocks.
struct BootSlot {
    let bootByte: UInt8
    let type: UInt8
    let start: UInt32
    let count: UInt32

    init(_ bytes: TableBytes) {
        bootByte = bytes.u8(at: 0)
        type = bytes.u8(at: 4)
        start = bytes.u32(at: 8)
        count = bytes.u32(at: 12)
    }

    /// Whether the slot holds anything: the length decides, not the type.
    var isUsed: Bool { count != 0 }

    var isExtended: Bool { [0x05, 0x0F, 0x85].contains(type) }

    var isProtective: Bool { type == 0xEE }

    var hasSaneBootByte: Bool { bootByte == 0x00 || bootByte == 0x80 }
}
