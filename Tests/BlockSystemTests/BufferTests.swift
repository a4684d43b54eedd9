// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Testing

@Suite struct `Memory of buffers that are gone` {
    @Test func `is there for the next of about their size, and for no other`() throws {
        let cache = BufferCache(limit: 1 << 20)
        let first = try #require(cache.take(100_000))
        #expect(UInt(bitPattern: first) % 4096 == 0 && cache.bytes == 0)
        cache.giveBack(first, 100_000)
        #expect(cache.bytes == 128 << 10)
        for count in [64 << 10, (128 << 10) + 1] {
            let other = try #require(cache.take(count))
            #expect(other != first)
            cache.giveBack(other, count)
        }
        let again = try #require(cache.take(128 << 10))
        #expect(again == first, "all of its bytes can be used")
        again.initializeMemory(as: UInt8.self, repeating: 1, count: 128 << 10)
        cache.giveBack(again, 128 << 10)
    }

    @Test func `is kept up to a limit, and neither small nor large`() throws {
        let cache = BufferCache(limit: 300 << 10)
        let pieces = try (0..<4).map { _ in try #require(cache.take(128 << 10)) }
        for piece in pieces { cache.giveBack(piece, 128 << 10) }
        #expect(cache.bytes == 256 << 10, "two of the four")
        for (count, kept) in [(0, 0), (4096, 0), (16 << 10, 0), ((16 << 10) + 1, 32), (32 << 10, 32), (4 << 20, 0)] {
            let cache = BufferCache(limit: 8 << 20)
            cache.giveBack(try #require(cache.take(count)), count)
            #expect(cache.bytes == kept << 10)
        }
        let none = BufferCache(limit: 0)
        none.giveBack(try #require(none.take(64 << 10)), 64 << 10)
        #expect(none.bytes == 0)
    }
}
