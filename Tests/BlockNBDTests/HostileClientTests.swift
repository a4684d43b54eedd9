// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import Foundation
import TestSupport
import Testing

/// Everything a client says in a short life, in one piece.
private func conversation() -> [UInt8] {
    let sector = [UInt8](repeating: 0x77, count: 512)
    return be32(3) + optionBytes(8, []) + optionBytes(10, metaContext("pl0", ["base:allocation"]))
        + optionBytes(6, exportRequest("pl0", [1, 2, 3])) + optionBytes(7, exportRequest("pl0"))
        + request(0, cookie: 1, offset: 512, length: 512) + request(1, cookie: 2, offset: 1024, length: 512, sector)
        + request(3, cookie: 3) + request(7, cookie: 4, offset: 0, length: 4096)
        + request(6, flags: 2, cookie: 5, offset: 4096, length: 4096)
        + request(0, cookie: 6, offset: 131072, length: 65536)
        + request(2, cookie: 7)
}

@Suite struct `A hostile or unlucky client` {
    @Test(arguments: [SubmissionStyle.inline, .mayBlock])
    func `may vanish at any byte`(style: SubmissionStyle) async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048, style: style))
        let bytes = conversation()
        for count in 0...bytes.count {
            let client = try WireClient(server)
            client.send(Array(bytes.prefix(count)))
            client.close()
        }
        #expect(eventually { server.server.statistics.connections == 0 })
        #expect(eventually { server.registry.disk(named: "pl0")?.openers.isEmpty == true })
        let good = try WireClient(server)
        good.go()
        good.send(request(0, length: 512))
        #expect(good.receive(528).count == 528)
        await server.stop()
    }

    @Test func `may send everything before it listens`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048))
        let client = try WireClient(server)
        client.send(conversation())
        let answer = client.rest()
        // The last two replies: write zeroes, and a read that is one hole.
        #expect(answer.suffix(32 + 16).prefix(16) == simpleReply(cookie: 5)[...])
        #expect(answer.suffix(32) == chunk(2, cookie: 6, be64(131072) + be32(65536))[...])
        await server.stop()
    }

    @Test func `may stop sending and still gets its answers`() async throws {
        for style in [SubmissionStyle.inline, .mayBlock] {
            let server = try TestServer()
            let driver = try MemoryDriver(sectors: 2048, style: style)
            try await server.add(driver)
            let client = try WireClient(server)
            client.go()
            driver.keep()
            client.send(request(0, cookie: 1, length: 512) + request(0, cookie: 2, length: 512))
            client.socket?.finishSending()
            #expect(eventually { driver.keptCount == 2 })
            driver.letGo()
            #expect(client.rest().count == 2 * 528)
            await server.stop()
        }
    }

    @Test func `is dropped when it says nothing, and when it talks without coming to the point`() async throws {
        let server = try TestServer { $0.handshakeDeadline = .seconds(2) }
        try await server.add(MemoryDriver(sectors: 2048))
        // The first of them gets through in time. Its deadline is the first to pass, and is none any more.
        let good = try WireClient(server)
        good.go()
        let silent = try WireClient(server)
        let talker = try WireClient(server)
        talker.greet()
        #expect(
            eventually {
                _ = talker.option(3)
                return server.server.statistics.handshakeTimeouts == 2
            })
        #expect(silent.rest() == text("NBDMAGIC") + text("IHAVEOPT") + [0, 3])
        #expect(eventually { server.server.statistics.connections == 1 })
        good.send(request(0, cookie: 7, length: 512))
        #expect(good.receive(528).prefix(16) == simpleReply(cookie: 7)[...])
        #expect(server.server.statistics.handshakeTimeouts == 2)
        await server.stop()
    }

    @Test func `may send any bytes, and costs nobody else anything`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: PipelineClient.sectors(connections: 1)))
        let other = try PipelineClient(server.address, connections: 1)
        try other.start()
        for seed in UInt64(1)...150 {
            var random = Seeded(seed)
            var bytes = conversation()
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // Not into the blocks that the other one verifies: what a mutation asks for must stay harmless.
                let at = Int.random(in: 0..<bytes.count, using: &random)
                bytes[at] ^= UInt8.random(in: 1...255, using: &random)
            }
            let client = try WireClient(server)
            client.send(onlyReads(bytes))
            client.socket?.finishSending()
            _ = client.rest()
        }
        let report = other.finish()
        #expect(report.errors == 0 && report.mismatches == 0 && report.unanswered == 0, "\(report)")
        #expect(eventually { server.server.statistics.connections == 0 })
        await server.stop()
    }

    /// Turns the requests that change something into reads, wherever a mutation has left them whole.
    private func onlyReads(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for at in 0..<max(bytes.count - 8, 0) where Array(bytes[at..<(at + 4)]) == be32(0x2560_9513) {
            if bytes[at + 7] == 1 || bytes[at + 7] == 4 || bytes[at + 7] == 6 { bytes[at + 7] = 0 }
        }
        return bytes
    }

    @Test func `may vanish two hundred times while another one verifies`() async throws {
        let server = try TestServer()
        let driver = try MemoryDriver(sectors: PipelineClient.sectors(connections: 1) + 4096, style: .async)
        try await server.add(driver)
        let other = try PipelineClient(server.address, connections: 1)
        try other.start()
        let away = PipelineClient.sectors(connections: 1) * 512
        let payload = [UInt8](repeating: 1, count: 4096)
        for seed in UInt64(1)...200 {
            var random = Seeded(seed)
            let client = try WireClient(server)
            if seed % 4 == 0 {
                client.send(Array(conversation().prefix(Int.random(in: 0...600, using: &random))))
            } else {
                client.go()
                var bytes: [UInt8] = []
                for cookie in UInt64(0)..<UInt64.random(in: 1...128, using: &random) {
                    let isWrite = Bool.random(using: &random)
                    bytes += request(
                        isWrite ? 1 : 0, cookie: cookie, offset: away + cookie * 4096, length: 4096,
                        isWrite ? payload : [])
                }
                client.send(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))))
            }
            client.close()
        }
        #expect(eventually { server.server.statistics.connections == 1 })
        let report = other.finish()
        #expect(report.errors == 0 && report.mismatches == 0 && report.unanswered == 0, "\(report)")
        await server.stop()
    }

    @Test func `may leave with its requests at a driver that never answers`() async throws {
        for style in [SubmissionStyle.inline, .async, .mayBlock] {
            let server = try TestServer()
            let driver = try MemoryDriver(sectors: 2048, style: style)
            let disk = try await server.add(driver)
            driver.keep()
            for _ in 0..<8 {
                let client = try WireClient(server)
                client.go()
                var bytes: [UInt8] = []
                for cookie in UInt64(0)..<128 { bytes += request(0, cookie: cookie, offset: cookie * 512, length: 512) }
                client.send(bytes)
                client.close()
            }
            #expect(eventually { server.server.statistics.connections == 0 })
            // What it had asked is still with the driver, and nobody is waiting for it.
            #expect(disk.openers.isEmpty)
            driver.letGo()
            let good = try WireClient(server)
            good.go()
            good.send(request(0, length: 512))
            #expect(good.receive(528).count == 528)
            await server.stop()
        }
    }

    @Test func `that does not read its replies is not read from, and holds little memory`() async {
        await #expect(processExitsWith: .success) {
            for style in [SubmissionStyle.inline, .async, .mayBlock] { try await slowReader(style) }
        }
    }

    @Test func `finds a limit on connections`() async throws {
        let server = try TestServer { $0.connectionsMax = 3 }
        try await server.add(MemoryDriver(sectors: 2048))
        let clients = try (0..<3).map { _ in try WireClient(server) }
        for client in clients { client.go() }
        let fourth = try WireClient(server)
        #expect(fourth.rest().isEmpty)
        #expect(server.server.statistics.refused == 1)
        clients[0].send(request(2))
        #expect(clients[0].rest().isEmpty)
        #expect(eventually { server.listener.connections == 2 })
        try WireClient(server).go()
        await server.stop()
    }

    @Test func `is turned away when descriptors run out, without a spin`() async {
        await #expect(processExitsWith: .success) { try await runOutOfDescriptors() }
    }

    @Test func `is answered what it asked when the server stops`() async throws {
        let server = try TestServer()
        let driver = try MemoryDriver(sectors: 2048, style: .async)
        try await server.add(driver)
        let client = try WireClient(server)
        client.go()
        driver.keep()
        client.send(request(0, cookie: 5, length: 512))
        #expect(eventually { driver.keptCount == 1 })
        let stopped = Parker()
        WorkerThread.detach(name: "test-stop") {
            server.server.stop(within: .seconds(20))
            stopped.raise()
        }
        #expect(eventually { server.server.listeners.isEmpty })
        driver.letGo()
        #expect(client.rest().count == 528)
        #expect(stopped.wait(until: Instant.now + .seconds(20)))
        #expect(throws: SystemError.self) { try WireClient(server) }
        #expect(!FileManager.default.fileExists(atPath: server.path))
        await server.stop()
    }

    @Test func `is cut when the server stops and its driver does not answer`() async throws {
        let server = try TestServer()
        let driver = try MemoryDriver(sectors: 2048, style: .async)
        try await server.add(driver)
        let client = try WireClient(server)
        client.go()
        driver.keep()
        client.send(request(0, length: 512))
        #expect(eventually { driver.keptCount == 1 })
        server.server.stop(within: .milliseconds(50))
        #expect(client.rest().isEmpty)
        driver.letGo()
        await server.stop()
    }
}

