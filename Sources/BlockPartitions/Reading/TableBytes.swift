// SPDX-License-Identifier: Apache-2.0

/// Bytes of a table, with reads that cannot leave them: `u` little-endian, `be` big-endian.
///
/// A byte outside reads as zero: a wrong offset shows as a bad table, never as another's memory or a trap.
struct TableBytes {
    let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
    }

    var count: Int { bytes.count }

    func u8(at offset: Int) -> UInt8 {
        guard offset >= 0, offset < bytes.count else { return 0 }
        return bytes[bytes.startIndex + offset]
    }

    func u16(at offset: Int) -> UInt16 { little(at: offset) }

    func u32(at offset: Int) -> UInt32 { little(at: offset) }

    func u64(at offset: Int) -> UInt64 { little(at: offset) }

    func be16(at offset: Int) -> UInt16 { u16(at: offset).byteSwapped }

    func be32(at offset: Int) -> UInt32 { u32(at: offset).byteSwapped }

    func be64(at offset: Int) -> UInt64 { u64(at: offset).byteSwapped }

    /// Whether these bytes stand at `offset`.
    func has(_ text: StaticString, at offset: Int = 0) -> Bool {
        has(Array(text.description.utf8), at: offset)
    }

    /// Whether these bytes stand at `offset`.
    func has(_ wanted: [UInt8], at offset: Int) -> Bool {
        part(at: offset, count: wanted.count).bytes.elementsEqual(wanted)
    }

    /// The text of the `count` bytes from `offset` on, up to the first NUL; nil if there is none.
    ///
    /// Bytes that are no UTF-8 become U+FFFD.
    func text(at offset: Int, count: Int) -> String? {
        let bytes = part(at: offset, count: count).bytes.prefix { $0 != 0 }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    /// The sum of the first `count` big-endian words, modulo 2^32.
    func sumOfWords(_ count: Int) -> UInt32 {
        (0..<count).reduce(0) { $0 &+ be32(at: 4 * $1) }
    }

    /// The `count` bytes from `offset` on, as far as there are any.
    func part(at offset: Int, count: Int) -> TableBytes {
        TableBytes(bytes.dropFirst(max(0, offset)).prefix(max(0, count)))
    }

    private func little<Field: FixedWidthInteger & UnsignedInteger>(at offset: Int) -> Field {
        var value: Field = 0
        for index in 0..<Field.bitWidth / 8 {
            value |= Field(u8(at: offset + index)) << (8 * index)
        }
        return value
    }
}
