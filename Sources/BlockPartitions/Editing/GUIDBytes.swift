// SPDX-License-Identifier: Apache-2.0

/// The 16 bytes of a GUID as GPT stores it; nil if the text is none. Upper and lower case are the same.
func guidBytes(_ text: String) -> [UInt8]? {
    let groups = text.split(separator: "-", omittingEmptySubsequences: false)
    guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12] else { return nil }
    let digits = groups.joined().utf8.map { byte -> UInt8? in
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
    let values = digits.compactMap { $0 }
    guard values.count == 32 else { return nil }
    let plain = (0..<16).map { values[2 * $0] << 4 | values[2 * $0 + 1] }
    // The first three groups are little-endian.
    return plain[0..<4].reversed() + plain[4..<6].reversed() + plain[6..<8].reversed() + plain[8...]
}

/// A GUID that nobody else has (version 4).
func randomGUID(using generator: inout some RandomNumberGenerator) -> String {
    var bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
    bytes[7] = bytes[7] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    return guidText(TableBytes(bytes[...]))
}

extension [UInt8] {
    /// Puts a number over the bytes at an offset, least significant first.
    mutating func put<Field: FixedWidthInteger>(_ value: Field, at offset: Int) {
        for index in 0..<Field.bitWidth / 8 { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
    }

    /// Puts bytes over those at an offset.
    mutating func put(_ bytes: some Collection<UInt8>, at offset: Int) {
        replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
}
