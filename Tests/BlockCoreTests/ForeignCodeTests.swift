// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import Synchronization
import TestSupport
import Testing

/// What happens when drivers, sinks and those who wait do things at awkward moments.
@Suite("Foreign code at awkward moments") struct ForeignCodeTests {
    @Test("a flush of a driver that may block runs on a worker, not on the submitter's thread (R7)")
    func flushOnWorker() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(style: .mayBlock) { $0.hasWriteCache = true }
        let threads = Lock<[UInt]>([])
        driver.inSubmit.withLock { $0 = { _ in threads.withLock { $0.append(UInt(pthread_self())) } } }
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        func submit() throws -> UInt {
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.discard, oneSector, data: .none, token: 0)
            opener.submit(.flush, oneSector, data: .none, token: 1)
            #expect(sink.wait(for: 2))
            return UInt(pthread_self())
        }
        let mine = try submit()
        #expect(!threads.withLock { $0 }.contains(mine))
        #expect(await disk.remove().word == "removed")
    }

    @Test("submitting on every refusal of a dead disk keeps the stack flat (F4)") func refusals() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(style: .inline), plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        #expect(await disk.remove(.surprise).word == "removed")
        sink.onAnswer.withLock { $0 = { token, _ in if token < 200_000 { box.submit(token + 1) } } }
        box.submit(0)
        #expect(sink.total == 200_001)
        box.close()
    }

    @Test("an opener that is closed inside another's answer is freed with its last answer") func closeInside()
        async throws
    {
        let registry = DiskRegistry()
        func run() async throws {
            let first = try await registry.add(HeldDriver(style: .inline), plain("a"))
            let second = try await registry.add(HeldDriver(style: .inline), plain("b"))
            let sink = CountingSink()
            let other = OpenerBox()
            other.open(try second.part0.open(.readWrite, as: tester, sink: CountingSink()))
            sink.onAnswer.withLock {
                $0 = { _, _ in
                    other.submit(7)
                    other.close()
                }
            }
            let opener = try first.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.discard, oneSector, data: .none, token: 1)
            opener.close()
            #expect(await first.remove().word == "removed")
            #expect(await second.remove().word == "removed")
        }
        try await run()
        #expect(eventually { registry.disksAlive.value == 0 })
    }

    @Test("an I/O that is submitted by whoever waited for a removal is answered (R1)") func submitFromDone()
        async throws
    {
        let registry = DiskRegistry()
        let driver = HeldDriver(style: .inline) { $0.hasWriteCache = true }
        let failing = try await registry.add(driver, plain("a"))
        let other = try await registry.add(HeldDriver(style: .inline), plain("b"))
        let writer = try failing.part0.open(.readWrite, as: tester, sink: CountingSink())
        writer.submit(.writeZeroes, oneSector, data: .none, token: 1)
        writer.close()
        driver.set(.answer(.ioError))
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try other.part0.open(.readWrite, as: tester, sink: sink))
        failing.requestRemoval(.safe) { _ in box.submit(9) }
        #expect(sink.wait(for: 1))
        #expect(sink.statuses(of: 9) == [.ok])
        box.close()
        #expect(await failing.remove(.surprise).word == "removed")
        #expect(await other.remove().word == "removed")
    }

    @Test("a disk that is pulled while the driver is told of an open tells it of the close, too") func pulledInOpen()
        async throws
    {
        let registry = DiskRegistry()
        let driver = OpenHookDriver()
        let disk = try await registry.add(driver, plain())
        let done = Parker()
        driver.inOpen.withLock { $0 = { disk.requestRemoval(.surprise) { _ in done.raise() } } }
        #expect(throws: DiskError.self) { try disk.part0.open(.read, as: tester, sink: CountingSink()).close() }
        #expect(done.wait(until: Instant.now + .seconds(30)))
        #expect(driver.log.withLock { $0 } == ["onDeath", "opened", "closed", "released"])
    }

    @Test("nothing is told of a disk after its remove event (T73)") func silentAfterRemove() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain())
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        opener.submit(.discard, oneSector, data: .none, token: 0)
        _ = await disk.remove(.surprise, deadline: .milliseconds(10))
        let last = registry.events.last
        #expect(disk.lifeState == .owing)
        try await disk.set("ro", to: "on")
        #expect(registry.events.last == last)
        driver.answerAll()
        opener.close()
        #expect(eventually { disk.lifeState == .gone })
    }

    @Test("a hard removal that takes over a waiting one has its own deadline") func hardTakesOver() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain())
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        opener.submit(.discard, oneSector, data: .none, token: 1)
        #expect(await disk.remove(.deferred).word == "pending")
        let began = Instant.now
        let report = try #require(await disk.remove(.hard, deadline: .milliseconds(50)).report)
        #expect(report.deadlinePassed && Instant.now - began < .seconds(20))
        driver.answerAll()
        opener.close()
        #expect(eventually { disk.lifeState == .gone })
    }

    @Test("a driver is not called after its release by an add that is just ending") func removedAtOnce() async throws {
        for _ in 0..<(isSanitized ? 50 : 300) {
            let registry = DiskRegistry()
            let driver = OpenHookDriver()
            let observer = registry.events.observe { delivery in
                if case .event(let event) = delivery, event.action == .add {
                    registry.disk(named: "a")?.requestRemoval(.surprise) { _ in }
                }
            }
            _ = try await registry.add(driver, plain("a"))
            #expect(eventually { driver.log.withLock { $0.contains("released") } })
            observer.cancel()
            #expect(driver.log.withLock { $0 } == ["onDeath", "released"])
        }
    }

    @Test("deadlines, late answers and flushes for FUA in any order answer everything once (R1, R4)")
    func deadlineStorm() async throws {
        for round in 0..<(isSanitized ? 60 : 300) {
            let registry = DiskRegistry()
            let driver = HeldDriver(behaviour: .hold) {
                $0.hasWriteCache = true
                $0.fua = .emulated
            }
            let disk = try await registry.add(driver, plain())
            let sink = CountingSink()
            let opener = try disk.part0.open(.readWrite, as: tester, depth: 32, sink: sink)
            for token in UInt64(0)..<32 {
                opener.submit(.writeZeroes, oneSector, flags: token % 2 == 0 ? .fua : [], data: .none, token: token)
            }
            let ends = Atomic<Bool>(false)
            let answerer = try WorkerThread.start(name: "answer") {
                while !ends.load(ordering: .relaxed) { if !driver.answerOne() { yieldThread() } }
            }
            let outcome = BegunRemoval(disk, .surprise, deadline: .microseconds(round % 50 * 4))
            for token in UInt64(100)..<140 { opener.submit(.discard, oneSector, data: .none, token: token) }
            #expect(outcome.end() != nil)
            #expect(eventually { disk.lifeState == .gone })
            ends.store(true, ordering: .relaxed)
            answerer.join()
            #expect(sink.wait(for: 72) && sink.total == 72)
            #expect(sink.all.values.allSatisfy { $0.count == 1 })
            let ledger = disk.ledger()
            #expect(ledger.quarantined == 0 && disk.quarantinedBytes == 0 && ledger.inFlight == 0)
            #expect(ledger.aborted == ledger.late)
            opener.close()
        }
    }
}

/// Writes down its calls, and lets a test do something while it is opened.
private final class OpenHookDriver: BlockDriver, Sendable {
    let capacity: UInt64 = 2048
    let log = Lock<[String]>([])
    let inOpen = Hook<(@Sendable () -> Void)?>(nil)
    private func note(_ line: String) { log.withLock { $0.append(line) } }
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    func opened() throws(BlockStatus) {
        note("opened")
        inOpen.value?()
    }
    func closed() { note("closed") }
    func onDeath(_ report: @escaping @Sendable () -> Void) {
        if inOpen.value == nil { note("onDeath") }
    }
    func released() { note("released") }
}
