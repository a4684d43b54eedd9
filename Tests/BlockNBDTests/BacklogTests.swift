// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import Testing

@Suite struct `Replies that the socket does not take at once` {
    /// One request after the other, so that each has a turn of its own and the socket fills up between two of them. The
    /// first whose reply does not fit leaves a rest, the next is what the connection then does not look at; when the
    /// client has taken the rest, it must look again.
    @Test(.timeLimit(.minutes(2)))
    func `do not leave later requests unheard`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048, style: .inline))
        let client = try WireClient(server)
        client.go()
        let length = 100 << 10
        let count = 24
        for round in 0..<20 {
            for cookie in 0..<count {
                client.send(request(0, cookie: UInt64(cookie), length: UInt32(length)))
                for _ in 0..<(round + 1) * 10 { yieldThread() }
            }
            for cookie in 0..<count {
                #expect(client.receive(16)[...] == simpleReply(cookie: UInt64(cookie))[...])
                #expect(client.receive(length).count == length)
            }
        }
        client.close()
        await server.stop()
    }
}
