// SPDX-License-Identifier: Apache-2.0

/// The text of the 16 bytes of a GUID as GPT stores it: lower case, its first three groups little-endian.
func guidText(_ bytes: TableBytes) -> String {
    let node = (10..<16).map { hex(bytes.u8(at: $0), digits: 2) }.joined()
    let sequence = hex(bytes.u8(at: 8), digits: 2) + hex(bytes.u8(at: 9), digits: 2)
    let groups = [
        hex(bytes.u32(at: 0), digits: 8), hex(bytes.u16(at: 4), digits: 4), hex(bytes.u16(at: 6), digits: 4),
        sequence, node,
    ]
    return groups.joined(separator: "-")
}
