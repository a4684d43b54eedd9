// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockPartitions
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A rescan") struct RescanTests {
    static func scanned(_ registry: DiskRegistry, _ driver: any BlockDriver) async throws -> Disk {
        try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
    }

    static func rescanErrno(_ disk: Disk, deadline: Duration = .seconds(10)) async -> Int32 {
        do {
            _ = try await disk.rescan(deadline: deadline)
            return 0
        } catch {
            return error.errno
        }
    }

    @Test(
        "under a claim of the whole disk changes nothing, unless nothing would change or the claimant asks (T54, T55)")
    func claims() async throws {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096)
        let disk = try await Self.scanned(registry, driver)
        let before = disk.partitions
        let claim = try disk.part0.open([.read, .exclusive], as: tester, sink: CountingSink())
        #expect(await Self.rescanErrno(disk) == 0)
        let events = registry.events.last
        for table: [(start: UInt32, count: UInt32)] in [
            [(1, 512)], [(1, 512), (1024, 512), (2048, 8)], [(1, 512), (1024, 8)],
        ] {
            driver.write(table: table)
            #expect(await Self.rescanErrno(disk) == 16)
        }
        #expect(registry.events.last == events && disk.partitions.elementsEqual(before, by: ===))
        let other = try disk.part0.open(.read, as: tester, sink: CountingSink())
        #expect(throws: DiskError.self) { try other.rescanDisk() }
        #expect(registry.events.last == events)
        let report = try claim.rescanDisk()
        #expect(report.added == ["pl0p2"] && report.removed == ["pl0p2"])
        other.close()
        claim.close()
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("keeps a partition of which only the name or the type is new, open or not, and tells of it") func described()
        async throws
    {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096)
        let disk = try await Self.scanned(registry, driver)
        // Set by hand where the table has the same place, as tools do it: the table only adds what it knows.
        driver.write(table: [(1, 512), (1024, 512), (2048, 64)])
        let third = try disk.addPartition(number: 3, start: 2048, size: 64)
        let opener = try third.open(.read, as: tester, sink: CountingSink())
        let events = registry.events.last
        let report = try await disk.rescan()
        #expect(report.added.isEmpty && report.removed.isEmpty && disk.partitions[2] === third)
        #expect(third.entry?.type == "0x83")
        let news = allEvents(of: registry).filter { $0.sequence > events }
        #expect(news.map(\.device) == ["pl0p3"] && news.map(\.action) == [.change])
        #expect(await Self.rescanErrno(disk) == 0)
        #expect(registry.events.last == events + 1)
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("tells removes, the change, adds, in this order, and only of what changed") func order() async throws {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096, table: [(1, 8), (64, 8), (128, 8)])
        let disk = try await Self.scanned(registry, driver)
        let kept = disk.partitions[1]
        let events = registry.events.last
        driver.write(table: [(1, 16), (64, 8), (128, 16)])
        _ = try await disk.rescan()
        let told = allEvents(of: registry).filter { $0.sequence > events }.map { "\($0.action) \($0.device)" }
        #expect(told == ["remove pl0p1", "remove pl0p3", "change pl0", "add pl0p1", "add pl0p3"])
        #expect(disk.partitions[1] === kept)
        #expect(await disk.remove().word == "removed")
    }

    @Test("does what the parser returns beyond what can be: cut, left out, and said (T63)") func oddTable() async throws
    {
        let registry = DiskRegistry()
        // Beyond the end; partly beyond; of no sectors; and one that is well.
        let driver = TableDriver(
            sectors: 4096, table: [(4096, 8), (4000, 4096), (8, 0), (64, 64)])
        let disk = try await Self.scanned(registry, driver)
        #expect(disk.partitions.map(\.partitionNumber) == [2, 4])
        #expect(disk.partitions[0].size == 96 && disk.partitionWarnings.isEmpty == false)
        // A partition whose name is taken does not stop the others.
        let thief = try await registry.add(HeldDriver(), plain("pl0p3"))
        driver.write(table: [(8, 8), (16, 8), (24, 8), (32, 8)])
        let report = try await disk.rescan()
        #expect(report.partitions == 3 && report.warnings.contains { $0.contains("pl0p3 is in use") })
        #expect(await thief.remove().word == "removed")
        #expect(try await disk.rescan().added == ["pl0p3"])
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("that fails at any of its steps, once or for good, changes nothing and is as good as new the next time")
    func faults() async throws {
        for isTransient in [true, false] {
            var step = 0
            while true {
                step += 1
                let registry = DiskRegistry()
                let driver = TableDriver(sectors: 4096, table: [(64, 64), (1024, 64)])
                let disk = try await Self.scanned(registry, driver)
                let before = (disk.partitions, registry.events.last, registry.namesInUse, registry.numbersInUse)
                driver.write(table: [(64, 64), (2048, 64), (3000, 64)])
                driver.fail(read: step, isTransient ? 1 : .max)
                let number = await Self.rescanErrno(disk)
                let reached = driver.failedReads.value > 0
                if number != 0 {
                    #expect(number == 5 && disk.partitions.elementsEqual(before.0, by: ===))
                    #expect(registry.events.last == before.1 && registry.namesInUse == before.2)
                    #expect(registry.numbersInUse == before.3)
                }
                driver.fail(read: .max, 0)
                #expect(await Self.rescanErrno(disk) == 0)
                #expect(disk.partitions.map(\.start) == [64, 2048, 3000] && disk.partitions[0] === before.0[0])
                #expect(await disk.remove().word == "removed")
                #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
                if !reached { break }
            }
            #expect(step > 1)
        }
    }

    @Test("that fails leaves nothing to be caught up on by an unrelated open (T60)") func noStaleness() async throws {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096, table: [])
        let disk = try await Self.scanned(registry, driver)
        driver.write(table: [(64, 64)])
        driver.failReads.store(true, ordering: .relaxed)
        let reads = driver.reads.value
        try Self.writeAndClose(disk)
        // The automatic rescan has read, and has failed.
        #expect(eventually { driver.reads.value > reads })
        #expect(await Self.rescanErrno(disk) != 0)
        driver.failReads.store(false, ordering: .relaxed)
        let events = registry.events.last
        for mode in [OpenMode.read, .readWrite] {
            try disk.part0.open(mode, as: tester, sink: CountingSink()).close()
        }
        // Whatever a close had begun is over before this one may begin.
        expectErrno(6) { () throws(DiskError) in try disk.deletePartition(9) }
        #expect(disk.partitions.isEmpty && registry.events.last == events)
        #expect(await disk.remove().word == "removed")
    }

    static func writeAndClose(_ disk: Disk) throws {
        let sink = CountingSink()
        let writer = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        writer.submit(.write, SectorRange(start: 4000, count: 1), data: .borrowed(page.memory), token: 1)
        #expect(sink.wait(for: 1))
        writer.close()
    }

    @Test("that comes by itself while another change runs follows it, without another close") func afterwards()
        async throws
    {
        let registry = DiskRegistry()
        let isIn = Parker()
        let mayGo = Parker()
        let driver = TableDriver(sectors: 4096, table: [])
        let disk = try await registry.add(
            driver,
            plain("pl0") {
                $0.scansPartitions = true
                $0.amidChange = {
                    isIn.raise()
                    mayGo.wait()
                }
            })
        let change = try WorkerThread.start(name: "change") {
            _ = try? disk.addPartition(number: 9, start: 2048, size: 8)
        }
        isIn.wait()
        driver.write(table: [(64, 64)])
        try Self.writeAndClose(disk)
        #expect(await Self.rescanErrno(disk) == 16)
        #expect(disk.partitions.isEmpty)
        mayGo.raise()
        change.join()
        #expect(eventually { disk.partitions.map(\.partitionNumber) == [1] })
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("of a silent driver ends at its deadline, and the disk stays usable") func silentDriver() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain("pl0"))
        #expect(await Self.rescanErrno(disk, deadline: .milliseconds(20)) == 5)
        #expect(driver.held == 1)
        driver.set(.answer(.ok))
        let sink = CountingSink()
        let opener = try disk.part0.open(.read, as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        opener.submit(.read, oneSector, data: .borrowed(page.memory), token: 1)
        #expect(sink.statuses(of: 1) == [.ok])
        // The late answer of the scan's read, and a scan that is answered.
        driver.answerAll()
        #expect(await Self.rescanErrno(disk) == 0)
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("of a silent driver ends with the disk: its reads fail at the removal's deadline, not at its own (T19)")
    func removalDuringScan() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain("pl0"))
        let end = Lock<Int32>(-1)
        let done = Parker()
        let scan = Task.detached {
            let number = await Self.rescanErrno(disk, deadline: .seconds(3600))
            end.withLock { $0 = number }
            done.raise()
        }
        #expect(eventually { driver.held == 1 })
        // The scan is no opener: a safe removal finds none, and an open meanwhile waits for nobody.
        try disk.part0.open(.read, as: tester, sink: CountingSink()).close()
        let removal = BegunRemoval(disk, .surprise, deadline: .milliseconds(20))
        #expect(removal.end()?.report?.quarantined == 1)
        await scan.value
        #expect(end.withLock { $0 } == 19)
        driver.answerAll()
        #expect(eventually { disk.lifeState == .gone })
        #expect(registry.namesInUse == 0)
    }
}

