// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite("An I/O in several steps") struct StepTests {
    private typealias Request = ScriptedDriver.Request

    private func rig(
        _ driver: ScriptedDriver, depth: Int = 128
    ) async throws -> (disk: Disk, sink: CountingSink, opener: OpenerBox) {
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, depth: depth, sink: sink))
        return (disk, sink, box)
    }

    private func end(_ disk: Disk, _ box: OpenerBox, _ driver: ScriptedDriver) async {
        driver.set(.answer(.ok))
        driver.answerAll()
        box.close()
        #expect(await disk.remove(.surprise).word == "removed")
    }

    @Test("flush, write, flush are one I/O, each after the last was answered") func aroundAWrite() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(8, 8), flags: [.preflush, .fua], data: ones(8), token: 1) }
        #expect(driver.requests == [Request(.flush)])
        driver.answerOne()
        #expect(driver.requests == [Request(.flush), Request(.write, 8, 8)])
        driver.answerOne()
        #expect(driver.requests.last == Request(.flush) && driver.requests.count == 3 && sink.total == 0)
        driver.answerOne()
        #expect(sink.statuses(of: 1) == [.ok])
        let statistics = disk.statistics()
        #expect(statistics.writes.completed == 1 && statistics.writes.sectors == 8 && statistics.flushes.completed == 0)
        #expect(disk.ledger().accepted == 1 && disk.ledger().ok == 1)
        #expect(driver.state.withLock { $0.flags } == [[], [], []], "the core's promises are not asked of the driver")
        box.close()
        let report = await disk.remove().report
        #expect(report?.unflushedBytes == 0 && report?.flush == .notNeeded, "durable when it was answered")
    }

    @Test("an error in any step ends it, with that error", arguments: 1...3) func errors(step: Int) async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(8, 8), flags: [.preflush, .fua], data: ones(8), token: 1) }
        for _ in 1..<step { driver.answerOne() }
        driver.answerOne(.medium)
        #expect(sink.statuses(of: 1) == [.medium] && driver.requests.count == step && driver.held == 0)
        #expect(disk.ledger().failed == 1)
        await end(disk, box, driver)
    }

    @Test("a preflush means nothing without a cache, and is a flush on an empty write") func preflush() async throws {
        let cached = ScriptedDriver(.answer(.ok))
        let plainDriver = ScriptedDriver(.answer(.ok)) { $0.hasWriteCache = false }
        for driver in [cached, plainDriver] {
            let (disk, sink, box) = try await rig(driver)
            box.use { opener in
                opener.submit(.write, sectors(0, 1), flags: .preflush, data: ones(1), token: 1)
                opener.submit(.write, sectors(0, 0), flags: [.preflush, .fua], data: .none, token: 2)
                opener.submit(.discard, sectors(0, 8), flags: .preflush, data: .none, token: 3)
                opener.submit(.read, sectors(0, 1), flags: .preflush, data: ones(1), token: 4)
            }
            #expect([1, 2, 3].allSatisfy { sink.statuses(of: $0) == [.ok] } && sink.statuses(of: 4) == [.invalid])
            #expect(disk.statistics().flushes.completed == 1)
            await end(disk, box, driver)
        }
        #expect(
            cached.requests == [
                Request(.flush), Request(.write, 0, 1), Request(.flush), Request(.flush), Request(.discard, 0, 8),
            ])
        #expect(plainDriver.requests == [Request(.write, 0, 1), Request(.discard, 0, 8)])
    }

    @Test("a disk that dies between two pieces completes their I/O once, with the error (T38, R1, R2)")
    func deathBetweenPieces() async throws {
        let driver = ScriptedDriver { $0.limit { $0.maxHardwareSectors = 8 } }
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(0, 32), data: ones(32), token: 1) }
        driver.answerOne()
        #expect(driver.requests == [Request(.write, 0, 8), Request(.write, 8, 8)] && sink.total == 0)
        let removal = BegunRemoval(disk, .surprise)
        #expect(eventually { disk.capacity == 0 })
        driver.answerOne()
        #expect(removal.end()?.report?.quarantined == 0)
        #expect(sink.statuses(of: 1) == [.gone] && driver.requests.count == 2, "nothing more reached the driver")
        #expect(disk.ledger().inFlight == 0 && disk.ledger().failed == 1)
        box.close()
    }

    @Test("a disk that dies during the flush before a write gets no write (T38, R2)") func deathBeforeWrite()
        async throws
    {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(0, 8), flags: .preflush, data: ones(8), token: 1) }
        let removal = BegunRemoval(disk, .surprise)
        #expect(eventually { disk.capacity == 0 })
        driver.answerOne()
        #expect(removal.end()?.report?.quarantined == 0)
        #expect(sink.statuses(of: 1) == [.gone] && driver.requests.map(\.operation) == [.flush])
        #expect(disk.ledger().inFlight == 0)
        box.close()
    }

    @Test("a piece that is owed at the deadline is the last, whatever its answer (T38, R4)")
    func deadlineBetweenPieces() async throws {
        let driver = ScriptedDriver { $0.limit { $0.maxHardwareSectors = 8 } }
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(0, 32), flags: .fua, data: ones(32), token: 1) }
        driver.answerOne()
        let report = await disk.remove(.surprise, deadline: .milliseconds(10)).report
        #expect(report?.quarantined == 1 && report?.quarantinedBytes == 32 * 512, "the whole memory is at risk")
        #expect(report?.failedWriteBytes == UInt64(32 * 512))
        #expect(sink.statuses(of: 1) == [.gone])
        driver.answerAll()
        #expect(eventually { disk.lifeState == .gone })
        #expect(driver.requests.count == 2 && sink.total == 1 && disk.quarantinedBytes == 0)
        box.close()
    }

    @Test("as many pieces as there are do not grow the stack (F4)", arguments: [SubmissionStyle.inline, .async])
    func flatStack(style: SubmissionStyle) async throws {
        let driver = ScriptedDriver(style: style, .answer(.ok)) { profile in
            profile.limit { $0.maxHardwareDiscardSectors = 8 }
        }
        let (disk, sink, box) = try await rig(driver)
        let ends = Lock<(low: UInt, high: UInt)>((.max, 0))
        driver.inSubmit.withLock {
            $0 = { _ in
                var here = 0
                withUnsafePointer(to: &here) { pointer in
                    let address = UInt(bitPattern: pointer)
                    ends.withLock { $0 = (min($0.low, address), max($0.high, address)) }
                }
            }
        }
        // Not above what an event loop does at once, or a worker has a stack of its own for each.
        let count: UInt64 = style == .inline ? 2048 : 400_000
        box.use { $0.submit(.discard, sectors(0, count), data: .none, token: 1) }
        #expect(sink.statuses(of: 1) == [.ok] && UInt64(driver.requests.count) == count / 8)
        let (low, high) = ends.withLock { $0 }
        if !isSanitized { #expect(high - low < 16 * 1024, "the stack grew by \(high - low) bytes") }
        #expect(disk.statistics().discards.completed == 1 && disk.statistics().discards.sectors == count)
        await end(disk, box, driver)
    }

    @Test("all steps of a driver that may block run on workers (R7)") func onWorkers() async throws {
        let driver = ScriptedDriver(style: .mayBlock, .answer(.ok)) { profile in
            profile.limit { $0.maxHardwareSectors = 8 }
        }
        let (disk, sink, box) = try await rig(driver)
        let threads = Lock<Set<UInt>>([])
        driver.inSubmit.withLock { $0 = { _ in _ = threads.withLock { $0.insert(UInt(pthread_self())) } } }
        func submit() -> UInt {
            box.use { $0.submit(.write, sectors(0, 64), flags: [.preflush, .fua], data: ones(64), token: 1) }
            #expect(sink.wait(for: 1))
            return UInt(pthread_self())
        }
        let mine = submit()
        #expect(sink.statuses(of: 1) == [.ok] && driver.requests.count == 10)
        #expect(!threads.withLock { $0 }.contains(mine))
        // Answered by a thread of its own, the driver is not called by that thread either.
        driver.set(.hold)
        box.use { $0.submit(.write, sectors(0, 16), data: ones(16), token: 2) }
        #expect(eventually { driver.held == 1 })
        let answerer = try WorkerThread.start(name: "answer") {
            driver.answerOne()
            #expect(eventually { driver.held == 1 })
            #expect(!threads.withLock { $0 }.contains(UInt(pthread_self())))
        }
        answerer.join()
        driver.answerOne()
        #expect(sink.statuses(of: 2) == [.ok])
        await end(disk, box, driver)
    }

    // MARK: Zeroes

    @Test(
        "zeroes are written in pieces where the device cannot make them", arguments: [SubmissionStyle.inline, .async])
    func zeroes(style: SubmissionStyle) async throws {
        let driver = ScriptedDriver(style: style, .answer(.ok)) {
            $0.writeZeroes = .emulated
            $0.fua = .native
        }
        let (disk, sink, box) = try await rig(driver)
        box.use { opener in
            opener.submit(.writeZeroes, sectors(8, 1200), flags: [.noUnmap, .fua], data: .none, token: 1)
            opener.submit(.writeZeroes, sectors(0, 8), flags: .fastZero, data: .none, token: 2)
            opener.submit(.writeZeroes, sectors(0, 1200), flags: .noWait, data: .none, token: 3)
            opener.submit(.writeZeroes, sectors(0, 512), flags: .noWait, data: .none, token: 4)
        }
        #expect(sink.wait(for: 4))
        #expect(sink.statuses(of: 2) == [.notSupported] && sink.statuses(of: 3) == [.again])
        #expect(sink.statuses(of: 1) == [.ok] && sink.statuses(of: 4) == [.ok])
        let mine = driver.requests.filter { $0.start >= 8 }
        #expect(mine == [Request(.write, 8, 512), Request(.write, 520, 512), Request(.write, 1032, 176)])
        #expect(driver.state.withLock { $0.zeroWrites } == 4)
        #expect(driver.state.withLock { $0.flags }.filter { $0 == .fua }.count == 3)
        #expect(disk.statistics().writes.completed == 2 && disk.statistics().writes.sectors == 1712)
        await end(disk, box, driver)
    }

    @Test("a device that is read-only gets no zeroes") func zeroesReadOnly() async throws {
        let driver = ScriptedDriver(.answer(.ok)) {
            $0.writeZeroes = .emulated
            $0.isReadOnly = true
        }
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.writeZeroes, sectors(8, 8), data: .none, token: 1) }
        #expect(sink.statuses(of: 1) == [.readOnly] && driver.requests.isEmpty)
        await end(disk, box, driver)
    }

    // MARK: Memory of the submitter's

    #if DEBUG
        @Test("a close waits for a copy into the submitter's memory that has begun (R5)") func closeDuringCopy()
            async throws
        {
            let driver = ScriptedDriver()
            let (disk, sink, box) = try await rig(driver)
            let mine = try IOBuffer(count: 512)
            box.use { $0.submit(.read, oneSector, data: .borrowed(mine.memory), token: 1) }
            let isCopying = Parker()
            let mayCopy = Parker()
            RequestHooks.set {
                isCopying.raise()
                mayCopy.wait()
            }
            defer { RequestHooks.set(copying: nil) }
            let answerer = try WorkerThread.start(name: "answer") { driver.answerOne() }
            isCopying.wait()
            let isClosed = Parker()
            let closer = try WorkerThread.start(name: "close") {
                box.close()
                isClosed.raise()
            }
            #expect(!isClosed.wait(until: Instant.now + .milliseconds(50)), "memory that is being written to is gone")
            mayCopy.raise()
            #expect(isClosed.wait(until: Instant.now + .seconds(30)))
            closer.join()
            answerer.join()
            #expect(sink.total <= 1)
            _ = consume mine
            await end(disk, box, driver)
        }
    #endif

    @Test("after a close nobody touches borrowed memory: no copy, no parked read") func closedBefore() async throws {
        let marks: UInt8 = 0xa5
        for style in [SubmissionStyle.async, .inline] {
            let driver = ScriptedDriver(style: style, style == .async ? .hold : .answer(.ok))
            driver.inSubmit.withLock { $0 = nil }
            let (disk, sink, box) = try await rig(driver)
            let mine = try IOBuffer(count: 512)
            mine.memory.withMutableBytes { $0.storeBytes(of: marks, toByteOffset: 0, as: UInt8.self) }
            if style == .inline { disk.freeze() }
            box.use { $0.submit(.read, oneSector, data: .borrowed(mine.memory), token: 1) }
            box.close()
            if style == .inline { try disk.thaw() }
            driver.answerAll()
            #expect(sink.total == 0 && mine.memory.array[0] == marks)
            #expect(driver.requests.count == (style == .async ? 1 : 0), "memory that may be gone was lent")
            await end(disk, box, driver)
        }
    }
}
