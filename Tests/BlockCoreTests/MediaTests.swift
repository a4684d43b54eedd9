// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A removable medium") struct MediaTests {
    static let twoParts: [(start: UInt32, count: UInt32)] = [(64, 64), (1024, 64)]

    static func slot(
        _ registry: DiskRegistry, _ driver: CardDriver, _ adjust: (inout DiskOptions) -> Void = { _ in }
    ) async throws -> Disk {
        driver.cards.withLock {
            $0 = [
                "a": card(fill: 0xa, table: Self.twoParts), "b": card(2048, fill: 0xb, table: [(512, 512)]),
                "plain": card(64),
            ]
        }
        return try await registry.add(
            driver,
            plain("sd0") {
                $0.scansPartitions = true
                adjust(&$0)
            })
    }

    /// Waits for whatever the disk has begun by itself: a check, a change.
    static func settle(_ disk: Disk) async {
        _ = eventually { disk.mediaBlockDepth == 0 }
        // An open waits for the check that runs, and for the change that it found.
        try? disk.part0.open([.read, .noDelay], as: tester, sink: CountingSink()).close()
        // And its own close asked for one more.
        _ = eventually { disk.mediaBlockDepth == 0 && disk.mediaNext == .nothing }
    }

    static func told(_ registry: DiskRegistry, after sequence: UInt64) -> [String] {
        allEvents(of: registry).filter { $0.sequence > sequence }.map { event in
            ([event.action.rawValue, event.device, "\(event.diskSequence)"] + event.extra).joined(separator: " ")
        }
    }

    @Test("that is missing: size 0, no open but without delay, whose I/O finds none, then and later (T57)")
    func missing()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver()
        let disk = try await Self.slot(registry, driver)
        #expect(disk.capacity == 0 && !disk.hasMedium && disk.stateWord == "no-medium" && disk.isRemovable)
        expectErrno(123) { () throws(DiskError) in try disk.part0.open(.read, as: tester, sink: CountingSink()).close()
        }
        let sink = CountingSink()
        let opener = try disk.part0.open([.read, .noDelay], as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        opener.submit(.read, oneSector, data: .borrowed(page.memory), token: 1)
        #expect(sink.statuses(of: 1) == [.noMedium])
        #expect(try await disk.insertMedium("a").partitions == ["sd0p1", "sd0p2"])
        opener.submit(.read, oneSector, data: .borrowed(page.memory), token: 2)
        #expect(sink.statuses(of: 2) == [.noMedium])
        // Pulled without a word: the ghosts are gone with the next open.
        driver.pull()
        expectErrno(123) { () throws(DiskError) in try disk.part0.open(.read, as: tester, sink: sink).close() }
        #expect(disk.partitions.isEmpty && disk.capacity == 0 && registry.device(named: "sd0p1") == nil)
        opener.close()
        await Self.settle(disk)
        // A rescan notices as much.
        driver.put(card(fill: 3, table: Self.twoParts))
        #expect(try await disk.rescan().partitions == 2)
        driver.pull()
        #expect(await RescanTests.rescanErrno(disk) == 123)
        #expect(disk.partitions.isEmpty)
        await Self.settle(disk)
        #expect(disk.mediaBlockDepth == 0)
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("that is put in and taken out: partitions, DISKSEQ and events follow, each medium's with its own")
    func verbs()
        async throws
    {
        let registry = DiskRegistry()
        let disk = try await Self.slot(registry, CardDriver())
        let added = registry.events.last
        let inserted = try await disk.insertMedium("a")
        #expect(inserted.sequence == 2 && disk.sequence == 2 && disk.identity == 1 && disk.capacity == 4096)
        #expect(disk.stateWord == "live")
        do {
            _ = try await disk.insertMedium("b")
            Issue.record("two media in one slot")
        } catch { #expect(error.errno == 16) }
        let ejected = try await disk.ejectMedium()
        #expect(ejected.sequence == 3 && ejected.partitions.isEmpty && ejected.unflushedBytes == 0)
        do {
            _ = try await disk.ejectMedium()
            Issue.record("nothing was ejected")
        } catch { #expect(error.errno == 123) }
        do {
            _ = try await disk.insertMedium("lost")
            Issue.record("a card from nowhere")
        } catch { #expect(error.errno == 2) }
        disk.freeze()
        do {
            _ = try await disk.insertMedium("b")
            Issue.record("a table was read through a freeze")
        } catch { #expect(error.errno == 16) }
        try disk.thaw()
        _ = try await disk.insertMedium("b")
        #expect(
            Self.told(registry, after: added) == [
                "change sd0 2 DISK_MEDIA_CHANGE=1", "add sd0p1 2", "add sd0p2 2",
                "remove sd0p1 2", "remove sd0p2 2", "change sd0 3 DISK_MEDIA_CHANGE=1",
                "change sd0 4 DISK_MEDIA_CHANGE=1", "add sd0p1 4",
            ])
        // The registry keeps it by its identity: the names are free with the removal, and DISKSEQ goes on.
        #expect(await disk.remove().report?.sequence == 4)
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
        let next = try await registry.add(HeldDriver(), plain("sd0"))
        #expect(next.sequence == 5)
        #expect(await next.remove().word == "removed")
    }

    @Test("of which the change is noticed in an open: nothing of the old one is left when it returns (T56)")
    func inOpen()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver(card(fill: 1, table: Self.twoParts))
        let disk = try await Self.slot(registry, driver)
        let old = try #require(registry.device(named: "sd0p2"))
        await Self.settle(disk)
        let before = registry.events.last
        driver.put(card(2048, fill: 2, table: [(512, 512)]))
        let sink = CountingSink()
        let opener = try disk.part0.open(.read, as: tester, sink: sink)
        #expect(disk.partitions.map(\.start) == [512] && disk.capacity == 2048 && disk.sequence == 2)
        expectErrno(6) { () throws(DiskError) in try old.open(.read, as: tester, sink: sink).close() }
        #expect(
            Self.told(registry, after: before) == [
                "remove sd0p1 1", "remove sd0p2 1", "change sd0 2 DISK_MEDIA_CHANGE=1", "add sd0p1 2",
            ])
        opener.close()
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("an old handle never meets: it answers no medium until it is closed, parked I/O and extents too")
    func oldHandles()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver(card(fill: 1, table: Self.twoParts))
        let disk = try await Self.slot(registry, driver)
        let sink = CountingSink()
        let told = MediumDelegate()
        let whole = try disk.part0.open(.readWrite, as: tester, sink: sink, delegate: told)
        let part = try #require(registry.device(named: "sd0p1")).open(.read, as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        let other = try IOBuffer(count: 512)
        page.memory.copy(from: [UInt8](repeating: 0xee, count: 512).span.bytes)
        // A check that an open asked for would find the new one by itself, and the device's call would be another change.
        await Self.settle(disk)
        disk.freeze()
        whole.submit(.read, SectorRange(start: 9, count: 1), data: .borrowed(page.memory), token: 1)
        driver.put(card(fill: 2, table: Self.twoParts))
        driver.call()
        // The scan of the new table waits for the thaw, the change does not.
        #expect(eventually { disk.sequence == 2 })
        try disk.thaw()
        #expect(sink.wait(for: 1))
        #expect(sink.statuses(of: 1) == [.noMedium])
        #expect(eventually { disk.partitions.count == 2 && told.changes.value == 1 })
        whole.submit(.read, SectorRange(start: 9, count: 1), data: .borrowed(page.memory), token: 2)
        whole.submit(.write, SectorRange(start: 9, count: 1), data: .borrowed(page.memory), token: 3)
        part.submit(.read, oneSector, data: .borrowed(page.memory), token: 4)
        for token in 2...4 as ClosedRange<UInt64> { #expect(sink.statuses(of: token) == [.noMedium]) }
        #expect(whole.extents(of: oneSector) == .failure(.noMedium))
        #expect(page.memory.array.allSatisfy { $0 == 0xee })
        let fresh = try disk.part0.open(.read, as: tester, sink: sink)
        fresh.submit(.read, SectorRange(start: 9, count: 1), data: .borrowed(other.memory), token: 5)
        #expect(sink.statuses(of: 5) == [.ok] && other.memory.array.allSatisfy { $0 == 2 })
        fresh.close()
        whole.close()
        part.close()
        #expect(await disk.remove().word == "removed")
        #expect(told.changes.value == 1)
    }

    @Test("noticed by its number amid the very change to it is no other change (T59)")
    func noticedAmidItself() async throws {
        let registry = DiskRegistry()
        let driver = CardDriver(card(fill: 1, table: Self.twoParts))
        let disk = try await Self.slot(registry, driver)
        await Self.settle(disk)
        let before = registry.events.last
        driver.put(card(fill: 2, table: Self.twoParts))
        let calls = Counter()
        let wasChecked = Lock(false)
        driver.inMedium.withLock {
            $0 = {
                guard disk.mediaNext == .nothing, calls.add() == 1 else { return }  // amid no check: the change's
                let checks = driver.checks
                driver.call()
                let isOver = eventually { driver.checks > checks && disk.mediaNext == .nothing }
                wasChecked.withLock { $0 = isOver }
            }
        }
        driver.call()
        #expect(eventually { disk.sequence == 2 && disk.partitions.count == 2 } && wasChecked.withLock { $0 })
        await Self.settle(disk)
        #expect(disk.sequence == 2)
        #expect(Self.told(registry, after: before).count { $0.contains("DISK_MEDIA_CHANGE") } == 1)
        driver.inMedium.withLock { $0 = nil }
        #expect(await disk.remove().word == "removed")
    }

    @Test("noticed by the device and by an open while another change runs changes once, without a flicker (T59)")
    func once() async throws {
        let registry = DiskRegistry()
        let isIn = Parker()
        let mayGo = Parker()
        let driver = CardDriver(card(fill: 1, table: Self.twoParts))
        let disk = try await Self.slot(registry, driver) {
            $0.amidChange = {
                isIn.raise()
                mayGo.wait()
            }
        }
        await Self.settle(disk)
        let change = try WorkerThread.start(name: "change") {
            _ = try? disk.addPartition(number: 9, start: 2048, size: 8)
        }
        isIn.wait()
        let before = registry.events.last
        driver.put(card(fill: 2, table: Self.twoParts))
        var checks = driver.checks
        driver.call()
        // The device's own check has found it, and what it asked for waits for the partition.
        #expect(eventually { driver.checks > checks && disk.mediaNext == .nothing })
        checks = driver.checks
        let opened = Lock<Int>(-1)
        let open = try WorkerThread.start(name: "open") {
            guard let opener = try? disk.part0.open(.read, as: tester, sink: CountingSink()) else { return }
            opened.withLock { $0 = disk.partitions.count }
            opener.close()
        }
        // And so does an open, which has found it, too.
        #expect(eventually { driver.checks > checks })
        #expect(disk.partitions.count == 2 && opened.withLock { $0 } == -1)
        mayGo.raise()
        change.join()
        open.join()
        #expect(opened.withLock { $0 } == 2)
        await Self.settle(disk)
        #expect(
            Self.told(registry, after: before) == [
                "add sd0p9 1", "remove sd0p1 1", "remove sd0p2 1", "remove sd0p9 1", "change sd0 2 DISK_MEDIA_CHANGE=1",
                "add sd0p1 2", "add sd0p2 2",
            ])
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("is asked for only while an interval is set; what was told is not told again until it is fetched")
    func polling()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver(card(fill: 1)) { $0.polls = true }
        let disk = try await Self.slot(registry, driver)
        await Self.settle(disk)
        let watches = BlockCoreCounts.watches
        let before = registry.events.last
        driver.press()
        try await disk.set("events_poll_msecs", to: "1")
        #expect(eventually { driver.checks > 10 })
        #expect(Self.told(registry, after: before) == ["change sd0 1 DISK_EJECT_REQUEST=1"])
        driver.press()
        let checks = driver.checks
        #expect(eventually { driver.checks > checks + 3 })
        #expect(registry.events.last == before + 1)
        for value in ["-2", "often"] {
            await #expect { try await disk.set("events_poll_msecs", to: value) } throws: { error in
                (error as? DiskError)?.errno == 22
            }
        }
        try await disk.set("events_poll_msecs", to: "0")
        await Self.settle(disk)
        #expect(eventually { BlockCoreCounts.watches <= watches })
        // The registry's interval is for those that have none of their own.
        registry.setMediaPollInterval(milliseconds: 1)
        #expect(eventually { disk.mediaNext == .nothing })
        let idle = driver.checks
        try await disk.set("events_poll_msecs", to: "-1")
        #expect(eventually { driver.checks > idle + 5 })
        driver.put(card(fill: 2, table: Self.twoParts))
        #expect(eventually { disk.partitions.count == 2 })
        registry.setMediaPollInterval(milliseconds: 0)
        await Self.settle(disk)
        #expect(await disk.remove().word == "removed")
        #expect(eventually { BlockCoreCounts.watches <= watches })
    }

    @Test("a check that runs is waited for by an open and by the removal; the blocks are balanced (T58)") func running()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver(card(fill: 1))
        let disk = try await Self.slot(registry, driver)
        await Self.settle(disk)
        let isIn = Parker()
        let mayGo = Parker()
        driver.inCheck.withLock {
            $0 = {
                isIn.raise()
                mayGo.wait()
            }
        }
        driver.call()
        isIn.wait()
        let opens = Counter()
        let open = try WorkerThread.start(name: "open") {
            // Refused or not: it has waited.
            try? disk.part0.open(.read, as: tester, sink: CountingSink()).close()
            opens.add()
        }
        #expect(eventually { disk.mediaBlockDepth == 1 })
        try await disk.set("events_poll_msecs", to: "1")
        // The driver keeps its check to itself: the removal waits for that to its deadline, and the driver is not let go.
        let removal = BegunRemoval(disk, .surprise, deadline: .milliseconds(20))
        #expect(removal.end()?.report?.deadlinePassed == true)
        #expect(disk.lifeState == .owing && opens.value == 0)
        mayGo.raise()
        #expect(eventually { disk.lifeState == .gone })
        open.join()
        #expect(opens.value == 1)
        // The removal's own block stays for ever; nobody else's does.
        #expect(eventually { disk.mediaBlockDepth == 1 })
        let checks = driver.checks
        driver.call()
        #expect(driver.checks == checks)
    }

    @Test("is asked for when a handle closes, and not while somebody holds the disk for writing alone") func closing()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver(card(fill: 1, table: Self.twoParts)) { $0.blocksOnExclusiveWrite = true }
        let disk = try await Self.slot(registry, driver)
        await Self.settle(disk)
        let opener = try disk.part0.open(.read, as: tester, sink: CountingSink())
        // Ejected by a command through the handle, for instance.
        driver.pull()
        #expect(disk.partitions.count == 2)
        opener.close()
        #expect(eventually { disk.partitions.isEmpty && !disk.hasMedium })
        _ = try await disk.insertMedium("a")
        let holder = try disk.part0.open([.read, .write, .exclusive], as: tester, sink: CountingSink())
        #expect(eventually { disk.mediaBlockDepth == 1 })
        driver.pull()
        let checks = driver.checks
        driver.call()
        #expect(disk.mediaBlockDepth == 1 && driver.checks == checks && disk.hasMedium)
        holder.close()
        #expect(eventually { !disk.hasMedium && disk.mediaBlockDepth == 0 })
        #expect(await disk.remove().word == "removed")
    }

    @Test("is not ejected from under a writer or a claim, but flushed, or by force lost and said") func eject()
        async throws
    {
        let registry = DiskRegistry()
        let driver = CardDriver(hasWriteCache: true)
        let disk = try await Self.slot(registry, driver)
        func eject(force: Bool = false) async -> Int32 {
            do {
                _ = try await disk.ejectMedium(force: force)
                return 0
            } catch { return error.errno }
        }
        _ = try await disk.insertMedium("a")
        let sink = CountingSink()
        let page = try IOBuffer(count: 512)
        let reader = try disk.part0.open(.read, as: tester, sink: sink)
        var writer = try #require(registry.device(named: "sd0p1")).open(.readWrite, as: tester, sink: sink)
        writer.submit(.write, oneSector, data: .borrowed(page.memory), token: 1)
        #expect(sink.wait(for: 1))
        #expect(await eject() == 16)
        writer.close()
        // A flush that fails keeps it in; the next one takes it out, under a reader.
        driver.failFlush(true)
        #expect(await eject() == 5)
        #expect(disk.hasMedium)
        disk.freeze()
        #expect(await eject() == 16)
        try disk.thaw()
        driver.failFlush(false)
        let flushes = driver.flushes
        #expect(await eject() == 0)
        #expect(driver.flushes == flushes + 1)
        reader.submit(.read, oneSector, data: .borrowed(page.memory), token: 2)
        #expect(sink.statuses(of: 2) == [.noMedium])
        reader.close()
        // By force: what was not flushed is counted, and a removal afterwards has nothing to flush.
        _ = try await disk.insertMedium("plain")
        writer = try disk.part0.open([.read, .write, .exclusive], as: tester, sink: sink)
        writer.submit(.write, oneSector, data: .borrowed(page.memory), token: 3)
        #expect(sink.wait(for: 3))
        #expect(await eject() == 16)
        let report = try await disk.ejectMedium(force: true)
        #expect(report.unflushedBytes == 512 && report.openers.map(\.device) == ["sd0"])
        writer.submit(.flush, oneSector, data: .none, token: 4)
        #expect(sink.statuses(of: 4) == [.noMedium])
        // A claim on what is gone is in nobody's way.
        _ = try await disk.insertMedium("plain")
        try disk.part0.open([.read, .exclusive], as: tester, sink: sink).close()
        writer.close()
        #expect(await disk.remove().report?.flush == .notNeeded)
        let fixed = try await registry.add(HeldDriver(), plain("pl9"))
        do {
            _ = try await fixed.ejectMedium()
            Issue.record("a fixed disk gave its medium")
        } catch { #expect(error.errno == 95) }
        #expect(await fixed.remove().word == "removed")
    }

    @Test("that is pulled ends what stands on it: each holder hears of it once, and not again at the disk's end (R6)")
    func holders() async throws {
        let registry = DiskRegistry()
        let disk = try await Self.slot(registry, CardDriver(card(fill: 1, table: Self.twoParts)))
        let told = CardHolder()
        let holder = Holder(kind: "test")
        let part = disk.partitions[0]
        let handles = try (0..<2).map { _ in
            HeldOpener(
                try part.openBlocking(.readWrite, as: tester, for: holder, sink: CountingSink(), delegate: told))
        }
        _ = try await disk.ejectMedium(force: true)
        #expect(eventually { told.deaths.value == 1 })
        _ = try await disk.insertMedium("a")
        // Nobody holds the new one, and another may.
        let other = try disk.partitions[0].open([.read, .exclusive], as: tester, sink: CountingSink())
        other.close()
        #expect(await disk.remove(.surprise).word == "removed")
        for handle in handles { handle.close() }
        #expect(told.deaths.value == 1)
    }

    @Test("nobody is let in while it is on its way out") func ejecting() async throws {
        let registry = DiskRegistry()
        let driver = CardDriver(hasWriteCache: true)
        // A scan after the write would ask the driver first.
        let disk = try await Self.slot(registry, driver) { $0.scansPartitions = false }
        _ = try await disk.insertMedium("plain")
        let sink = CountingSink()
        let page = try IOBuffer(count: 512)
        let writer = try disk.part0.open(.readWrite, as: tester, sink: sink)
        writer.submit(.write, oneSector, data: .borrowed(page.memory), token: 1)
        #expect(sink.wait(for: 1))
        writer.close()
        // Flushed, and still in.
        let result = Lock<[Int32]>([])
        driver.inEject.withLock {
            $0 = {
                for mode in [OpenMode.read, .readWrite, [.read, .exclusive]] {
                    let number = errno { () throws(DiskError) in
                        try disk.part0.open(mode, as: tester, sink: sink).close()
                    }
                    result.withLock { $0.append(number) }
                }
            }
        }
        #expect(try await disk.ejectMedium().capacity == 0)
        #expect(result.withLock { $0 } == [16, 16, 16])
        #expect(await disk.remove().word == "removed")
    }
}
