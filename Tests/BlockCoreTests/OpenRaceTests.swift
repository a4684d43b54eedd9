// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import TestSupport
import Testing

@Suite("An open", .serialized) struct OpenRaceTests {
    private let registry = DiskRegistry()

    private func add(_ driver: DoorDriver, _ name: String = "pl0") async throws -> Disk {
        try await registry.add(driver, plain(name) { $0.scansPartitions = true })
    }

    private func tryOpen(_ device: BlockDevice, _ mode: OpenMode = .read) -> Int32 {
        thrown { () throws(DiskError) in try device.open(mode, as: tester, sink: CountingSink()).close() }
    }

    @Test("that looked the disk up before its removal is refused, and the driver's calls are balanced (T11)")
    func overtaken() async throws {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let door = Door()
        driver.inOpened.withLock { $0 = { door.pass() } }
        let opening = OnThread { tryOpen(disk.part0, [.read, .exclusive]) }
        #expect(door.isReached())
        let removal = BegunRemoval(disk, .surprise)
        #expect(eventually { disk.capacity == 0 })
        #expect(!removal.isOver, "it waits for the call that is inside the driver")
        door.open()
        #expect(opening.end() == ENXIO)
        #expect(removal.end()?.word == "removed")
        #expect(driver.log.filter { $0 != "abort" } == ["opened", "stop", "closed", "released"])
        #expect(disk.openers.isEmpty)
    }

    @Test("of what was found and is gone by now is refused (T12)") func stale() async throws {
        let disk = try await add(DoorDriver())
        let found = try #require(registry.device(named: "pl0p2"))
        #expect(await disk.remove().word == "removed")
        #expect(registry.device(named: "pl0p2") == nil && registry.device(numbered: found.number) == nil)
        #expect(tryOpen(found) == ENXIO && tryOpen(disk.part0) == ENXIO)
    }

    @Test("that races with removal and re-creation ends on one disk whole, or with an error (T12, T13)")
    func recreation() async throws {
        let isOver = Parker()
        let opens = Counter()
        let threads = (0..<3).map { index in
            OnThread { [registry] () -> [Int32] in
                var others: [Int32] = []
                while !isOver.isRaised {
                    guard let device = registry.device(named: index == 0 ? "pl0" : "pl0p\(index)") else { continue }
                    do throws(DiskError) {
                        let sink = CountingSink()
                        let opener = try device.open(index == 2 ? [.read, .exclusive] : .read, as: tester, sink: sink)
                        if opener.device !== device, index > 0 { others.append(-1) }
                        if let page = try? IOBuffer(count: 512) {
                            opener.submit(.read, oneSector, data: .owned(page, count: 512), token: 1)
                        }
                        if !sink.wait(for: 1) { others.append(-2) }
                        opener.close()
                        opens.add()
                    } catch {
                        if error.errno != ENXIO, error.errno != EBUSY { others.append(error.errno) }
                    }
                }
                return others
            }
        }
        var drivers: [DoorDriver] = []
        let number = try #require(
            try await {
                let disk = try await add(DoorDriver()); _ = await disk.remove(.surprise); return disk
            }()
        )
        .number
        for round in 0..<200 {
            let driver = DoorDriver()
            let disk = try await add(driver)
            #expect(disk.number == number)
            if round % 4 == 0 { #expect(eventually { opens.value > 0 }) }
            #expect(await disk.remove(.surprise).word == "removed")
            drivers.append(driver)
        }
        isOver.raise()
        for thread in threads { #expect(thread.end()?.isEmpty == true) }
        for driver in drivers {
            let log = driver.log
            #expect(log.count { $0 == "opened" } == log.count { $0 == "closed" })
            #expect(log.last == "released" && log.count { $0 == "released" } == 1)
        }
        drivers = []
        #expect(eventually { registry.disksAlive.value == 0 })
        #expect(registry.isFlat && registry.namesInUse == 0)
    }

    @Test("closed while its disk is removed is closed and released once, whoever is first (T15)") func lastClose()
        async throws
    {
        for round in 0..<300 {
            let driver = DoorDriver()
            let disk = try await registry.add(driver, plain("pl0"))
            let box = HandleBox()
            box.put(try disk.part0.open(.readWrite, as: tester, sink: CountingSink()))
            let closing = OnThread { box.close() }
            if round % 3 == 0 { #expect(closing.end() != nil) }
            let outcome = await disk.remove([.surprise, .hard, .hide][round % 3], wait: true)
            #expect(outcome.word == "removed")
            #expect(closing.end() != nil)
            let log = driver.log
            #expect(log.count { $0 == "closed" } == 1 && log.count { $0 == "released" } == 1 && log.last == "released")
        }
    }

    @Test("of a partition that vanishes meanwhile is refused; one that is there keeps it (T17)") func vanishing()
        async throws
    {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let part = disk.partitions[0]
        let held = try part.open(.read, as: tester, sink: CountingSink())
        driver.write(table: [])
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.rescan() } == EBUSY)
        #expect(disk.partitions.count == 2, "nothing was touched")
        held.close()
        let door = Door()
        driver.inOpened.withLock { $0 = { door.pass() } }
        let opening = OnThread { tryOpen(part, [.read, .exclusive]) }
        #expect(door.isReached())
        #expect(try await disk.rescan().removed == ["pl0p1", "pl0p2"])
        door.open()
        #expect(opening.end() == ENXIO)
        #expect(disk.openers.isEmpty && !disk.claimTable.isBusy && disk.claimTable.whole == .free)
        #expect(await disk.remove().word == "removed")
        #expect(driver.log.count { $0 == "opened" } == driver.log.count { $0 == "closed" })
    }