@Suite("The size of a disk") struct CapacityTests {
    @Test("changes when the device says so, in use and frozen; listeners and holders hear of it (T49)")
    func fromDevice()
        async throws
    {
        let registry = DiskRegistry()
        let driver = GrowingDriver(sectors: 1024)
        let disk = try await registry.add(driver, plain("pl0"))
        let partition = try disk.addPartition(number: 1, start: 512, size: 512)
        let delegate = CountingDelegate()
        let sink = CountingSink()
        let opener = try disk.part0.open(.read, as: tester, sink: sink, delegate: delegate)
        let events = registry.events.last
        driver.become(2048)
        #expect(eventually { disk.capacity == 2048 })
        #expect(eventually { delegate.resizes.withLock { $0 } == [2048] })
        // The same again is no news; nothing and back is no RESIZE either.
        driver.become(2048)
        driver.become(0)
        #expect(eventually { disk.capacity == 0 })
        let page = try IOBuffer(count: 512)
        opener.submit(.read, oneSector, data: .borrowed(page.memory), token: 1)
        #expect(sink.statuses(of: 1) == [.outOfRange])
        disk.freeze()
        driver.become(1024)
        #expect(eventually { disk.capacity == 1024 })
        try await disk.resize(to: 768)
        try disk.thaw()
        let told = allEvents(of: registry).filter { $0.sequence > events }
        #expect(told.map(\.extra) == [["RESIZE=1"], ["RESIZE=1"]])
        // Below the partition: it stays, it is said, and I/O beyond the end never reaches the driver (T50).
        #expect(disk.partitionWarnings.count == 1 && partition.size == 512)
        let half = try partition.open(.read, as: tester, sink: sink)
        half.submit(.read, SectorRange(start: 255, count: 1), data: .borrowed(page.memory), token: 2)
        half.submit(.read, SectorRange(start: 256, count: 1), data: .borrowed(page.memory), token: 3)
        #expect(sink.statuses(of: 2) == [.ok] && sink.statuses(of: 3) == [.outOfRange])
        half.close()
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("is 0 from the death on, whatever the device says at its end and later (T51)") func afterDeath() async throws
    {
        let registry = DiskRegistry()
        let driver = GrowingDriver(sectors: 1024)
        let disk = try await registry.add(driver, plain("pl0"))
        let seen = Lock<[UInt64]>([])
        // Dead, and its driver is there still.
        driver.inStop.withLock {
            $0 = {
                driver.become(4096)
                let isOver = eventually { !disk.isReconfiguring }
                seen.withLock { $0.append(isOver ? disk.capacity : 1) }
            }
        }
        #expect(await disk.remove().word == "removed")
        #expect(seen.withLock { $0 } == [0])
        driver.inStop.withLock { $0 = nil }
        // A late thread of the driver's.
        let last = registry.events.last
        driver.become(4096)
        #expect(eventually { !disk.isReconfiguring })
        #expect(disk.capacity == 0 && registry.events.last == last)
        #expect(allEvents(of: registry).allSatisfy { $0.extra.isEmpty }, "no RESIZE")
    }

    @Test("is never torn, and follows what came while another change ran") func storm() async throws {
        let registry = DiskRegistry()
        let isIn = Parker()
        let mayGo = Parker()
        let driver = GrowingDriver(sectors: 1 << 33)
        let disk = try await registry.add(
            driver,
            plain("pl0") {
                $0.amidChange = {
                    isIn.raise()
                    mayGo.wait()
                }
            })
        let stop = Atomic<Bool>(false)
        let odd = Counter()
        let reader = try WorkerThread.start(name: "reader") {
            while !stop.load(ordering: .relaxed) {
                // Neither half of the one with a half of the other.
                if ![1 << 33, (1 << 20) + 8].contains(disk.capacity) { odd.add() }
            }
        }
        let change = try WorkerThread.start(name: "change") {
            _ = try? disk.addPartition(number: 1, start: 0, size: 8)
        }
        isIn.wait()
        driver.become((1 << 20) + 8)
        #expect(disk.capacity == 1 << 33)
        mayGo.raise()
        change.join()
        #expect(eventually { disk.capacity == (1 << 20) + 8 })
        for round in 0..<200 { driver.become(round % 2 == 0 ? 1 << 33 : (1 << 20) + 8) }
        driver.become(1 << 33)
        #expect(eventually { disk.capacity == 1 << 33 })
        stop.store(true, ordering: .relaxed)
        reader.join()
        #expect(odd.value == 0)
        #expect(await disk.remove().word == "removed")
    }

    @Test("that the driver cannot change is what it was, at once and after a failure") func resizeFaults() async throws
    {
        let registry = DiskRegistry()
        let driver = GrowingDriver(sectors: 1024)
        let disk = try await registry.add(driver, plain("pl0"))
        let events = registry.events.last
        for size in [512, 2048] as [UInt64] {
            driver.refuses.store(true, ordering: .relaxed)
            await #expect(throws: DiskError.self) { try await disk.resize(to: size) }
            #expect(disk.capacity == 1024 && registry.events.last == events)
        }
        driver.refuses.store(false, ordering: .relaxed)
        try await disk.resize(to: 512)
        #expect(disk.capacity == 512 && registry.events.last == events + 1)
        #expect(await disk.remove().word == "removed")
    }

    @Test("at its limits: what cannot be counted in bytes is cut to what can (T80)") func limits() async throws {
        let registry = DiskRegistry()
        let driver = GrowingDriver(sectors: 8)
        let disk = try await registry.add(driver, plain("pl0"))
        driver.become(.max)
        #expect(eventually { disk.capacity == DiskRegistry.capacityLimit })
        #expect(await disk.remove().word == "removed")
    }
}

/// A device of nothing that changes its size by itself.
final class GrowingDriver: BlockDriver, Sendable {
    private struct State {
        var report: (@Sendable () -> Void)?
    }
    private let sectors: Atomic<UInt64>
    private let state = Lock(State())

    init(sectors: UInt64) { self.sectors = Atomic(sectors) }

    var capacity: UInt64 { sectors.load(ordering: .relaxed) }
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        return profile
    }
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    /// Called by stop.
    let inStop = Hook<(@Sendable () -> Void)?>(nil)
    func stop() { inStop.value?() }
    let refuses = Atomic<Bool>(false)
    func resize(to sectors: UInt64) throws(BlockStatus) {
        if refuses.load(ordering: .relaxed) { throw .noSpace }
        self.sectors.store(sectors, ordering: .relaxed)
    }
    func onCapacityChange(_ report: @escaping @Sendable () -> Void) { state.withLock { $0.report = report } }

    func become(_ sectors: UInt64) {
        self.sectors.store(sectors, ordering: .relaxed)
        state.withLock { $0 }.report?()
    }
}
