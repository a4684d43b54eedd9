// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import TestSupport
import Testing

@Suite("A CRC-32")
struct CRC32Tests {
    @Test func `of the nine digits is the published one`() {
        #expect(CRC32(of: Array("123456789".utf8)[...]).value == 0xCBF4_3926)
    }

    @Test func `of nothing is zero`() {
        #expect(CRC32().value == 0)
        #expect(CRC32(of: []).value == 0)
    }

    @Test func `does not depend on how the bytes are cut`() {
        var generator = SeededGenerator(seed: 7)
        let bytes = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let whole = CRC32(of: bytes[...]).value
        #expect(whole == plainChecksum(bytes))
        for cut in [0, 1, 3, 4, 7, 8, 500, 999, 1000] {
            var sum = CRC32(of: bytes[..<cut])
            sum.update(bytes[cut...])
            #expect(sum.value == whole)
        }
    }
}
