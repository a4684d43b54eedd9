// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import TestSupport
import Testing

private let eio: UInt32 = 5
private let einval: UInt32 = 22

/// A server with a disk of 1 MiB whose bytes tell where they are.
private func patterned(
    _ style: SubmissionStyle = .inline, _ change: (inout DriverProfile) -> Void = { _ in },
    options: (inout DiskOptions) -> Void = { _ in }
) async throws -> (TestServer, MemoryDriver, Disk) {
    let server = try TestServer()
    let driver = try MemoryDriver(sectors: 2048, style: style, change)
    driver.fill(pattern)
    let disk = try await server.add(driver, options)
    return (server, driver, disk)
}

private func pattern(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index / 512 + index + 1) }
private func patternBytes(_ offset: Int, _ count: Int) -> [UInt8] { (offset..<(offset + count)).map(pattern) }
private let styles: [SubmissionStyle] = [.inline, .async, .mayBlock]

@Suite struct `Simple replies` {
    @Test(arguments: styles)
    func `carry what was read and acknowledge what was written`(style: SubmissionStyle) async throws {
        let (server, driver, _) = try await patterned(style)
        let client = try WireClient(server)
        client.go()
        client.send(request(0, cookie: 0x1122_3344_5566_7788, offset: 1024, length: 512))
        client.expect(simpleReply(cookie: 0x1122_3344_5566_7788, patternBytes(1024, 512)))
        let data = [UInt8](repeating: 0xab, count: 1024)
        client.send(request(1, cookie: 2, offset: 4096, length: 1024, data))
        client.expect(simpleReply(cookie: 2))
        client.send(request(0, cookie: 3, offset: 3584, length: 2048))
        client.expect(simpleReply(cookie: 3, patternBytes(3584, 512) + data + patternBytes(5120, 512)))
        client.send(request(3, cookie: 4))
        client.expect(simpleReply(cookie: 4))
        #expect(driver.flushes.value == 1)
        client.send(request(1, flags: 1, cookie: 5, offset: 0, length: 512, Array(data.prefix(512))))
        client.expect(simpleReply(cookie: 5))
        #expect(driver.durableWrites.value == 1)
        client.send(request(4, cookie: 6, offset: 0, length: 4096))
        client.expect(simpleReply(cookie: 6))
        client.send(request(6, flags: 2, cookie: 7, offset: 8192, length: 4096))
        client.expect(simpleReply(cookie: 7))
        client.send(request(5, cookie: 8, offset: 0, length: 4096))
        client.expect(simpleReply(cookie: 8))
        client.send(request(0, cookie: 9, offset: 8192, length: 512))
        client.expect(simpleReply(cookie: 9, [UInt8](repeating: 0, count: 512)))
        client.send(request(2))
        #expect(client.rest().isEmpty)
        await server.stop()
    }

