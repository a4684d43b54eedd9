// SPDX-License-Identifier: Apache-2.0

/// One of the 128-byte entries of a GPT.
struct GPTEntry {
    let bytes: TableBytes

    /// Whether the type is not all zero.
    var isUsed: Bool { bytes.u64(at: 0) != 0 || bytes.u64(at: 8) != 0 }

    var type: String { guidText(bytes.part(at: 0, count: 16)) }
    var uuid: String { guidText(bytes.part(at: 16, count: 16)) }
    var first: UInt64 { bytes.u64(at: 32) }
    var last: UInt64 { bytes.u64(at: 40) }
    var attributes: UInt64 { bytes.u64(at: 48) }

    /// The name, nil if it is empty.
    func name(_ policy: PartitionPolicy) -> String? {
        var units: [UInt16] = []
        units.reserveCapacity(36)
        for index in 0..<36 {
            let unit = bytes.u16(at: 56 + 2 * index)
            if unit == 0 { break }
            units.append(unit)
        }
        let name =
            switch policy {
            case .platter, .blkid: Self.text(units)
            case .kernel: Self.squeezed(units)
            }
        return name.isEmpty ? nil : name
    }

    /// Most names are plain: those need no decoding.
    private static func text(_ units: [UInt16]) -> String {
        guard units.allSatisfy({ $0 < 0x80 }) else { return String(decoding: units, as: UTF16.self) }
        return String(decoding: units.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    /// Seven bits of each unit up to the first that is then zero, with `!` for what does not print.
    private static func squeezed(_ units: [UInt16]) -> String {
        let characters = units.lazy.map { UInt8($0 & 0x7F) }.prefix { $0 != 0 }
        return String(decoding: characters.map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "!") }, as: UTF8.self)
    }
}