    @Test("of a partition keeps the memory of the whole disk, and nothing else (T18)") func memory() async throws {
        let sink = CountingSink()
        let box = HandleBox()
        let released = Counter()
        weak var disk: Disk?
        weak var driver: DoorDriver?
        do {
            let made = DoorDriver()
            let added = try await add(made)
            box.put(try added.partitions[1].open(.readWrite, as: tester, sink: sink))
            #expect(await added.remove(.surprise).word == "removed")
            released.add(made.log.count { $0 == "released" })
            (disk, driver) = (added, made)
        }
        #expect(eventually { driver == nil }, "the driver goes with the removal")
        #expect(released.value == 1)
        #expect(disk != nil && registry.disksAlive.value == 1)
        #expect(registry.disks.isEmpty && registry.namesInUse == 0 && registry.numbersInUse == 0)
        box.use { $0.submit(.flush, oneSector, data: .none, token: 1) }
        #expect(sink.statuses(of: 1) == [.gone])
        box.close()
        #expect(eventually { disk == nil && registry.disksAlive.value == 0 })
    }

    @Test("may insist on a table that could be read and applied when it was written last") func strictScan()
        async throws
    {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let strict: OpenMode = [.read, .strictScan]
        #expect(tryOpen(disk.part0, strict) == 0)
        let held = try disk.partitions[0].open(.read, as: tester, sink: CountingSink())
        driver.write(table: [(100, 100)])
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.rescan() } == EBUSY)
        #expect(tryOpen(disk.part0) == 0 && tryOpen(disk.part0, strict) == EBUSY)
        #expect(tryOpen(disk.partitions[1], strict) == 0, "a partition has no table of its own")
        #expect(!disk.claimTable.isBusy && disk.openers.count == 1)
        held.close()
        _ = try await disk.rescan()
        #expect(tryOpen(disk.part0, strict) == 0)
        #expect(await disk.remove().word == "removed")
        #expect(driver.log.count { $0 == "opened" } == driver.log.count { $0 == "closed" })
        // A table that cannot be read.
        let broken = HeldDriver(behaviour: .answer(.ioError))
        let other = try await registry.add(broken, plain("b"))
        #expect(await thrown { () async throws(DiskError) in _ = try await other.rescan() } == EIO)
        #expect(tryOpen(other.part0) == 0 && tryOpen(other.part0, strict) == EIO)
        #expect(await other.remove(.surprise).word == "removed")
    }

    @Test("that waits for a medium does not hold up a removal: that tells the driver first (T19)") func noMedium()
        async throws
    {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let door = Door()
        driver.inOpened.withLock { $0 = { door.pass() } }
        driver.inAbort.withLock { $0 = { door.open() } }
        let opening = OnThread { tryOpen(disk.part0) }
        #expect(door.isReached())
        let report = try #require(await disk.remove(.surprise, deadline: .seconds(30)).report)
        #expect(!report.deadlinePassed)
        #expect(opening.end() == ENXIO)
    }
}
