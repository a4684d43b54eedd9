// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import Foundation
import TestSupport
import Testing

/// How often a round is repeated: `PLATTER_ROUNDS`, else a thousand times, and a hundred under a sanitizer.
private var rounds: Int {
    let environment = ProcessInfo.processInfo.environment
    return environment["PLATTER_ROUNDS"].flatMap { Int($0) } ?? (environment["PLATTER_SANITIZER"] == nil ? 1000 : 100)
}

/// What must be as it was when everything is over.
private struct Baseline: CustomStringConvertible {
    var descriptors = Descriptor.alive.value
    var threads = WorkerThread.running.value
    var bytes = IOBuffer.bytesAlive.value
    func isWithin(_ other: Baseline) -> Bool {
        descriptors <= other.descriptors && threads <= other.threads && bytes <= other.bytes
    }
    var description: String { "\(descriptors) descriptors, \(threads) threads, \(bytes) bytes" }
}

@Suite struct `A server under load` {
    @Test(arguments: [SubmissionStyle.inline, .async, .mayBlock])
    func `answers every request once, with the right data`(style: SubmissionStyle) async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: PipelineClient.sectors(), style: style))
        let client = try PipelineClient(server.address)
        try client.start()
        #expect(eventually { client.replies > 20_000 })
        let report = client.finish()
        #expect(report.errors == 0 && report.mismatches == 0 && report.strangers == 0 && report.unanswered == 0)
        await server.stop()
    }

    @Test func `is pulled at full load, again and again, and leaves nothing behind`() async {
        // In a process of its own: what is counted there is this test's alone.
        await #expect(processExitsWith: .success) {
            try await pullOften(rounds)
            #expect(eventually { Descriptor.alive.value == 0 })
        }
    }
}

/// Pulls a disk `count` times, and looks for what was left behind.
private func pullOften(_ count: Int) async throws {
    let server = try TestServer()
    // What is made once and kept is there after the first rounds.
    for number in 1...3 { try await pull(server, number) }
    let before = Baseline()
    for number in 4...(4 + count) { try await pull(server, number) }
    // A thread or buffer of the third round may still have been on its way out: less is as good.
    let isClean = eventually { Baseline().isWithin(before) }
    #expect(isClean, "\(Baseline()) after, \(before) before")
    #expect(server.registry.quarantine().isEmpty)
    await server.stop()
}

/// Adds a disk, loads it with 128 requests on each of 4 connections, and pulls it.
private func pull(_ server: TestServer, _ number: Int) async throws {
    let styles: [SubmissionStyle] = [.inline, .async, .mayBlock]
    let driver = try MemoryDriver(sectors: PipelineClient.sectors(), style: styles[number % 3])
    let disk = try await server.add(driver)
    let client = try PipelineClient(server.address)
    try client.start()
    #expect(eventually { client.replies > 500 + number % 7 * 100 })
    guard case .removed(let removal) = await disk.remove(.surprise) else {
        Issue.record("round \(number): not removed")
        return
    }
    #expect(!removal.deadlinePassed)
    // What was under way may have been done in time; whoever asks now is told.
    #expect(eventually { client.errors > 0 })
    let report = client.finish()
    #expect(report.unanswered == 0 && report.mismatches == 0 && report.strangers == 0, "\(report)")
    #expect(eventually { server.server.statistics.connections == 0 })
}
