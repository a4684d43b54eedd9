// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A disk that goes with its last opener") struct AutoclearTests {
    @Test("goes by the last close itself; whoever comes then finds nothing, whatever the flush takes (T26)")
    func lastClose() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver { $0.hasWriteCache = true }
        let disk = try await registry.add(driver, plain("a"))
        try disk.setAutoclear(true)
        #expect(disk.isAutoclear && disk.lifeState == .live, "nobody had it open yet")
        let sink = CountingSink()
        let first = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let second = try disk.part0.open(.read, as: tester, sink: sink)
        first.submit(.writeZeroes, oneSector, data: .none, token: 1)
        first.close()
        #expect(disk.lifeState == .live, "somebody has it open still")
        driver.set(.hold)
        second.close()
        // In the closing critical section: when the close has returned, it is decided.
        #expect(disk.lifeState == .flushing(.deferred))
        do {
            try disk.part0.open(.read, as: tester, sink: sink).close()
            Issue.record("half a disk was opened")
        } catch {
            #expect(error.errno == 6, "as after any end; not busy: it will not come back")
        }
        #expect(throws: DiskError.self) { try disk.setAutoclear(false) }
        #expect(eventually { driver.held == 1 })
        driver.answerAll()
        #expect(eventually { disk.lifeState == .gone })
        #expect(driver.log.suffix(2) == ["stop", "released"] && registry.namesInUse == 0)
    }

    @Test("does not, once that is taken back; and a failed flush keeps it, and is told (T26)") func staysAlive()
        async throws
    {
        let registry = DiskRegistry()
        let heard = Lock<[String]>([])
        let observer = registry.events.observe { delivery in
            if case .event(let event) = delivery { heard.withLock { $0 += event.extra } }
        }
        let driver = HeldDriver { $0.hasWriteCache = true }
        let disk = try await registry.add(driver, plain("a"))
        try disk.setAutoclear(true)
        try disk.setAutoclear(false)
        let sink = CountingSink()
        func write() throws {
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.writeZeroes, oneSector, data: .none, token: 1)
            opener.close()
        }
        try write()
        #expect(disk.lifeState == .live)
        try disk.setAutoclear(true)
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        driver.set(.answer(.ioError))
        opener.close()
        #expect(eventually { disk.lifeState == .live })
        #expect(eventually { heard.withLock { $0 } == ["PLATTER_AUTOCLEAR=failed"] })
        // It is a disk as before: the next last close tries again.
        driver.set(.answer(.ok))
        try write()
        #expect(eventually { disk.lifeState == .gone })
        observer.cancel()
    }

    @Test("set by its only opener lets nobody else in from then on; by one of several, when they have gone (T26)")
    func clear() async throws {
        let registry = DiskRegistry()
        let sink = CountingSink()
        for others in [0, 1] {
            let disk = try await registry.add(HeldDriver(), plain("a"))
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            let other = others == 1 ? OpenerBox() : nil
            other?.open(try disk.part0.open(.read, as: tester, sink: sink))
            try opener.clear()
            if others == 0 {
                #expect(disk.lifeState == .leaving(.hide))
                #expect(throws: DiskError.self) { try disk.part0.open(.read, as: tester, sink: sink).close() }
                #expect(throws: DiskError.self) { try disk.setAutoclear(true) }
            } else {
                try disk.part0.open(.read, as: tester, sink: sink).close()
                other?.close()
                #expect(disk.lifeState == .live)
            }
            opener.submit(.discard, oneSector, data: .none, token: UInt64(others))
            #expect(sink.statuses(of: UInt64(others)) == [.ok], "who has it open is not disturbed")
            opener.close()
            #expect(eventually { disk.lifeState == .gone })
        }
        // Taken back like any removal that still waits; then it no longer goes by itself, either.
        let disk = try await registry.add(HeldDriver(), plain("a"))
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        try opener.clear()
        try disk.cancelRemoval()
        #expect(disk.lifeState == .live && !disk.isAutoclear)
        opener.close()
        #expect(disk.lifeState == .live)
        #expect(await disk.remove().word == "removed")
    }

    @Test("is met by an open that races with the last close alive, or not at all (T26)") func race() async throws {
        let registry = DiskRegistry()
        let (met, missed) = (Counter(), Counter())
        for round in 0..<(isSanitized ? 200 : 2000) {
            let driver = HeldDriver(style: .inline)
            let disk = try await registry.add(driver, plain("a"))
            try disk.setAutoclear(true)
            let last = OpenerBox()
            last.open(try disk.part0.open(.readWrite, as: tester, sink: CountingSink()))
            let go = Atomic<Bool>(false)
            let closer = try WorkerThread.start(name: "close") {
                while !go.load(ordering: .acquiring) {}
                for _ in 0..<(round % 40) * 20 { _ = go.load(ordering: .relaxed) }
                last.close()
            }
            let sink = CountingSink()
            go.store(true, ordering: .releasing)
            do throws(DiskError) {
                let opener = try disk.part0.open(.readWrite, as: tester, depth: 1, sink: sink)
                opener.submit(.discard, oneSector, data: .none, token: 1)
                // Whole: it lives until this very handle is closed.
                #expect(sink.statuses(of: 1) == [.ok] && registry.disk(named: "a") === disk)
                opener.close()
                met.add()
            } catch {
                #expect(error.errno == 6)
                missed.add()
            }
            closer.join()
            #expect(eventually { disk.lifeState == .gone && registry.namesInUse == 0 })
            #expect(driver.log.filter { $0 == "opened" }.count == driver.log.filter { $0 == "closed" }.count)
        }
        #expect(met.value > 0)
        print("T26: \(met.value) met it alive, \(missed.value) came too late")
    }

    @Test("tried to be stopped stops only if nobody has it open; no opener slips in between look and stop (T27)")
    func tryStop() async throws {
        let registry = DiskRegistry()
        let driver = StoppedDriver()
        let disk = try await registry.add(driver, plain("a"))
        let opener = try disk.part0.open(.read, as: tester, sink: CountingSink())
        do {
            _ = try await disk.tryStop()
            Issue.record("stopped under an opener")
        } catch {
            #expect(error.errno == 16 && error.openers.count == 1)
        }
        opener.close()
        // The opener stands in the driver's open, past every look but the last, when the stop looks.
        let removal = Lock<BegunRemoval?>(nil)
        driver.inOpen.withLock {
            $0 = {
                let begun = BegunRemoval(disk, .safe)
                removal.withLock { $0 = begun }
                _ = eventually { disk.lifeState != .live }
            }
        }
        #expect(throws: DiskError.self) { try disk.part0.open(.read, as: tester, sink: CountingSink()).close() }
        #expect(removal.withLock { $0 }?.end()?.word == "removed")
        #expect(driver.log.withLock { $0 } == ["opened", "closed", "opened", "closed", "released"])
        do {
            _ = try await disk.tryStop()
            Issue.record("stopped twice")
        } catch {
            #expect(error.errno == 6)
        }
    }

    @Test("is a machine's decision: every state answers the last close and a clear as the table says") func machine() {
        var live = DiskLifecycle()
        var adding = live
        #expect(adding.lastClosed(autoclear: true) == false && adding.clear(openers: 1) == false)
        #expect(live.published() == true)
        var plain = live
        #expect(plain.lastClosed() == false && plain.state == .live)
        var clearing = live
        #expect(clearing.lastClosed(autoclear: true) == true)
        #expect(clearing.state == .flushing(.deferred) && clearing.isClearing)
        #expect(clearing.refusesOpen() == .noSuchDevice)
        #expect(clearing.lastClosed(autoclear: true) == false && clearing.clear(openers: 0) == false)
        var back = clearing
        #expect(back.flushed(ok: false) == .live)
        #expect(!back.isClearing && back.refusesOpen() == nil)
        #expect(clearing.flushed(ok: true) == .cut)
        for mode in [RemovalMode.deferred, .hide, .soft] {
            var leaving = live
            #expect(leaving.remove(mode, hasOpeners: true) == .leave)
            #expect(leaving.clear(openers: 1) == false)
            #expect(leaving.lastClosed(autoclear: true) == true && leaving.refusesOpen() == .busy)
        }
        var several = live
        #expect(several.clear(openers: 2) == true && several.state == .live)
        var only = live
        #expect(only.clear(openers: 1) == true && only.state == .leaving(.hide))
        #expect(only.cancel() == true && only.state == .live && !only.isClearing)
    }

    @Test("because that was asked for and deferred, taken back and asked for again, against opens, goes once (T75)")
    func deferredStorm() async throws {
        for _ in 0..<(isSanitized ? 20 : 100) {
            let registry = DiskRegistry()
            let driver = HeldDriver(style: .inline)
            let disk = try await registry.add(driver, plain("a"))
            let ends = Atomic<Bool>(false)
            let (opened, refused, cancels) = (Counter(), Counter(), Counter())
            let outcomes = Lock<[String: Int]>([:])
            let openers = try (0..<2).map { _ in
                try WorkerThread.start(name: "open") {
                    while !ends.load(ordering: .relaxed) {
                        do throws(DiskError) {
                            let opener = try disk.part0.open(.read, as: tester, depth: 1, sink: CountingSink())
                            opened.add()
                            opener.close()
                        } catch {
                            // Flushing, or gone: nothing else refuses.
                            #expect(error.errno == 16 || error.errno == 6)
                            refused.add()
                            if disk.lifeState == .gone { return }
                        }
                    }
                }
            }
            let asker = try WorkerThread.start(name: "ask") {
                while !ends.load(ordering: .relaxed), disk.lifeState != .gone {
                    disk.requestRemoval(.deferred, wait: true) { outcome in
                        outcomes.withLock { $0[outcome.word, default: 0] += 1 }
                    }
                    do throws(DiskError) {
                        try disk.cancelRemoval()
                        cancels.add()
                    } catch {
                        #expect(error.errno == 22)
                    }
                }
            }
            #expect(eventually { disk.lifeState == .gone })
            ends.store(true, ordering: .relaxed)
            asker.join()
            for thread in openers { thread.join() }
            #expect(driver.log.filter { $0 == "released" }.count == 1 && registry.namesInUse == 0)
            #expect(registry.events.last == 3, "add, offline, remove: a removal that is taken back tells nothing")
            // Those who wait hear when it is gone, a moment after it is.
            #expect(eventually { outcomes.withLock { $0["removed", default: 0] } >= 1 })
            let words = outcomes.withLock { $0 }
            #expect(Set(words.keys).isSubset(of: ["removed", "cancelled", "no such disk"]), "\(words)")
            #expect(words["cancelled", default: 0] == cancels.value)
        }
    }

    /// What a deferred removal answers in each situation, one line each.
    @Test(
        "deferred: each request, cancel and open in each situation, as the table says (T75)",
        arguments: [
            // With an opener or without, what is done one after the other, and where that ends.
            (true, "defer", "leaving"), (true, "defer cancel", "live"), (true, "defer cancel defer", "leaving"),
            (true, "defer open", "leaving"), (true, "defer open close", "leaving"), (true, "defer close", "gone"),
            (true, "defer cancel close", "live"), (true, "defer cancel defer close", "gone"),
            (true, "defer defer close", "gone"), (true, "defer open close close", "gone"),
            (true, "cancel", "live"), (true, "defer cancel cancel", "live"), (false, "defer", "gone"),
            (false, "open defer close", "gone"), (false, "defer cancel", "gone"), (false, "defer open", "gone"),
        ])
    func deferredTable(_ isOpen: Bool, _ verbs: String, _ end: String) async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        var openers: [OpenerBox] = []
        func open() {
            guard let opener = try? disk.part0.open(.read, as: tester, sink: CountingSink()) else { return }
            let box = OpenerBox()
            box.open(opener)
            openers.append(box)
        }
        if isOpen { open() }
        for verb in verbs.split(separator: " ") {
            switch verb {
            case "defer":
                let outcome = await disk.remove(.deferred)
                #expect(["pending", "removed"].contains(outcome.word))
            case "cancel":
                let wasWaiting = disk.lifeState == .leaving(.deferred)
                var worked = true
                do throws(DiskError) { try disk.cancelRemoval() } catch { worked = false }
                #expect(worked == wasWaiting)
            case "open": open()
            default: openers.popLast()?.close()
            }
        }
        switch end {
        case "live": #expect(disk.lifeState == .live)
        case "leaving": #expect(disk.lifeState == .leaving(.deferred))
        default: #expect(eventually { disk.lifeState == .gone })
        }
        for box in openers { box.close() }
        _ = await disk.remove(.surprise)
        #expect(eventually { registry.namesInUse == 0 })
    }
}

/// Lets a test do something while it is opened.
private final class StoppedDriver: BlockDriver, Sendable {
    let capacity: UInt64 = 2048
    let log = Lock<[String]>([])
    let inOpen = Hook<(@Sendable () -> Void)?>(nil)
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    func opened() throws(BlockStatus) {
        log.withLock { $0.append("opened") }
        inOpen.value?()
    }
    func closed() { log.withLock { $0.append("closed") } }
    func released() { log.withLock { $0.append("released") } }
}
