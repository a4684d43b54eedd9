// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Glibc
import TestSupport
import Testing

@Suite("The null driver", .serialized) struct NullTests {
    private let registry = TestRegistry()

    /// Threads of delay lines that live now, in the whole process.
    private func delayThreads() -> Int {
        guard let tasks = opendir("/proc/self/task") else { return -1 }
        defer { closedir(tasks) }
        var count = 0
        while let entry = readdir(tasks) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let file = try? DiskFile.open("/proc/self/task/\(name)/comm", []),
                let buffer = try? IOBuffer(count: 64)
            else { continue }
            let length = max(0, file.perform(.read(at: 0, into: buffer.memory)))
            if String(decoding: buffer.memory.slice(0, length).array, as: UTF8.self) == "platter-delay\n" { count += 1 }
        }
        return count
    }

    @Test func `it answers at once, with zeroes, and forgets`() async throws {
        let client = try DiskClient(try await registry.add(NullDriver(capacity: 1 << 40)))
        #expect(try client.write(5, 100, 8) == .ok)
        #expect(try client.read(100, 8).isAll(0))
        #expect(try client.run(.discard, 0, 8) == .ok)
        #expect(try client.run(.writeZeroes, 0, 8) == .ok)
        #expect(try client.run(.flush) == .ok)
        // Data, as far as a client can tell: one that skips holes would never ask it for anything.
        #expect(try client.extents(0, 1 << 40) == [DeviceExtent(count: 1 << 40, kind: .data)])
    }

    @Test func `with a latency it answers after it, in order, and not before`() async throws {
        let client = try DiskClient(try await registry.add(NullDriver(capacity: 1024, latency: .milliseconds(30))))
        // However long this thread is held up: none is early, neither the first nor the last.
        let sent = try (0..<50).map { (instant: Instant.now, token: try client.send(.read, $0, 1)) }
        for (instant, token) in sent {
            #expect(client.answers.wait(token).status == .ok)
            #expect(Instant.now - instant >= .milliseconds(30))
        }
        #expect(client.answers.isOnceEach)
    }

    @Test func `while answer is off it keeps everything, and gives it when it is on`() async throws {
        let disk = try await registry.add(NullDriver(capacity: 1024))
        let client = try DiskClient(disk)
        try await disk.set("answer", to: "off")
        let tokens = try (0..<100).map { try client.send(.write, $0, 1, bytes: [UInt8](repeating: 1, count: 512)) }
        #expect(client.answers.count == 0)
        #expect(await disk.driverFacts().settings.contains(DiskSetting(key: "answer", value: "off")))
        try await disk.set("answer", to: "on")
        for token in tokens { #expect(client.answers.wait(token).status == .ok) }
        #expect(try client.write(1, 0, 1) == .ok)
    }

    @Test func `what cannot be set is refused with a line`() async throws {
        let disk = try await registry.add(NullDriver(capacity: 1024))
        await #expect {
            try await disk.set("answer", to: "maybe")
        } throws: { error in
            (error as? DiskError)?.reason == "null: answer=maybe cannot be set: only answer=on|off can"
        }
    }

    @Test func `it is deaf to its death, and its late answers empty the quarantine`() async throws {
        let disk = try await registry.add(NullDriver(capacity: 1024, answers: false))
        let client = try DiskClient(disk)
        let tokens = try (0..<20).map { try client.send(.read, $0, 1) }
        guard case .removed(let report) = await disk.remove(.surprise, deadline: .milliseconds(20)) else {
            Issue.record("not removed")
            return
        }
        #expect(report.deadlinePassed)
        for token in tokens { #expect(client.answers.wait(token).status == .gone) }
        #expect(registry.registry.quarantine().first?.count == 20)
        try await disk.set("answer", to: "on")
        #expect(eventually { registry.registry.quarantine().isEmpty })
        #expect(eventually { disk.lifeState == .gone })
        #expect(client.answers.isOnceEach)
    }

    @Test func `a latency goes on over its death, and ends its thread`() async throws {
        let before = delayThreads()
        do {
            let disk = try await registry.add(NullDriver(capacity: 1024, latency: .milliseconds(200)))
            let client = try DiskClient(disk)
            let token = try client.send(.read, 0, 1)
            guard case .removed(let report) = await disk.remove(.surprise, deadline: .milliseconds(10)) else {
                Issue.record("not removed")
                return
            }
            #expect(report.deadlinePassed)
            #expect(client.answers.wait(token).status == .gone)
            #expect(eventually { disk.lifeState == .gone })
        }
        #expect(eventually { delayThreads() <= before })
    }

    @Test func `its source has at most 40 lines`() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try DiskFile.open("/\(root)/Sources/BlockDrivers/Null/NullDriver.swift", [])
        let buffer = try IOBuffer(count: 16 << 10)
        let count = file.perform(.read(at: 0, into: buffer.memory))
        let bytes = try #require(count > 0 ? buffer.memory.slice(0, count).array : nil)
        #expect(bytes.count { $0 == UInt8(ascii: "\n") } <= 40)
    }
}
