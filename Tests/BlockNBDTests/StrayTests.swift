// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import TestSupport
import Testing

@Suite struct `A driver that sleeps on an event loop` {
    /// A server with one event loop, an honest disk and a lying one, a client of each.
    private func twoDisks(
        style: SubmissionStyle = .inline
    ) async throws -> (server: TestServer, liar: LyingDriver, disk: Disk, victim: WireClient, other: WireClient) {
        let server = try TestServer { $0.reactors = 1 }
        let liar = LyingDriver(style: style)
        var options = DiskOptions()
        options.name = "pl1"
        options.scansPartitions = false
        let disk = try await server.registry.add(liar, options)
        try await server.add(MemoryDriver(sectors: 2048))
        let victim = try WireClient(server)
        victim.go("pl1")
        let other = try WireClient(server)
        other.go("pl0")
        return (server, liar, disk, victim, other)
    }

    @Test(arguments: [SubmissionStyle.inline, .async])
    func `holds up its own client only, and is not called there again`(style: SubmissionStyle) async throws {
        // R7: nobody waits for another disk's driver, not even on a shared event loop.
        let (server, liar, disk, victim, other) = try await twoDisks(style: style)
        victim.send(request(0, cookie: 1, offset: 0, length: 512))
        #expect(liar.sleeps.wait(until: .now + .seconds(10)))
        // The loop is stuck here, until another thread takes it over.
        for cookie in UInt64(1)...50 {
            other.send(request(0, cookie: cookie, offset: 0, length: 512))
            other.expect(simpleReply(cookie: cookie) + [UInt8](repeating: 0, count: 512))
        }
        // A request that came meanwhile waits with its client.
        victim.send(request(0, cookie: 2, offset: 512, length: 512))
        liar.wake.raise()
        victim.expect(simpleReply(cookie: 1) + [UInt8](repeating: 0, count: 512))
        victim.expect(simpleReply(cookie: 2) + [UInt8](repeating: 0, count: 512))
        #expect(await disk.driverFacts().notes.contains { $0.contains("worker threads") })
        #expect(disk.ledger().inFlight == 0)
        victim.close()
        other.close()
        #expect(eventually { server.server.statistics.connections == 0 })
        await server.stop()
    }

    @Test func `is pulled: its client is cut, and the loop goes on`() async throws {
        let (server, liar, disk, victim, other) = try await twoDisks()
        victim.send(request(0, cookie: 1, offset: 0, length: 512))
        #expect(liar.sleeps.wait(until: .now + .seconds(10)))
        other.send(request(0, cookie: 1, offset: 0, length: 512))
        other.expect(simpleReply(cookie: 1) + [UInt8](repeating: 0, count: 512))
        // Nobody can answer on the victim's connection: it ends instead of hanging.
        guard case .removed(let report) = await disk.remove(.surprise, deadline: .milliseconds(50)) else {
            Issue.record("not removed")
            return
        }
        #expect(report.deadlinePassed && report.quarantined == 1)
        #expect(victim.rest().isEmpty)
        liar.wake.raise()
        #expect(eventually { server.server.statistics.connections == 1 && server.registry.quarantine().isEmpty })
        other.close()
        await server.stop()
    }

    @Test func `does not hold up the end of the server`() async throws {
        let (server, liar, _, victim, other) = try await twoDisks()
        victim.send(request(0, cookie: 1, offset: 0, length: 512))
        #expect(liar.sleeps.wait(until: .now + .seconds(10)))
        await server.stop(within: .milliseconds(200))
        #expect(victim.rest().isEmpty && other.rest().isEmpty)
        liar.wake.raise()
        #expect(eventually { server.server.statistics.connections == 0 })
    }

    @Test func `found out between the question and the submission does not leave the submitter with empty memory`()
        async throws
    {
        let registry = DiskRegistry()
        let disk = try await registry.add(try MemoryDriver(sectors: 64))
        let sink = CountingSink()
        let opener = try disk.part0.open(.read, as: OpenerIdentity(kind: "test"), sink: sink)
        let memory = try IOBuffer(count: 512)
        let isInline = opener.isInline(.read, bytes: 512)
        #expect(isInline)
        disk.driverStrayed()
        let range = SectorRange(start: 0, count: 1)
        opener.submit(.read, range, flags: .noWait, data: .borrowed(memory.memory), token: 1)
        // Answered when submit returns, one way or the other.
        #expect(sink.answers.value == 1 && sink.last.withLock { $0 } == .again)
        opener.close()
        _ = await disk.remove(.surprise)
    }

    @Test func `that is only slow is counted, and found out by what the kernel counts`() async throws {
        // Twelve milliseconds of work in a call that was declared quick: suspected once, and convicted by three proofs.
        let driver = BusyDriver()
        let registry = DiskRegistry()
        var options = DiskOptions()
        options.scansPartitions = false
        let disk = try await registry.add(driver, options)
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: OpenerIdentity(kind: "test"), sink: sink)
        for _ in 0..<4 {
            let isInline = opener.isInline
            #expect(isInline)
            opener.beginBatch()
            opener.submit(.flush, SectorRange(start: 0, count: 0), data: .none, token: 0)
            opener.endBatch()
        }
        #expect(disk.slowBatches == 4)
        let isInline = opener.isInline
        #expect(!isInline)
        #expect(sink.answers.value == 4)
        opener.close()
        _ = await disk.remove(.surprise)
    }
}

private final class CountingSink: BioSink {
    let answers = Counter()
    let last = Lock(BlockStatus.ok)
    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        last.withLock { $0 = status }
        answers.add()
    }
}

/// Computes for twelve milliseconds of processor time where it said that it would be quick.
private final class BusyDriver: BlockDriver {
    let capacity: UInt64 = 8
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        profile.hasWriteCache = true
        return profile
    }
    func submit(_ bio: consuming Bio) {
        let end = ThreadUsage.current.running + 12_000_000
        while ThreadUsage.current.running < end {}
        bio.complete(.ok)
    }
}
