// SPDX-License-Identifier: Apache-2.0

/// The text of the 16 bytes of a GUID as GPT stores it: lower case, its first three groups little-endian.
func guidText(_ bytes: TableBytes) -> String {
    func digit(_ value: UInt8) -> UInt8 { value + (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) }
    var text: [UInt8] = []
    text.reserveCapacity(36)
    for place in 0..<16 {
        if [4, 6, 8, 10].contains(place) { text.append(UInt8(ascii: "-")) }
        let index = place < 4 ? 3 - place : place < 8 ? place ^ 1 : place
        let byte = bytes.u8(at: index)
        text.append(digit(byte >> 4))
        text.append(digit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
}
