// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A removal") struct RemovalTests {
    @Test("of an idle disk lets the driver go, exactly once, in order, and frees the name at once (R8)")
    func idle() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver()
        let disk = try await registry.add(driver, plain("a"))
        #expect(disk.sequence == 1)
        let report = try #require(await disk.remove().report)
        #expect(report.state == "gone" && !report.deadlinePassed && report.openers.isEmpty)
        #expect(driver.log == ["abort", "stop", "released"])
        #expect(registry.disk(named: "a") == nil)
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
        let next = try await registry.add(HeldDriver(), plain("a"))
        #expect(next.sequence == 2, "the name comes back, the sequence never does")
        #expect(next.number == disk.number)
        #expect(await disk.remove().word == "no such disk")
        #expect(await next.remove().word == "removed")
    }

    @Test("that is safe is refused while somebody has the disk open, and says who (R9)") func safe() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        let who = OpenerIdentity(kind: "nbd", process: 42, user: 7, program: "fio", address: "unix")
        let opener = try disk.part0.open(.readWrite, as: who, sink: CountingSink())
        let outcome = await disk.remove(.safe)
        #expect(outcome.word == "busy")
        #expect(outcome.report?.openers.map(\.identity) == [who])
        #expect(outcome.report?.openers.first.map { $0.since > 1_000_000_000 } == true)
        #expect(disk.lifeState == .live)
        opener.close()
        #expect(await disk.remove(.safe).word == "removed")
    }

    @Test("by surprise cuts openers, answers everything, and leaves a dead handle that closes (R2, R5, T16)")
    func surprise() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold, answersAbort: true)
        let disk = try await registry.add(driver, plain("a"))
        let sink = CountingSink()
        let delegate = CountingDelegate()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink, delegate: delegate)
        for token in UInt64(0)..<100 { opener.submit(.discard, oneSector, data: .none, token: token) }
        let report = try #require(await disk.remove(.surprise).report)
        #expect(report.inFlight == 100 && report.failed == 100 && report.quarantined == 0)
        #expect(report.openers.count == 1 && report.flush == .skipped)
        #expect(!report.deadlinePassed)
        #expect(sink.all.values.allSatisfy { $0 == [.ioError] } && sink.total == 100)
        #expect(delegate.died.value == 1)
        // The driver heard: opened, then the abort, then stop, the close of the handle that is open still, the end.
        #expect(driver.log == ["opened", "abort", "stop", "closed", "released"])
        let before = driver.submitted
        opener.submit(.discard, oneSector, data: .none, token: 1000)
        opener.submit(.flush, oneSector, data: .none, token: 1001)
        opener.submit(.read, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: 1002)
        for token in 1000...1002 { #expect(sink.statuses(of: UInt64(token)) == [.gone]) }
        #expect(driver.submitted == before)
        opener.close()
        #expect(driver.log.last == "released", "a late close calls no code of the driver")
        #expect(throws: DiskError.self) { try disk.part0.open(.read, as: tester, sink: sink).close() }
    }

    @Test("fails what is parked at a frozen gate by the kill itself (R3, T30)") func parked() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver()
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        disk.freeze()
        for token in UInt64(0)..<10 { opener.submit(.discard, oneSector, data: .none, token: token) }
        #expect(sink.total == 0)
        let report = try #require(await disk.remove(.surprise).report)
        #expect(report.parked == 10 && report.failed == 10 && report.inFlight == 0)
        #expect(sink.all.values.allSatisfy { $0 == [.gone] })
        #expect(driver.submitted == 0)
        try disk.thaw()
        #expect(disk.lifeState == .gone, "a thaw that comes late opens nothing")
        opener.close()
    }

    @Test("ends at its deadline when the driver is silent; late answers are counted and dropped (R4, T35)")
    func silent() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain("a"))
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        for token in UInt64(0)..<8 {
            opener.submit(.write, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: token)
        }
        let began = Instant.now
        let report = try #require(await disk.remove(.surprise, deadline: .milliseconds(50)).report)
        #expect(Instant.now - began >= .milliseconds(50))
        #expect(report.deadlinePassed && report.quarantined == 8 && report.quarantinedBytes == 8 * 512)
        #expect(report.state == "owing" && report.failedWriteBytes == 8 * 512)
        #expect(sink.all.values.allSatisfy { $0 == [.gone] } && sink.total == 8)
        #expect(registry.disk(named: "a") == nil, "the name is free from owing on")
        let second = try await registry.add(HeldDriver(), plain("a"))
        let owed = try #require(registry.quarantine().first)
        #expect(owed.disk == "a" && owed.sequence == disk.sequence && owed.count == 8 && owed.bytes == 8 * 512)
        #expect(registry.owingDisk(sequence: disk.sequence) === disk)
        #expect(!driver.log.contains("stop"), "nothing is taken from a driver that still owes")
        opener.close()
        #expect(driver.answerAll() == 8)
        #expect(eventually { registry.quarantine().isEmpty && disk.lifeState == .gone })
        #expect(sink.total == 8, "a late answer reaches nobody")
        let ledger = disk.ledger()
        #expect(ledger.late == 8 && ledger.expired == 8 && ledger.quarantined == 0)
        #expect(ledger.accepted == ledger.ok + ledger.failed + ledger.aborted + ledger.quarantined + ledger.inFlight)
        #expect(eventually { driver.log.suffix(3) == ["stop", "closed", "released"] })
        #expect(disk.quarantinedBytes == 0, "the memory came back with the late answers")
        #expect(await second.remove().word == "removed")
    }

    @Test("is not held up by a stop that does not return; the report says so (R4)") func stuckStop() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver()
        let goOn = Parker()
        driver.inStop.withLock { $0 = { goOn.wait() } }
        let disk = try await registry.add(driver, plain("a"))
        let report = try #require(await disk.remove(.surprise, deadline: .milliseconds(20)).report)
        #expect(report.deadlinePassed && report.quarantined == 0 && report.notes.count == 1)
        #expect(registry.quarantine().map(\.disk) == ["a"])
        goOn.raise()
        #expect(eventually { registry.quarantine().isEmpty })
        #expect(driver.log.last == "released")
    }

    @Test("asked for twice at the same time gives both the same report (T06)") func twice() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.discard, oneSector, data: .none, token: 1)
        let first = BegunRemoval(disk, .surprise, deadline: .seconds(20))
        #expect(eventually { disk.lifeState == .cut(.surprise) })
        let second = BegunRemoval(disk, .hard, deadline: .seconds(20))
        let third = BegunRemoval(disk, .safe)
        // All three wait for the one answer that is owed.
        #expect(eventually { disk.removalWaiters == 3 })
        driver.answerAll()
        let reports = [first, second, third].map { $0.end()?.report }
        #expect(reports[0] != nil && reports[0] == reports[1] && reports[1] == reports[2])
        #expect(reports[0]?.mode == .surprise, "the mode that really ran")
        #expect(driver.log.filter { $0 == "released" }.count == 1)
        opener.close()
    }

    @Test("joined with an earlier deadline ends at the earlier one") func earlierDeadline() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain())
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        opener.submit(.discard, oneSector, data: .none, token: 1)
        let patient = BegunRemoval(disk, .surprise, deadline: .seconds(3600))
        #expect(eventually { disk.lifeState == .cut(.surprise) })
        let report = await disk.remove(.surprise, deadline: .milliseconds(10)).report
        #expect(report?.deadlinePassed == true)
        #expect(patient.end()?.report == report)
        driver.answerAll()
        opener.close()
        #expect(eventually { disk.lifeState == .gone })
    }

    @Test("asked for inside a submit or an answer of the same disk is done by others, never a deadlock (T34)")
    func fromInside() async throws {
        for fromAnswer in [false, true] {
            let registry = DiskRegistry()
            let driver = HeldDriver(style: .inline)
            let disk = try await registry.add(driver, plain())
            let sink = CountingSink()
            let finished = Parker()
            let ask: @Sendable () -> Void = { disk.requestRemoval(.surprise) { _ in finished.raise() } }
            if fromAnswer {
                sink.onAnswer.withLock { $0 = { _, _ in ask() } }
            } else {
                driver.inSubmit.withLock { $0 = { _ in ask() } }
            }
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.discard, oneSector, data: .none, token: 1)
            #expect(finished.wait(until: Instant.now + .seconds(30)))
            #expect(sink.statuses(of: 1).count == 1)
            #expect(disk.lifeState == .gone)
            opener.close()
        }
    }

    @Test("may free everything in the answer: the last handle closed and the last reference dropped there (T33)")
    func lastReference() async throws {
        for _ in 0..<200 {
            let registry = DiskRegistry()
            let driver = HeldDriver(behaviour: .hold)
            let box = Lock<[Disk]>([try await registry.add(driver, plain())])
            let holder = OpenerBox()
            let sink = CountingSink()
            sink.onAnswer.withLock {
                $0 = { _, _ in
                    // On the driver's thread, inside the delivery of the only I/O.
                    holder.close()
                    box.withLock { $0 = [] }
                }
            }
            weak var disk: Disk?
            do {
                let strong = try #require(box.withLock { $0.first })
                disk = strong
                holder.open(try strong.part0.open(.readWrite, as: tester, sink: sink))
            }
            holder.submit()
            let removed = Parker()
            disk?.requestRemoval(.surprise, deadline: .seconds(20)) { _ in removed.raise() }
            let answerer = try WorkerThread.start(name: "answer") { driver.answerAll() }
            #expect(removed.wait(until: Instant.now + .seconds(30)))
            answerer.join()
            #expect(sink.total == 1)
        }
    }

    @Test("that is deferred goes with the last close, lets others in meanwhile, and can be taken back (T75)")
    func deferred() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        let first = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        #expect(await disk.remove(.deferred).word == "pending")
        #expect(disk.lifeState.word == "removing")
        try disk.cancelRemoval()
        #expect(disk.lifeState == .live)
        #expect(throws: DiskError.self) { try disk.cancelRemoval() }
        #expect(await disk.remove(.deferred).word == "pending")
        let second = try disk.part0.open(.read, as: tester, sink: CountingSink())
        let gone = BegunRemoval(disk, .deferred, deadline: .seconds(30), wait: true)
        first.close()
        #expect(disk.lifeState == .leaving(.deferred))
        second.close()
        #expect(gone.end()?.word == "removed")
        #expect(registry.disk(named: "a") == nil)
    }

    @Test("that hides refuses newcomers and leaves openers undisturbed") func hide() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        let sink = CountingSink()
        let delegate = CountingDelegate()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink, delegate: delegate)
        #expect(await disk.remove(.hide).word == "pending")
        #expect(throws: DiskError.self) { try disk.part0.open(.read, as: tester, sink: sink).close() }
        opener.submit(.discard, oneSector, data: .none, token: 1)
        #expect(sink.statuses(of: 1) == [.ok])
        #expect(delegate.asked.value == 0)
        // With --wait and openers that stay: pending when the time is up, and the removal stays.
        #expect(await disk.remove(.hide, deadline: .milliseconds(10), wait: true).word == "pending")
        opener.close()
        #expect(eventually { disk.lifeState == .gone })
        #expect(delegate.died.value == 0)
    }

    @Test("that is soft asks openers to leave, and a stronger one takes over") func soft() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain())
        let delegate = CountingDelegate()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink(), delegate: delegate)
        #expect(await disk.remove(.hide).word == "pending")
        let waiting = BegunRemoval(disk, .soft, deadline: .seconds(30), wait: true)
        #expect(eventually { delegate.asked.value == 1 })
        let report = await disk.remove(.surprise).report
        #expect(report?.mode == .surprise)
        #expect(waiting.end()?.report == report)
        #expect(delegate.died.value == 1)
        opener.close()
    }

    @Test("that is hard flushes behind the backs of frozen openers, then cuts them") func hard() async throws {
        let registry = DiskRegistry()
        let operations = Lock<[BioOperation]>([])
        let driver = HeldDriver(behaviour: .hold) { $0.hasWriteCache = true }
        driver.inSubmit.withLock { $0 = { operation in operations.withLock { $0.append(operation) } } }
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.write, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: 1)
        let outcome = BegunRemoval(disk, .hard, deadline: .seconds(30))
        #expect(eventually { disk.lifeState == .flushing(.hard) })
        opener.submit(.discard, oneSector, data: .none, token: 2)
        #expect(sink.total == 0, "parked while the flush is under way")
        #expect(driver.answerOne())
        #expect(eventually { driver.held == 1 })
        #expect(operations.withLock { $0 } == [.write, .flush], "what was inside first, then the flush")
        driver.answerAll()
        let report = try #require(outcome.end()?.report)
        #expect(report.flush == .done && report.unflushedBytes == 0 && report.parked == 1)
        #expect(sink.statuses(of: 1) == [.ok] && sink.statuses(of: 2) == [.gone])
        opener.close()
    }

    @Test("whose flush fails leaves the disk alive, unless it is hard; then it says what was lost (R9)")
    func failedFlush() async throws {
        for mode in [RemovalMode.safe, .hard] {
            let registry = DiskRegistry()
            let driver = HeldDriver { $0.hasWriteCache = true }
            let disk = try await registry.add(driver, plain("a"))
            let sink = CountingSink()
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.write, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: 1)
            #expect(sink.statuses(of: 1) == [.ok])
            opener.close()
            driver.set(.answer(.ioError))
            let outcome = await disk.remove(mode)
            #expect(outcome.report?.flush == .failed && outcome.report?.unflushedBytes == 512)
            if mode == .safe {
                #expect(outcome.word == "failed" && disk.lifeState == .live)
                driver.set(.answer(.ok))
                #expect(await disk.remove(.safe).report?.flush == .done)
            } else {
                #expect(outcome.word == "removed")
            }
        }
    }

    @Test("whose flush is never answered ends at the deadline: safe gives up, hard cuts") func stuckFlush() async throws
    {
        let registry = DiskRegistry()
        let driver = HeldDriver { $0.hasWriteCache = true }
        let disk = try await registry.add(driver, plain("a"))
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.write, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: 1)
        opener.close()
        driver.set(.hold)
        let safe = await disk.remove(.safe, deadline: .milliseconds(10))
        #expect(safe.word == "failed" && safe.report?.flush == .abandoned)
        #expect(disk.lifeState == .live)
        let hard = try #require(await disk.remove(.hard, deadline: .milliseconds(10)).report)
        #expect(hard.deadlinePassed && hard.flush == .abandoned && hard.quarantined >= 1)
        driver.answerAll()
        #expect(eventually { disk.lifeState == .gone })
    }

    @Test("has one time for its flush and its drain; a surprise amid it gets no longer one, a shorter one holds (R4)")
    func oneTime() async throws {
        for isSurprised in [false, true] {
            let registry = DiskRegistry()
            let driver = HeldDriver { $0.hasWriteCache = true }
            let (stopping, goOn) = (Parker(), Parker())
            driver.inStop.withLock {
                $0 = {
                    stopping.raise()
                    goOn.wait()
                }
            }
            let disk = try await registry.add(driver, plain("a"))
            let sink = CountingSink()
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.write, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: 1)
            opener.close()
            driver.set(.hold)
            #expect(disk.removalDeadline == nil)
            let removal = BegunRemoval(disk, .hard, deadline: .seconds(3600))
            #expect(eventually { driver.held == 1 }, "the flush is at the driver")
            let deadline = try #require(disk.removalDeadline)
            if isSurprised {
                disk.requestRemoval(.surprise, deadline: .seconds(7200)) { _ in }
            }
            driver.answerAll()
            #expect(stopping.wait(until: Instant.now + .seconds(30)))
            #expect(disk.lifeState == .cut(isSurprised ? .surprise : .hard) && disk.removalDeadline == deadline)
            disk.requestRemoval(.hard, deadline: .seconds(1800)) { _ in }
            #expect(try #require(disk.removalDeadline) < deadline)
            goOn.raise()
            #expect(removal.end()?.word == "removed")
        }
    }

    @Test("keeps a part of its time for the answers after the cut: a tenth, a second at most")
    func flushShare() {
        for (all, flush) in [(0, 0), (10, 9), (1000, 900), (30_000, 29_000), (3_600_000, 3_599_000)] {
            #expect(RemovalMode.flushShare(of: .milliseconds(all)) == .milliseconds(flush))
        }
    }

    @Test("of one disk does not wait for another whose driver is stuck (R7)") func independence() async throws {
        let registry = DiskRegistry()
        let (begun, goOn) = (Parker(), Parker())
        let stuck = HeldDriver(style: .mayBlock)
        stuck.inSubmit.withLock {
            $0 = { _ in
                begun.raise()
                goOn.wait()
            }
        }
        let bad = try await registry.add(stuck, plain("bad"))
        let sink = CountingSink()
        let opener = try bad.part0.open(.readWrite, as: tester, sink: sink)
        for token in UInt64(0)..<64 { opener.submit(.discard, oneSector, data: .none, token: token) }
        // What no worker has begun is failed by the cut, and then nothing is stuck.
        #expect(eventually { begun.isRaised })
        let badOutcome = Lock<RemovalOutcome?>(nil)
        bad.requestRemoval(.surprise, deadline: .seconds(3600)) { outcome in badOutcome.withLock { $0 = outcome } }
        for round in 0..<50 {
            let good = try await registry.add(HeldDriver(), plain("good"))
            let other = try good.part0.open(.readWrite, as: tester, sink: sink)
            other.submit(.discard, oneSector, data: .none, token: UInt64(1000 + round))
            #expect(sink.statuses(of: UInt64(1000 + round)) == [.ok])
            other.close()
            #expect(await good.remove().word == "removed")
        }
        #expect(badOutcome.withLock { $0 == nil })
        goOn.raise()
        #expect(eventually { badOutcome.withLock { $0 != nil } })
        #expect(eventually { sink.total == 64 + 50 })
        opener.close()
    }

    @Test("in the middle of a storm: every I/O is answered once, and afterwards no driver code runs (T32, R1, R2)")
    func storm() async throws {
        for round in 0..<(isSanitized ? 30 : 200) {
            let registry = DiskRegistry()
            let driver = HeldDriver(
                style: round % 3 == 0 ? .inline : .async, behaviour: round % 2 == 0 ? .hold : .answer(.ok))
            let disk = try await registry.add(driver, plain())
            let ends = Atomic<Bool>(false)
            let submitted = Counter()
            let sinks = (0..<3).map { _ in CountingSink() }
            let submitters = try sinks.map { sink in
                let opener = OpenerBox()
                opener.open(try disk.part0.open(.readWrite, as: tester, depth: 32, sink: sink))
                return try WorkerThread.start(name: "submit") {
                    var token: UInt64 = 0
                    while !ends.load(ordering: .relaxed) {
                        opener.submit(token)
                        token += 1
                        submitted.add()
                    }
                    opener.close()
                }
            }
            let answerer = try WorkerThread.start(name: "answer") {
                while !ends.load(ordering: .relaxed) { if !driver.answerOne() { yieldThread() } }
            }
            #expect(eventually { submitted.value > 200 })
            let report = try #require(await disk.remove(.surprise, deadline: .seconds(30)).report)
            let atEnd = driver.submitted
            #expect(!report.deadlinePassed)
            #expect(driver.log.last == "released")
            let before = submitted.value
            #expect(eventually { submitted.value > before + 50 }, "submitters go on, and hear that it is gone")
            #expect(driver.submitted == atEnd, "no driver code after the removal")
            ends.store(true, ordering: .relaxed)
            for thread in submitters + [answerer] { thread.join() }
            #expect(sinks.reduce(0) { $0 + $1.total } == submitted.value)
            for sink in sinks { #expect(sink.all.values.allSatisfy { $0.count == 1 }) }
            let ledger = disk.ledger()
            #expect(ledger.inFlight == 0 && ledger.accepted == ledger.ok + ledger.failed)
        }
    }
}

/// An opener that several closures share.
final class OpenerBox: @unchecked Sendable {
    // SAFETY: each test has one thread at a time in it.
    private var opener: Opener?
    func open(_ opener: consuming Opener) { self.opener = consume opener }
    func submit(_ token: UInt64 = 0) { opener?.submit(.discard, oneSector, data: .none, token: token) }
    /// Lends the opener; nothing if it is closed.
    func use(_ body: (borrowing Opener) -> Void) {
        guard let lent = opener.take() else { return }
        body(lent)
        opener = consume lent
    }
    func close() { opener = nil }
}