    @Test(arguments: styles)
    func `tell an error and go on`(style: SubmissionStyle) async throws {
        let (server, driver, _) = try await patterned(style)
        let client = try WireClient(server)
        client.go()
        let sector = [UInt8](repeating: 1, count: 512)
        let end: UInt64 = 1 << 20
        let cases: [(bytes: [UInt8], error: UInt32)] = [
            (request(0, offset: end, length: 512), einval),
            (request(0, offset: end - 512, length: 1024), einval),
            (request(0, offset: UInt64.max - 511, length: 512), einval),
            (request(1, offset: end, length: 512, sector), 28),
            (request(6, offset: end, length: 512), 28),
            (request(4, offset: end, length: 512), einval),
            (request(5, offset: end, length: 512), einval),
            (request(0, offset: 1, length: 512), einval),
            (request(0, offset: 0, length: 511), einval),
            (request(1, offset: 0, length: 3, [1, 2, 3]), einval),
            (request(0, length: (32 << 20) + 512), einval),
            (request(3, offset: 512), einval),
            (request(3, length: 512), einval),
            (request(8, length: 512), einval),
            (request(99), einval),
            (request(7, length: 512), einval),
            (request(0, flags: 2, length: 512), einval),
            (request(0, flags: 0x8000, length: 512), einval),
            (request(1, flags: 32, length: 512, sector), einval),
            (request(6, flags: 4, length: 512), einval),
            (request(0, length: 0), 0),
            (request(1, length: 0), 0),
            (request(0, flags: 1, length: 0), 0),
        ]
        for (index, (bytes, error)) in cases.enumerated() {
            client.send(bytes)
            let got = client.receive(16)
            #expect(got == simpleReply(error), "case \(index): \(hex(got))")
        }
        driver.fail(.medium)
        client.send(request(0, length: 512))
        client.expect(simpleReply(eio))
        driver.fail(.noSpace)
        client.send(request(1, length: 512, sector))
        client.expect(simpleReply(28))
        driver.fail(.noMemory)
        client.send(request(6, length: 512))
        client.expect(simpleReply(12))
        driver.fail(.ok)
        client.send(request(0, length: 512))
        client.expect(simpleReply(0, patternBytes(0, 512)))
        await server.stop()
    }

    @Test func `throw away a payload that is too large, and go on behind it`() async throws {
        let (server, _, _) = try await patterned()
        let client = try WireClient(server)
        client.go()
        client.send(request(1, cookie: 7, length: (32 << 20) + 512))
        client.expect(simpleReply(einval, cookie: 7))
        let piece = [UInt8](repeating: 0x25, count: 1 << 20)
        for _ in 0..<32 { client.send(piece) }
        client.send(Array(piece.prefix(512)))
        client.send(request(0, cookie: 8, length: 512))
        client.expect(simpleReply(cookie: 8, patternBytes(0, 512)))
        await server.stop()
    }

    @Test func `refuse every change of what is read-only`() async throws {
        let (server, _, _) = try await patterned { $0.isReadOnly = true }
        let client = try WireClient(server)
        client.greet()
        let replies = client.option(7, exportRequest("pl0"))
        // has flags, read-only, flush, FUA, multi-conn, cache
        #expect(replies.first?.data == be16(0) + be64(1 << 20) + be16(0b101_0000_1111))
        client.send(request(1, length: 512, [UInt8](repeating: 1, count: 512)))
        client.expect(simpleReply(1))
        client.send(request(4, length: 512))
        client.expect(simpleReply(1))
        client.send(request(6, length: 512))
        client.expect(simpleReply(1))
        client.send(request(0, length: 512))
        client.expect(simpleReply(0, patternBytes(0, 512)))
        await server.stop()
    }

    @Test func `close the one connection that sends garbage, after its last good answer`() async throws {
        let (server, _, _) = try await patterned()
        let good = try WireClient(server)
        good.go()
        let bad = try WireClient(server)
        bad.go()
        bad.send(request(0, length: 512) + [UInt8](repeating: 0x41, count: 64))
        bad.expect(simpleReply(0, patternBytes(0, 512)))
        #expect(bad.rest().isEmpty)
        good.send(request(0, length: 512))
        good.expect(simpleReply(0, patternBytes(0, 512)))
        await server.stop()
    }
}

