// SPDX-License-Identifier: Apache-2.0

/// CRC-32 bit by bit, so that the library's is not checked against itself.
func plainChecksum(_ bytes: [UInt8]) -> UInt32 {
    var sum = UInt32.max
    for byte in bytes {
        sum ^= UInt32(byte)
        for _ in 0..<8 {
            sum = sum & 1 == 0 ? sum >> 1 : (sum >> 1) ^ 0xEDB8_8320
        }
    }
    return ~sum
}
