// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Glibc
import Testing

/// Whether this machine gives us rings at all; containers often do not.
private let ringWorks = (try? Ring(depth: 8)) != nil

@Suite("A ring", .enabled(if: ringWorks, "io_uring is refused on this machine")) struct RingTests {
    /// Runs on a thread of its own: a ring has one issuer, and test functions move between threads.
    private func issuing(_ body: @escaping @Sendable (Ring) throws -> Void) throws {
        let ring = try Ring(depth: 8)
        let failure = Lock<String?>(nil)
        let thread = try WorkerThread.start(name: "ring") {
            do {
                try ring.enable()
                try body(ring)
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
        }
        thread.join()
        #expect(failure.withLock { $0 } == nil)
    }

    @Test func `queued calls are answered with the system call's result`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("a", size: 8192)
        try issuing { ring in
            let out = try IOBuffer(count: 4096)
            let back = try IOBuffer(count: 4096)
            out.memory.storeBigEndian(UInt64(42), at: 8)
            func answer(_ call: FileCall) -> Int {
                #expect(ring.queue(call, on: file, tag: 5))
                while true {
                    ring.submit(wait: true)
                    if let completion = ring.popCompletion() {
                        #expect(completion.tag == 5)
                        return completion.result
                    }
                }
            }
            #expect(answer(.write(at: 4096, from: out.memory, durable: true)) == 4096)
            #expect(answer(.sync) == 0)
            #expect(answer(.read(at: 4096, into: back.memory)) == 4096)
            #expect(back.memory.loadBigEndian(at: 8, as: UInt64.self) == 42)
            #expect(answer(.read(at: 6144, into: back.memory)) == 2048)
            #expect(answer(.read(at: 8192, into: back.memory)) == 0)
            #expect(answer(.space(.punchHole, at: 4096, count: 4096)) == 0)
            #expect(answer(.read(at: 4096, into: back.memory)) == 4096)
            #expect(back.memory.isZero)
            file.close()
            #expect(answer(.sync) == Int(-EBADF))
        }
        #expect(file.durabilityCalls.value == 3)
    }

    @Test func `more calls than entries all get their answers once`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("a", size: 1 << 20)
        try issuing { ring in
            let buffer = try IOBuffer(count: 512)
            var answered = Set<UInt64>()
            var next: UInt64 = 0
            while answered.count < 5000 {
                while next < 5000,
                    ring.queue(.read(at: next % 2000 * 512, into: buffer.memory), on: file, tag: next)
                {
                    next += 1
                }
                ring.submit(wait: true)
                while let completion = ring.popCompletion() {
                    #expect(completion.result == 512)
                    #expect(answered.insert(completion.tag).inserted)
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(1))) func `a waking ends the sleep, before it or during it`() throws {
        let ring = try Ring(depth: 8)
        let turns = Counter()
        let thread = try WorkerThread.start(name: "ring") {
            guard (try? ring.enable()) != nil else { return }
            while turns.value < 200 {
                ring.submit(wait: true)
                _ = ring.popCompletion()
                turns.add()
            }
        }
        ring.wake()
        while turns.value < 200 { ring.wake() }
        thread.join()
    }

    @Test func `a read that cannot end is cancelled and answered`() throws {
        let folder = try TemporaryFolder()
        #expect(mkfifo("\(folder.path)/pipe", 0o600) == 0)
        let pipe = try DiskFile.open("\(folder.path)/pipe", .write)  // holds both ends: a read waits for ever
        try issuing { ring in
            let buffer = try IOBuffer(count: 512)
            #expect(ring.queue(.read(at: .max, into: buffer.memory), on: pipe, tag: 1))
            ring.submit(wait: false)
            #expect(ring.popCompletion()?.tag == nil)
            #expect(ring.queueCancel(1))
            while true {
                ring.submit(wait: true)
                guard let completion = ring.popCompletion() else { continue }
                #expect(completion.tag == 1)
                #expect(completion.result == Int(-ECANCELED) || completion.result == Int(-EINTR))
                break
            }
        }
    }
}
