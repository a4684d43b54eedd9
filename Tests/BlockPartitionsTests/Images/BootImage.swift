// SPDX-License-Identifier: Apache-2.0

/// One slot of a boot record to be written, in logical blocks.
struct Slot {
    var boot: UInt8 = 0
    var type: UInt8 = 0x83
    var start: UInt32 = 0
    var count: UInt32 = 0

    static let empty = Slot(type: 0)

    static func link(_ start: UInt32, _ count: UInt32, type: UInt8 = 0x05) -> Slot {
        Slot(type: type, start: start, count: count)
    }

    static func data(_ start: UInt32, _ count: UInt32, type: UInt8 = 0x83) -> Slot {
        Slot(type: type, start: start, count: count)
    }

    var bytes: [UInt8] { [boot, 0, 2, 0, type, 0xFE, 0xFF, 0xFF] + little(start) + little(count) }
}

/// The bytes of a boot record with up to four slots.
func bootRecord(_ slots: [Slot], signature: UInt32 = 0x1234_ABCD, mark: [UInt8] = [0x55, 0xAA]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    bytes.put(little(signature), at: 0x1B8)
    for (index, slot) in slots.enumerated() {
        bytes.put(slot.bytes, at: 0x1BE + 16 * index)
    }
    bytes.put(mark, at: 0x1FE)
    return bytes
}

extension TestDisk {
    /// A disk with a boot record in sector 0.
    init(_ slots: [Slot], capacity: UInt64 = 100_000, logicalBlockSize: Int = 512, signature: UInt32 = 0x1234_ABCD) {
        self.init(capacity: capacity, logicalBlockSize: logicalBlockSize)
        write(bootRecord(slots, signature: signature), sector: 0)
    }

    /// Writes an extended boot record at a logical block.
    mutating func writeRecord(_ slots: [Slot], block: UInt64) {
        write(bootRecord(slots, signature: 0), sector: block * UInt64(logicalBlockSize / 512))
    }
}