@Suite struct `Structured replies` {
    @Test(arguments: styles)
    func `carry data, holes and errors as chunks`(style: SubmissionStyle) async throws {
        let (server, driver, _) = try await patterned(style)
        let client = try WireClient(server)
        client.go("pl0", .structured)
        client.send(request(0, cookie: 5, offset: 512, length: 512))
        client.expect(chunk(1, cookie: 5, be64(512) + patternBytes(512, 512)))
        client.send(request(6, cookie: 6, offset: 65536, length: 65536))
        client.expect(simpleReply(cookie: 6))
        client.send(request(0, cookie: 7, offset: 65536, length: 65536))
        client.expect(chunk(2, cookie: 7, be64(65536) + be32(65536)))
        client.send(request(0, flags: 4, cookie: 8, offset: 65536, length: 1024))
        client.expect(chunk(1, cookie: 8, be64(65536) + [UInt8](repeating: 0, count: 1024)))
        client.send(request(0, cookie: 9, offset: 1 << 20, length: 512))
        client.expect(chunk(0x8001, cookie: 9, be32(einval) + be16(0)))
        client.send(request(0, cookie: 10, length: 0))
        client.expect(chunk(0, cookie: 10))
        driver.fail(.ioError)
        client.send(request(0, cookie: 11, length: 512))
        client.expect(chunk(0x8001, cookie: 11, be32(eio) + be16(0)))
        client.send(request(3, cookie: 12))
        client.expect(simpleReply(eio, cookie: 12))
        await server.stop()
    }

    @Test func `answer the holes of a large read without their bytes`() async throws {
        let (server, driver, _) = try await patterned()
        driver.holes.withLock {
            $0 = [
                DeviceExtent(count: 64, kind: .data), DeviceExtent(count: 64, kind: .hole),
                DeviceExtent(count: 64, kind: .zero), DeviceExtent(count: 1856, kind: .data),
            ]
        }
        let client = try WireClient(server)
        client.go("pl0", .structured)
        client.send(request(0, cookie: 1, offset: 0, length: 131072) + request(0, cookie: 2, offset: 0, length: 512))
        client.expect(chunk(1, done: false, be64(0) + patternBytes(0, 32768)))
        client.expect(chunk(2, done: false, be64(32768) + be32(32768)))
        client.expect(chunk(2, done: false, be64(65536) + be32(32768)))
        client.expect(chunk(1, be64(98304) + patternBytes(98304, 32768)))
        client.expect(chunk(1, cookie: 2, be64(0) + patternBytes(0, 512)))
        client.send(request(0, cookie: 3, offset: 32768, length: 65536))
        client.expect(chunk(2, cookie: 3, be64(32768) + be32(65536)))
        client.send(request(0, flags: 4, cookie: 4, offset: 0, length: 131072))
        client.expect(chunk(1, cookie: 4, be64(0) + patternBytes(0, 131072)))
        await server.stop()
    }

    @Test(arguments: styles)
    func `say where data lies`(style: SubmissionStyle) async throws {
        let (server, driver, _) = try await patterned(style)
        driver.holes.withLock {
            $0 = [
                DeviceExtent(count: 8, kind: .data), DeviceExtent(count: 8, kind: .data),
                DeviceExtent(count: 16, kind: .hole), DeviceExtent(count: 32, kind: .zero),
                DeviceExtent(count: 1984, kind: .data),
            ]
        }
        let client = try WireClient(server)
        client.go("pl0", .structured, context: true)
        client.send(request(7, cookie: 1, offset: 0, length: 65536))
        let all = [
            be32(1), be32(8192), be32(0), be32(8192), be32(3), be32(16384), be32(2), be32(32768), be32(0),
        ].flatMap { $0 }
        client.expect(chunk(5, cookie: 1, all))
        client.send(request(7, flags: 8, cookie: 2, offset: 8192, length: 65536))
        client.expect(chunk(5, cookie: 2, be32(1) + be32(8192) + be32(3)))
        client.send(request(7, cookie: 3, offset: 1 << 20, length: 512))
        client.expect(chunk(0x8001, cookie: 3, be32(einval) + be16(0)))
        client.send(request(7, cookie: 4, offset: 0, length: 0))
        client.expect(chunk(0x8001, cookie: 4, be32(einval) + be16(0)))
        await server.stop()
    }

    @Test func `do not say where data lies to a client that did not agree on it`() async throws {
        let (server, _, _) = try await patterned()
        let client = try WireClient(server)
        client.go("pl0", .structured)
        client.send(request(7, length: 512))
        client.expect(chunk(0x8001, be32(einval) + be16(0)))
        await server.stop()
    }
}

