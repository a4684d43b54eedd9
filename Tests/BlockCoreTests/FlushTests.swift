// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

@Suite("Flushes") struct FlushTests {
    private typealias Request = ScriptedDriver.Request

    private func flush(_ box: OpenerBox, _ tokens: ClosedRange<UInt64>) {
        box.use { opener in for token in tokens { opener.submit(.flush, oneSector, data: .none, token: token) } }
    }

    private func rig(
        _ driver: ScriptedDriver
    ) async throws -> (disk: Disk, sink: CountingSink, box: OpenerBox) {
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        return (disk, sink, box)
    }

    @Test("those that come while one is out share the next, which covers what was written meanwhile")
    func shared() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        flush(box, 1...1)
        box.use { $0.submit(.write, sectors(0, 8), data: ones(8), token: 10) }
        flush(box, 2...4)
        #expect(driver.requests == [Request(.flush), Request(.write, 0, 8)], "one flush at a time")
        #expect(disk.waitingIO == 3)
        driver.answerOne()
        #expect(sink.statuses(of: 1) == [.ok] && sink.total == 1, "the first does not cover the others")
        #expect(driver.requests.count == 3 && disk.waitingIO == 2, "the next went after the write was submitted")
        driver.answerOne()
        flush(box, 5...5)
        driver.answerOne()
        #expect([2, 3, 4].allSatisfy { sink.statuses(of: $0) == [.ok] })
        #expect(sink.statuses(of: 5) == [] && driver.requests.filter { $0.operation == .flush }.count == 3)
        driver.answerOne()
        #expect(sink.statuses(of: 5) == [.ok] && disk.statistics().flushes.completed == 5)
        #expect(disk.waitingIO == 0)
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("a flush that fails fails everybody who shares it, and no later one") func failure() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        flush(box, 1...3)
        driver.answerOne()
        flush(box, 4...4)
        driver.answerOne(.medium)
        #expect(sink.statuses(of: 2) == [.medium] && sink.statuses(of: 3) == [.medium])
        driver.answerOne()
        #expect(sink.statuses(of: 4) == [.ok])
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("writes that are made durable by a flush share it, too") func sharedForFUA() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        box.use { opener in
            for token in UInt64(1)...4 {
                opener.submit(.write, sectors(token * 8, 8), flags: .fua, data: ones(8), token: token)
            }
        }
        for _ in 1...4 { driver.answerOne() }
        #expect(driver.held == 1 && disk.waitingIO == 3)
        driver.answerOne()
        #expect(sink.statuses(of: 1) == [.ok] && driver.held == 1)
        driver.answerOne()
        #expect(sink.total == 4 && sink.all.values.allSatisfy { $0 == [.ok] })
        #expect(driver.requests.filter { $0.operation == .flush }.count == 2)
        box.close()
        let report = await disk.remove().report
        #expect(report?.unflushedBytes == 0)
    }

    @Test("the death fails who waits for a flush at once, and the command at the deadline (T44, R3, R4)")
    func death() async throws {
        let driver = ScriptedDriver()
        let (disk, sink, box) = try await rig(driver)
        flush(box, 1...3)
        driver.answerOne()
        flush(box, 4...6)
        #expect(sink.total == 1 && driver.held == 1)
        let removal = BegunRemoval(disk, .surprise, deadline: .seconds(30))
        // 2 is the command; 3 shares it; 4 to 6 wait for the next.
        #expect(sink.wait(for: 5), "who waits is woken by the kill, not by the driver")
        #expect((3...6).allSatisfy { sink.statuses(of: $0) == [.gone] } && !removal.isOver)
        let hurried = BegunRemoval(disk, .surprise, deadline: .milliseconds(10))
        #expect(hurried.end()?.report?.quarantined == 1 && removal.end()?.report?.parked == 4)
        #expect(sink.statuses(of: 2) == [.gone])
        driver.answerAll()
        #expect(eventually { disk.lifeState == .gone })
        #expect(sink.total == 6 && driver.requests.count == 2, "no other flush was sent")
        box.close()
    }

    @Test("flushes of many threads are each covered by one that was submitted after them") func storm() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let disk = try await DiskRegistry().add(driver, plain())
        let rounds: UInt64 = isSanitized ? 300 : 3000
        let before = Counter()
        driver.inSubmit.withLock { $0 = { _ in before.add() } }
        let threads = try (0..<3).map { _ in
            try WorkerThread.start(name: "flush") {
                let sink = CountingSink()
                guard let opener = try? disk.part0.open(.readWrite, as: tester, sink: sink) else { return }
                for token in 0..<rounds {
                    opener.submit(.flush, oneSector, data: .none, token: token)
                    if !sink.wait(for: Int(token) + 1) { break }
                }
                #expect(sink.total == Int(rounds))
                opener.close()
            }
        }
        for thread in threads { thread.join() }
        #expect(disk.statistics().flushes.completed == rounds * 3 && before.value <= Int(rounds * 3))
        #expect(disk.waitingIO == 0 && disk.ledger().inFlight == 0)
        #expect(await disk.remove().word == "removed")
    }
}
