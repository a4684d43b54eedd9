// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("Late, and later again") struct TimeoutTests {
    private func rig(
        _ driver: ScriptedDriver, _ registry: DiskRegistry = DiskRegistry()
    ) async throws -> (disk: Disk, sink: CountingSink, box: OpenerBox) {
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        return (disk, sink, box)
    }

    @Test("a request that takes too long is failed; what the driver may touch is quarantined until it answers (R4)")
    func fails() async throws {
        let driver = ScriptedDriver { $0.timeout = .milliseconds(20) }
        let (disk, sink, box) = try await rig(driver)
        let asked = Lock<[LateRequest]>([])
        driver.onTimeout.withLock {
            $0 = { request in
                asked.withLock { $0.append(request) }
                return .fail
            }
        }
        box.use { $0.submit(.write, sectors(8, 8), data: ones(8), token: 1) }
        #expect(sink.wait(for: 1) && sink.statuses(of: 1) == [.timedOut])
        let request = try #require(asked.withLock { $0.first })
        #expect(request.operation == .write && request.range == sectors(8, 8) && request.waited >= .milliseconds(20))
        #expect(disk.quarantinedBytes == 4096 && disk.ledger().quarantined == 1)
        #expect(
            disk.ledger().timedOut == 1 && disk.ledger().failed == 0 && disk.ledger().inFlight == 0
                && disk.statistics().inFlight == 0)
        try await disk.freeze(deadline: .seconds(30))
        try await disk.updateLimits(deadline: .seconds(30)) { $0.maxHardwareSectors = 64 }
        try disk.thaw()
        #expect(disk.lifeState == .live, "a disk with something in quarantine lives")
        driver.answerOne()
        #expect(disk.quarantinedBytes == 0 && disk.ledger().quarantined == 0 && disk.ledger().late == 1)
        #expect(sink.total == 1 && asked.withLock { $0.count } == 1)
        driver.set(.answer(.ok))
        box.submit(2)
        #expect(sink.statuses(of: 2) == [.ok])
        box.close()
        #expect(await disk.remove().word == "removed")
        driver.onTimeout.withLock { $0 = { _ in .wait } }
    }

    @Test("a driver may ask for more time") func waits() async throws {
        let driver = ScriptedDriver { $0.timeout = .milliseconds(5) }
        let (disk, sink, box) = try await rig(driver)
        let asked = Counter()
        driver.onTimeout.withLock {
            $0 = { _ in
                if asked.add() == 3 { driver.answerOne() }
                return .wait
            }
        }
        box.submit(1)
        #expect(sink.wait(for: 1) && sink.statuses(of: 1) == [.ok] && asked.value == 3)
        #expect(disk.ledger().quarantined == 0)
        box.close()
        #expect(await disk.remove().word == "removed")
        driver.onTimeout.withLock { $0 = { _ in .wait } }
    }

    @Test("timeouts fire during a freeze, and let it end (T35)") func duringFreeze() async throws {
        let driver = ScriptedDriver { $0.timeout = .milliseconds(50) }
        let (disk, sink, box) = try await rig(driver)
        driver.onTimeout.withLock {
            $0 = { _ in disk.isFrozen ? .fail : .wait }
        }
        box.submit(1)
        try await disk.freeze(deadline: .seconds(60))
        #expect(sink.statuses(of: 1) == [.timedOut] && disk.ledger().quarantined == 1)
        try disk.thaw()
        driver.answerAll()
        #expect(disk.ledger().quarantined == 0)
        driver.onTimeout.withLock { $0 = nil }
        box.close()
        #expect(await disk.remove().word == "removed")
        driver.onTimeout.withLock { $0 = { _ in .wait } }
    }

    @Test("what was timed out stays the removal's quarantine, too (R4, R9)") func removal() async throws {
        let driver = ScriptedDriver { $0.timeout = .milliseconds(5) }
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(8, 8), data: ones(8), token: 1) }
        #expect(sink.wait(for: 1))
        let report = await disk.remove(.surprise, deadline: .milliseconds(10)).report
        #expect(report?.quarantined == 1 && report?.quarantinedBytes == 4096 && report?.deadlinePassed == true)
        #expect(disk.lifeState == .owing && sink.total == 1)
        driver.answerAll()
        #expect(eventually { disk.lifeState == .gone })
        box.close()
    }

    @Test("a flush that is late fails those who share it, and does not hold up the next") func flush() async throws {
        let driver = ScriptedDriver { $0.timeout = .milliseconds(20) }
        let (disk, sink, box) = try await rig(driver)
        let mayFail = Parker()
        driver.onTimeout.withLock {
            $0 = { _ in
                mayFail.wait()
                return .fail
            }
        }
        func flush(_ token: UInt64) { box.use { $0.submit(.flush, oneSector, data: .none, token: token) } }
        flush(1)
        flush(2)
        flush(3)
        driver.answerOne()
        #expect(sink.statuses(of: 1) == [.ok] && driver.held == 1)
        flush(4)
        driver.onTimeout.withLock { $0 = { _ in driver.held == 1 ? .fail : .wait } }
        mayFail.raise()
        #expect(sink.wait(for: 3))
        #expect(sink.statuses(of: 2) == [.timedOut] && sink.statuses(of: 3) == [.timedOut])
        #expect(eventually { driver.held == 2 }, "the next goes")
        driver.answerAll()
        #expect(sink.wait(for: 4) && sink.statuses(of: 4) == [.ok] && disk.ledger().quarantined == 0)
        box.close()
        #expect(await disk.remove().word == "removed")
        driver.onTimeout.withLock { $0 = { _ in .wait } }
    }

    @Test("nothing wakes up while nothing is at the driver") func idle() async throws {
        let before = BlockCoreCounts.watches
        let driver = ScriptedDriver(.answer(.ok)) { $0.timeout = .milliseconds(5) }
        let (disk, sink, box) = try await rig(driver)
        #expect(BlockCoreCounts.watches <= before)
        box.submit(1)
        #expect(sink.total == 1)
        #expect(
            eventually { !disk.isClockRunning && BlockCoreCounts.watches <= before },
            "one look after the last, and no other")
        driver.set(.requeue(.milliseconds(1)))
        box.submit(2)
        driver.set(.answer(.ok))
        #expect(sink.wait(for: 2))
        #expect(eventually { !disk.isClockRunning && BlockCoreCounts.watches <= before })
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("answers and timeouts that race answer everything once (R1)") func race() async throws {
        for round in 0..<(isSanitized ? 20 : 100) {
            let driver = ScriptedDriver {
                $0.timeout = .microseconds(Int64(100 + round * 7))
                $0.limit { $0.maxHardwareDiscardSectors = 8 }
                $0.queueDepth = 24
            }
            let (disk, sink, box) = try await rig(driver)
            let ends = Parker()
            let answerer = try WorkerThread.start(name: "answer") {
                while !ends.isRaised { if !driver.answerOne() { yieldThread() } }
            }
            for token in UInt64(0)..<64 {
                box.use {
                    $0.submit(
                        .discard, sectors(token * 16, 16), flags: token % 3 == 0 ? .fua : [], data: .none, token: token)
                }
            }
            #expect(sink.wait(for: 64))
            #expect(eventually { disk.ledger().quarantined == 0 && driver.held == 0 })
            ends.raise()
            answerer.join()
            driver.answerAll()
            #expect(sink.total == 64 && sink.all.values.allSatisfy { $0 == [.ok] || $0 == [.timedOut] })
            let ledger = disk.ledger()
            #expect(ledger.inFlight == 0 && ledger.accepted == 64 && disk.statistics().inFlight == 0)
            #expect(disk.quarantinedBytes == 0)
            box.close()
            #expect(await disk.remove(.surprise).word == "removed")
        }
    }

    // MARK: Given back

    @Test("what a driver gives back is submitted again, as one I/O", arguments: [SubmissionStyle.async, .mayBlock])
    func requeue(style: SubmissionStyle) async throws {
        let driver = ScriptedDriver(style: style, .requeue(.milliseconds(1)))
        let (disk, sink, box) = try await rig(driver)
        box.use { $0.submit(.write, sectors(8, 8), flags: .fua, data: ones(8), token: 1) }
        #expect(eventually { driver.requests.count >= 3 })
        driver.set(.answer(.ok))
        #expect(sink.wait(for: 1) && sink.statuses(of: 1) == [.ok])
        #expect(disk.statistics().writes.completed == 1 && disk.ledger().accepted == 1 && disk.ledger().ok == 1)
        #expect(Set(driver.requests.dropLast().map(\.operation)) == [.write])
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("a request given back by token is no longer the driver's (T37)") func requeuedToken() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        box.submit(1)
        let held = driver.state.withLock { $0.held.popFirst() }
        let token = held?.intoToken() ?? 0
        Bio.fromToken(token)?.requeue(after: .milliseconds(1))
        let stale = Bio.fromToken(token) == nil
        #expect(stale)
        #expect(eventually { driver.held == 1 })
        driver.answerAll()
        #expect(sink.statuses(of: 1) == [.ok] && disk.waitingIO == 0)
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("nothing is tried again on a dead disk: what waits for it fails with the kill (T40, R3)") func deadRequeue()
        async throws
    {
        let driver = ScriptedDriver(.requeue(.seconds(3600)))
        let (disk, sink, box) = try await rig(driver)
        let before = BlockCoreCounts.watches
        box.submit(1)
        box.use { $0.submit(.flush, oneSector, data: .none, token: 2) }
        box.use { $0.submit(.flush, oneSector, data: .none, token: 3) }
        #expect(disk.waitingIO == 3 && sink.total == 0)
        driver.set(.hold)
        box.submit(4)
        let removal = BegunRemoval(disk, .surprise)
        #expect(sink.wait(for: 3) && !removal.isOver)
        // Given back after the death.
        let late = driver.state.withLock { $0.held.popFirst() }
        if let late { late.requeue() }
        #expect(removal.end()?.word == "removed")
        #expect(sink.total == 4 && sink.all.values.allSatisfy { $0 == [.gone] })
        #expect(driver.requests.count == 3 && BlockCoreCounts.watches <= before)
        box.close()
    }
}
