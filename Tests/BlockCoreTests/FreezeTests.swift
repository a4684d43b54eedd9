// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("Freezes and pauses") struct FreezeTests {
    private typealias Request = ScriptedDriver.Request

    private func rig(
        _ driver: ScriptedDriver
    ) async throws -> (disk: Disk, sink: CountingSink, box: OpenerBox) {
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        return (disk, sink, box)
    }

    private func discard(_ box: OpenerBox, _ tokens: ClosedRange<UInt64>, _ flags: BioFlags = []) {
        box.use { opener in
            for token in tokens {
                opener.submit(.discard, sectors(token * 8, 8), flags: flags, data: .none, token: token)
            }
        }
    }

    @Test("a freeze waits for those inside, and names them at its deadline") func deadline() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        discard(box, 1...2)
        do throws(DiskError) {
            try await disk.freeze(deadline: .milliseconds(20))
            Issue.record("it is not empty")
        } catch {
            #expect(error.errno == 110 && error.openers.map(\.inFlight) == [2] && error.reason.contains("test on"))
        }
        #expect(disk.freezeDepth == 0)
        discard(box, 3...3)
        #expect(driver.held == 3, "the gate is open again")
        let freeze = Verb { () throws(DiskError) in try await disk.freeze(deadline: .seconds(60)) }
        #expect(eventually { disk.freezeDepth == 1 })
        discard(box, 4...4)
        #expect(!freeze.isOver && driver.held == 3)
        box.use { #expect($0.extents(of: sectors(8, 8)) == .success([DeviceExtent(count: 8, kind: .data)])) }
        driver.answerAll()
        #expect(await freeze.errno() == 0)
        #expect(sink.total == 3)
        try disk.thaw()
        #expect(driver.held == 1)
        driver.set(.answer(.ok))
        driver.answerAll()
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("freezes nest over threads; a thaw too many is refused (T46)") func nesting() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, sink, box) = try await rig(driver)
        try await disk.freeze(deadline: .seconds(30))
        disk.freeze()
        try await disk.freeze(deadline: .seconds(30))
        discard(box, 1...1)
        let thawer = try WorkerThread.start(name: "thaw") {
            try? disk.thaw()
            try? disk.thaw()
        }
        thawer.join()
        #expect(sink.total == 0 && disk.freezeDepth == 1)
        #expect(disk.parkedIO == 1 && disk.waitingIO == 0, "at the gate, not behind it")
        try disk.thaw()
        #expect(disk.freezeDepth == 0 && disk.parkedIO == 0)
        #expect(sink.statuses(of: 1) == [.ok])
        #expect(throws: DiskError.self) { try disk.thaw() }
        discard(box, 2...2)
        #expect(sink.statuses(of: 2) == [.ok])
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("a thaw cannot take back the freeze of a removal; the death ends a freeze that waits (T30, T47)")
    func removersFreeze() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        discard(box, 1...1)
        let removal = BegunRemoval(disk, .hard)
        #expect(eventually { disk.lifeState == .flushing(.hard) })
        #expect(throws: DiskError.self) { try disk.thaw() }
        discard(box, 2...2)
        #expect(driver.held == 1 && sink.total == 0, "it is parked")
        let freeze = Verb { () throws(DiskError) in try await disk.freeze(deadline: .seconds(60)) }
        #expect(eventually { disk.freezeDepth == 1 })
        try disk.thaw()
        #expect(throws: DiskError.self) { try disk.thaw() }
        disk.freeze()
        let hurried = BegunRemoval(disk, .surprise)
        #expect(sink.wait(for: 1) && sink.statuses(of: 2) == [.gone], "woken by the kill itself")
        driver.answerAll()
        #expect(await freeze.errno() == 19)
        #expect(removal.end()?.word == "removed" && hurried.end()?.word == "removed")
        while disk.freezeDepth > 0 { try disk.thaw() }
        discard(box, 3...3)
        #expect(sink.statuses(of: 3) == [.gone], "no thaw opens a dead gate")
        do throws(DiskError) {
            try await disk.freeze(deadline: .seconds(30))
            Issue.record("it is dead")
        } catch {
            #expect(error.errno == 19)
        }
        #expect(disk.freezeDepth == 0)
        box.close()
    }

    @Test("a freeze that somebody else takes back says so, though the disk is frozen and empty again (T46)")
    func thawedByAnother() async throws {
        let driver = ScriptedDriver()
        let (disk, _, box) = try await rig(driver)
        discard(box, 1...1)
        let freeze = Verb { () throws(DiskError) in try await disk.freeze(deadline: .seconds(60)) }
        #expect(eventually { disk.freezeDepth == 1 })
        try disk.thaw()
        disk.freeze()
        driver.answerAll()
        #expect(await freeze.errno() == 125)
        #expect(disk.freezeDepth == 1)
        try disk.thaw()
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    // MARK: Pauses

    @Test("in a pause I/O is accepted and waits, and goes in order with the resume") func pause() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, sink, box) = try await rig(driver)
        try await disk.pause()
        try await disk.pause()
        discard(box, 1...20)
        discard(box, 21...21, .noWait)
        #expect(sink.total == 1 && sink.statuses(of: 21) == [.again])
        #expect(disk.waitingIO == 20 && disk.ledger().inFlight == 20 && driver.requests.isEmpty)
        try disk.resume()
        #expect(driver.requests.isEmpty && disk.pauseDepth == 1)
        try disk.resume()
        #expect(driver.requests.map(\.start) == (1...20).map { $0 * 8 })
        #expect(sink.total == 21 && disk.waitingIO == 0)
        #expect(throws: DiskError.self) { try disk.resume() }
        discard(box, 22...22)
        #expect(sink.statuses(of: 22) == [.ok])
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("a pause waits for the submits that run, not for the driver's answers") func pauseWaits() async throws {
        let driver = ScriptedDriver(style: .mayBlock)
        let (disk, sink, box) = try await rig(driver)
        discard(box, 1...1)
        #expect(eventually { driver.held == 1 })
        try await disk.pause(deadline: .seconds(60))
        try disk.resume()
        let isIn = Parker()
        let mayLeave = Parker()
        driver.inSubmit.withLock {
            $0 = { _ in
                isIn.raise()
                mayLeave.wait()
            }
        }
        discard(box, 2...2)
        isIn.wait()
        do throws(DiskError) {
            try await disk.pause(deadline: .milliseconds(20))
            Issue.record("a submit runs")
        } catch {
            #expect(error.errno == 110)
        }
        #expect(disk.pauseDepth == 0)
        let pause = Verb { () throws(DiskError) in try await disk.pause(deadline: .seconds(60)) }
        #expect(eventually { disk.pauseDepth == 1 })
        #expect(!pause.isOver)
        driver.inSubmit.withLock { $0 = nil }
        mayLeave.raise()
        #expect(await pause.errno() == 0)
        discard(box, 3...3)
        #expect(eventually { disk.waitingIO == 1 } && driver.requests.count == 2)
        driver.set(.answer(.ok))
        driver.answerAll()
        #expect(sink.wait(for: 2), "what it has, it may answer")
        try disk.resume()
        #expect(sink.wait(for: 3))
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("the death fails what waits in a pause (T36, R3)") func deathInPause() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, sink, box) = try await rig(driver)
        try await disk.pause()
        discard(box, 1...5)
        box.use { $0.submit(.flush, oneSector, data: .none, token: 6) }
        let report = await disk.remove(.surprise).report
        #expect(sink.total == 6 && sink.all.values.allSatisfy { $0 == [.gone] } && report?.parked == 6)
        #expect(driver.requests.isEmpty)
        #expect(throws: Never.self) { try disk.resume() }
        discard(box, 7...7)
        #expect(sink.statuses(of: 7) == [.gone])
        box.close()
    }

    @Test("a freeze of a paused disk with I/O ends with the resume, or at its deadline (T36)") func freezeInPause()
        async throws
    {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, sink, box) = try await rig(driver)
        try await disk.pause()
        discard(box, 1...1)
        let short = Verb { () throws(DiskError) in try await disk.freeze(deadline: .milliseconds(10)) }
        #expect(await short.errno() == 110)
        let long = Verb { () throws(DiskError) in try await disk.freeze(deadline: .seconds(60)) }
        #expect(eventually { disk.freezeDepth == 1 })
        try disk.resume()
        #expect(await long.errno() == 0)
        #expect(sink.total == 1)
        try disk.thaw()
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("pauses in the middle of a storm: no submit runs inside one, and nothing is lost") func pauseStorm()
        async throws
    {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, sink, box) = try await rig(driver)
        let isPaused = Atomic<Bool>(false)
        let sinners = Counter()
        driver.inSubmit.withLock { $0 = { _ in if isPaused.load(ordering: .acquiring) { sinners.add() } } }
        let total: UInt64 = isSanitized ? 2000 : 40_000
        let submitter = try WorkerThread.start(name: "submit") {
            for token in 0..<total {
                if token % 64 == 0 { _ = eventually { Int(token) - sink.total < 64 } }
                discard(box, token...token)
            }
        }
        for _ in 0..<(isSanitized ? 20 : 200) {
            try await disk.pause(deadline: .seconds(60))
            isPaused.store(true, ordering: .releasing)
            await Task.yield()
            isPaused.store(false, ordering: .releasing)
            try disk.resume()
        }
        submitter.join()
        #expect(sink.wait(for: Int(total)))
        let odd = sink.all.filter { $0.value != [.ok] }
        #expect(sinners.value == 0 && odd.isEmpty, "\(odd.count): \(Set(odd.values.map { "\($0)" }))")
        box.close()
        #expect(await disk.remove().word == "removed")
    }
}