@Suite struct `Extended headers` {
    @Test(arguments: styles)
    func `frame every request and reply`(style: SubmissionStyle) async throws {
        let (server, driver, _) = try await patterned(style)
        driver.holes.withLock {
            $0 = [DeviceExtent(count: 128, kind: .hole), DeviceExtent(count: 1920, kind: .data)]
        }
        let client = try WireClient(server)
        client.go("pl0", .extended, context: true)
        client.send(extendedRequest(0, cookie: 1, offset: 512, length: 512))
        client.expect(extendedChunk(1, cookie: 1, offset: 512, be64(512) + patternBytes(512, 512)))
        let data = [UInt8](repeating: 0xcd, count: 1024)
        client.send(extendedRequest(1, flags: 32, cookie: 2, offset: 2048, length: 1024, data))
        client.expect(extendedChunk(0, cookie: 2, offset: 2048))
        client.send(extendedRequest(3, cookie: 3))
        client.expect(extendedChunk(0, cookie: 3, offset: 0))
        client.send(extendedRequest(6, cookie: 4, offset: 512, length: 1 << 40))
        client.expect(extendedChunk(0x8001, cookie: 4, offset: 512, be32(28) + be16(0)))
        client.send(extendedRequest(6, cookie: 5, offset: 0, length: 1024))
        client.expect(extendedChunk(0, cookie: 5, offset: 0))
        client.send(extendedRequest(0, cookie: 6, offset: 0, length: 1024))
        client.expect(extendedChunk(2, cookie: 6, offset: 0, be64(0) + be32(1024)))
        client.send(extendedRequest(7, cookie: 7, offset: 0, length: 1 << 20))
        let extents = be32(1) + be32(2) + be64(65536) + be64(3) + be64((1 << 20) - 65536) + be64(0)
        client.expect(extendedChunk(6, cookie: 7, offset: 0, extents))
        client.send(extendedRequest(5, cookie: 8, offset: 512, length: 512))
        client.expect(extendedChunk(0, cookie: 8, offset: 512))
        // A payload where none belongs is taken in and refused.
        client.send(extendedRequest(0, flags: 32, cookie: 9, offset: 0, length: 512, Array(data.prefix(512))))
        client.expect(extendedChunk(0x8001, cookie: 9, offset: 0, be32(einval) + be16(0)))
        client.send(extendedRequest(0, cookie: 10, offset: 2048, length: 512))
        client.expect(extendedChunk(1, cookie: 10, offset: 2048, be64(2048) + data.prefix(512)))
        await server.stop()
    }

    @Test func `end a connection whose payload nobody can believe`() async throws {
        let (server, _, _) = try await patterned()
        let client = try WireClient(server)
        client.go("pl0", .extended)
        client.send(extendedRequest(1, flags: 32, length: (32 << 20) + 1))
        #expect(client.rest().isEmpty)
        await server.stop()
    }

    @Test func `end a connection that writes without the payload flag, with an answer`() async throws {
        let (server, _, _) = try await patterned()
        let client = try WireClient(server)
        client.go("pl0", .extended)
        client.send(extendedRequest(1, cookie: 3, length: 512))
        client.expect(extendedChunk(0x8001, cookie: 3, offset: 0, be32(einval) + be16(0)))
        #expect(client.rest().isEmpty)
        await server.stop()
    }

    @Test func `do not mix with compact requests`() async throws {
        let (server, _, _) = try await patterned()
        let client = try WireClient(server)
        client.go("pl0", .extended)
        client.send(request(0, length: 512) + [0, 0, 0, 0])
        #expect(client.rest().isEmpty)
        await server.stop()
    }
}

