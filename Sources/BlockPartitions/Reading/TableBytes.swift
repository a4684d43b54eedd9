// SPDX-License-Identifier: Apache-2.0

/// Bytes of a table, with little-endian reads that cannot leave them.
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