/// Asks for 128 MiB in pieces of 1 MiB and reads nothing; then reads all of it.
private func slowReader(_ style: SubmissionStyle) async throws {
    let server = try TestServer()
    let driver = try MemoryDriver(sectors: 8192, style: style)
    driver.fill { UInt8(truncatingIfNeeded: $0 >> 9 | 1) }
    try await server.add(driver)
    let before = IOBuffer.bytesAlive.value
    let slow = try WireClient(server)
    slow.go()
    var bytes: [UInt8] = []
    for cookie in UInt64(0)..<512 { bytes += request(0, cookie: cookie, offset: (cookie % 16) << 18, length: 1 << 18) }
    slow.send(bytes)
    let good = try WireClient(server)
    good.go()
    for cookie in UInt64(0)..<200 {
        good.send(request(0, cookie: cookie, offset: 512, length: 512))
        #expect(good.receive(528).count == 528)
        let held = IOBuffer.bytesAlive.value - before
        #expect(held < 40 << 20, "\(held) bytes are held for one that does not read")
    }
    for _ in 0..<512 { #expect(slow.receive(16 + (1 << 18)).count == 16 + (1 << 18)) }
    slow.close()
    good.close()
    #expect(eventually { server.server.statistics.connections == 0 })
    await server.stop()
}

/// Leaves the process no descriptors while clients come, and gives them back.
private func runOutOfDescriptors() async throws {
    let server = try TestServer { $0.reactors = 1 }
    try await server.add(MemoryDriver(sectors: 2048))
    let first = try WireClient(server)
    first.go()
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(7), &limit)
    limit.rlim_cur = 64
    setrlimit(__rlimit_resource_t(7), &limit)
    var clients: [WireClient] = []
    while clients.count < 100, let client = try? WireClient(server) { clients.append(client) }
    // The client's own end needed the last descriptor: the server has none for its end.
    #expect(eventually { server.server.statistics.refused > 0 })
    // Those who are connected do not notice.
    first.send(request(0, length: 512))
    #expect(first.receive(528).count == 528)
    let refused = server.server.statistics.refused
    let lines = server.lines.withLock { $0.count { $0.contains("cannot accept") } }
    #expect(lines <= 1 + refused / 10)
    clients.removeAll()
    #expect(eventually { (try? WireClient(server))?.receive(18).count == 18 })
    await server.stop()
}