@Suite struct `What a disk goes through` {
    @Test func `a frozen or slow disk answers late, and every answer is right`() async throws {
        for style in styles {
            let (server, driver, _) = try await patterned(style)
            let client = try WireClient(server)
            client.go("pl0", .structured)
            driver.keep()
            var bytes: [UInt8] = []
            for cookie in UInt64(1)...100 { bytes += request(0, cookie: cookie, offset: cookie * 512, length: 512) }
            client.send(bytes)
            #expect(eventually { driver.keptCount == 100 })
            driver.letGo()
            var seen: Set<UInt64> = []
            for _ in 1...100 {
                let reply = client.receive(20 + 8 + 512)
                let cookie = read64(reply, 8)
                #expect(reply == chunk(1, cookie: cookie, be64(cookie * 512) + patternBytes(Int(cookie) * 512, 512)))
                #expect(seen.insert(cookie).inserted)
            }
            await server.stop()
        }
    }

    @Test(arguments: styles)
    func `told to leave, it answers shutdown, and the removal ends when the client goes`(
        style: SubmissionStyle
    ) async throws {
        let (server, driver, disk) = try await patterned(style)
        let client = try WireClient(server)
        client.go()
        client.send(request(0, cookie: 1, length: 512))
        client.expect(simpleReply(0, patternBytes(0, 512)))
        driver.keep()
        client.send(request(1, cookie: 2, length: 512, [UInt8](repeating: 9, count: 512)))
        #expect(eventually { driver.keptCount == 1 })
        guard case .pending = await disk.remove(.soft) else {
            Issue.record("a soft removal waits for the client")
            return
        }
        // News travel on another thread: sooner or later every request is refused.
        var refused = false
        #expect(
            eventually {
                client.send(request(5, cookie: 3, length: 512))
                refused = client.receive(16) == simpleReply(108, cookie: 3)
                return refused
            })
        client.send(request(1, cookie: 4, length: 512, [UInt8](repeating: 9, count: 512)))
        client.expect(simpleReply(108, cookie: 4))
        driver.letGo()
        client.expect(simpleReply(0, cookie: 2))
        client.send(request(2))
        #expect(client.rest().isEmpty)
        #expect(eventually { server.registry.disk(named: "pl0") == nil })
        await server.stop()
    }

    @Test(arguments: styles)
    func `cut, it answers an error to everything and the connection stays`(style: SubmissionStyle) async throws {
        let (server, driver, disk) = try await patterned(style)
        let client = try WireClient(server)
        client.go("pl0", .structured, context: true)
        driver.keep()
        client.send(request(1, cookie: 1, length: 512, [UInt8](repeating: 9, count: 512)))
        #expect(eventually { driver.keptCount == 1 })
        guard case .removed = await disk.remove(.surprise) else {
            Issue.record("a surprise removal ends")
            return
        }
        let first = client.receive(16)
        #expect(first == simpleReply(0, cookie: 1) || first == simpleReply(eio, cookie: 1))
        let error = be32(eio) + be16(0)
        client.send(request(0, cookie: 2, length: 512))
        client.expect(chunk(0x8001, cookie: 2, error))
        client.send(request(1, cookie: 3, length: 512, [UInt8](repeating: 9, count: 512)))
        client.expect(simpleReply(eio, cookie: 3))
        client.send(request(3, cookie: 4))
        client.expect(simpleReply(eio, cookie: 4))
        client.send(request(6, cookie: 5, length: 512))
        client.expect(simpleReply(eio, cookie: 5))
        client.send(request(5, cookie: 6, length: 512))
        client.expect(simpleReply(eio, cookie: 6))
        client.send(request(7, cookie: 7, length: 512))
        client.expect(chunk(0x8001, cookie: 7, error))
        client.send(request(0, cookie: 8, length: 0))
        #expect(client.receive(26).count == 26)
        let late = try WireClient(server)
        late.greet()
        #expect(late.option(7, exportRequest("pl0")).last?.type == 0x8000_0006)
        client.send(request(2))
        #expect(client.rest().isEmpty)
        await server.stop()
    }
}
