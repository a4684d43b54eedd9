// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

@Suite("Places at a driver") struct TagTests {
    private func open(
        _ disk: Disk, depth: Int = 128
    ) throws -> (sink: CountingSink, box: OpenerBox) {
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, depth: depth, sink: sink))
        return (sink, box)
    }

    /// Each opener has sectors of its own, by which the driver's log tells who was served.
    private func discard(_ box: OpenerBox, _ tokens: ClosedRange<UInt64>, _ flags: BioFlags = []) {
        box.use { opener in
            for token in tokens { opener.submit(.discard, sectors(token, 1), flags: flags, data: .none, token: token) }
        }
    }

    @Test("a driver never has more than its depth; the others wait in order, openers in turn") func fair() async throws
    {
        let driver = ScriptedDriver { $0.queueDepth = 2 }
        let disk = try await DiskRegistry().add(driver, plain())
        let (sinkA, boxA) = try open(disk)
        let (sinkB, boxB) = try open(disk)
        discard(boxA, 100...105)
        discard(boxB, 200...202)
        discard(boxB, 203...203, .noWait)
        #expect(driver.held == 2 && disk.waitingIO == 7 && sinkB.statuses(of: 203) == [.again])
        for _ in 1...9 { driver.answerOne() }
        #expect(driver.requests.map(\.start) == [100, 101, 102, 200, 103, 201, 104, 202, 105])
        #expect(driver.state.withLock { $0.most } == 2 && sinkA.total == 6 && sinkB.total == 4)
        #expect(disk.waitingIO == 0 && disk.ledger().inFlight == 0)
        discard(boxA, 106...106)
        driver.answerAll()
        #expect(sinkA.statuses(of: 106) == [.ok])
        boxA.close()
        boxB.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("a flush and the pieces of a long I/O need a place like everything else") func steps() async throws {
        let driver = ScriptedDriver {
            $0.queueDepth = 1
            $0.limit { $0.maxHardwareDiscardSectors = 8 }
        }
        let disk = try await DiskRegistry().add(driver, plain())
        let (sink, box) = try open(disk)
        box.use { opener in
            opener.submit(.discard, sectors(0, 24), flags: [.preflush, .fua], data: .none, token: 1)
            opener.submit(.flush, oneSector, data: .none, token: 2)
            opener.submit(.discard, sectors(100, 8), data: .none, token: 3)
        }
        for _ in 1...20 {
            #expect(driver.held <= 1)
            driver.answerOne()
        }
        #expect(sink.total == 3 && sink.all.values.allSatisfy { $0 == [.ok] })
        #expect(driver.requests.filter { $0.operation == .discard }.count == 4)
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("the death takes out who waits; a driver that may block gets the next on its workers (T39, R3)")
    func death() async throws {
        let driver = ScriptedDriver(style: .mayBlock) { $0.queueDepth = 1 }
        let disk = try await DiskRegistry().add(driver, plain())
        let (sink, box) = try open(disk)
        discard(box, 1...4)
        #expect(eventually { driver.held == 1 && disk.waitingIO == 3 })
        driver.answerOne()
        #expect(eventually { driver.held == 1 && disk.waitingIO == 2 })
        let removal = BegunRemoval(disk, .surprise)
        #expect(sink.wait(for: 3) && !removal.isOver, "woken by the kill itself")
        #expect(sink.all.values.filter { $0 == [.gone] }.count == 2)
        driver.answerAll()
        #expect(removal.end()?.report?.parked == 2)
        #expect(driver.requests.count == 2 && sink.total == 4)
        box.close()
    }

    @Test("disks that share their places are served in turn, and die alone (R7, T45)") func shared() async throws {
        let registry = DiskRegistry()
        let tags = TagSet(depth: 2)
        let (first, second) = (ScriptedDriver(), ScriptedDriver())
        let a = try await registry.add(first, plain("a") { $0.tags = tags })
        let b = try await registry.add(second, plain("b") { $0.tags = tags })
        let (sinkA, boxA) = try open(a)
        let (sinkB, boxB) = try open(b)
        discard(boxA, 1...6)
        discard(boxB, 1...3)
        #expect(first.held == 2 && second.held == 0 && tags.waiting == 7 && tags.inUse == 2)
        first.answerOne()
        #expect(first.held == 2 && tags.waiting == 6)
        first.answerOne()
        #expect(eventually { second.held == 1 }, "the other disk's turn, on a thread of its own")
        #expect(first.held == 1)
        // a dies with one request at its silent driver, and three that wait.
        let removal = BegunRemoval(a, .surprise, deadline: .milliseconds(10))
        #expect(removal.end()?.report?.quarantined == 1)
        #expect(sinkA.total == 6 && sinkA.all.values.filter { $0 == [.gone] }.count == 4)
        #expect(tags.inUse == 2 && tags.waiting == 2, "what the silent driver has is its own; nobody else waits for it")
        for count in 1...3 {
            second.answerOne()
            if count < 3 { #expect(eventually { second.held == 1 }) }
        }
        #expect(sinkB.total == 3 && tags.inUse == 1 && second.state.withLock { $0.most } == 1)
        discard(boxA, 7...7)
        #expect(sinkA.statuses(of: 7) == [.gone], "a set that lives opens no dead disk")
        first.answerAll()
        #expect(eventually { a.lifeState == .gone })
        #expect(tags.inUse == 0)
        discard(boxB, 4...6)
        #expect(second.held == 2 && tags.waiting == 1)
        second.set(.answer(.ok))
        second.answerAll()
        #expect(eventually { sinkB.total == 6 })
        boxA.close()
        boxB.close()
        #expect(await b.remove().word == "removed")
    }

    @Test("a pause gives places up to those who can use them") func pause() async throws {
        let registry = DiskRegistry()
        let tags = TagSet(depth: 1)
        let (first, second) = (ScriptedDriver(), ScriptedDriver())
        let a = try await registry.add(first, plain("a") { $0.tags = tags })
        let b = try await registry.add(second, plain("b") { $0.tags = tags })
        let (sinkA, boxA) = try open(a)
        let (sinkB, boxB) = try open(b)
        discard(boxA, 1...2)
        try await a.pause()
        discard(boxB, 1...1)
        first.answerOne()
        // a's second had the next turn, and cannot go.
        #expect(eventually { second.held == 1 } && first.held == 0)
        try a.resume()
        second.answerOne()
        #expect(eventually { first.held == 1 })
        first.answerOne()
        #expect(sinkA.total == 2 && sinkB.total == 1 && tags.inUse == 0)
        boxA.close()
        boxB.close()
        #expect(await a.remove().word == "removed")
        #expect(await b.remove().word == "removed")
    }

    @Test("a storm of openers on few places: everything is answered once, none is lost") func storm() async throws {
        let driver = ScriptedDriver { $0.queueDepth = 3 }
        let disk = try await DiskRegistry().add(driver, plain())
        let rounds: UInt64 = isSanitized ? 500 : 5000
        let ends = Parker()
        let answerer = try WorkerThread.start(name: "answer") {
            while !ends.isRaised { if !driver.answerOne() { yieldThread() } }
        }
        let submitters = try (0..<3).map { _ in
            try WorkerThread.start(name: "submit") {
                let sink = CountingSink()
                guard let opener = try? disk.part0.open(.readWrite, as: tester, sink: sink) else { return }
                for token in 0..<rounds {
                    opener.submit(.discard, sectors(token, 1), data: .none, token: token)
                    if token % 32 == 31 { _ = sink.wait(for: Int(token) + 1) }
                }
                #expect(sink.wait(for: Int(rounds)) && sink.all.values.allSatisfy { $0 == [.ok] })
                opener.close()
            }
        }
        for thread in submitters { thread.join() }
        #expect(driver.state.withLock { $0.most } <= 3 && disk.waitingIO == 0)
        ends.raise()
        answerer.join()
        #expect(await disk.remove().word == "removed")
    }
}
