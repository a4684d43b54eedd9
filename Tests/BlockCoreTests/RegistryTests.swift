// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A registry") struct RegistryTests {
    @Test("rolls back an add that fails at any step: nothing visible, no event, nothing leaked (T04)")
    func faultLoop() async throws {
        let registry = DiskRegistry()
        let heard = Counter()
        let observer = registry.events.observe { _ in heard.add() }
        for step in 1... {
            let driver = TableDriver(sectors: 4096)
            let options = plain("a") {
                $0.scansPartitions = true
                $0.beforeStep = { now throws(DiskError) in
                    if now == step { throw DiskError(errno: 12, reason: "injected at step \(step)") }
                }
            }
            do {
                let disk = try await registry.add(driver, options)
                #expect(step > 8, "every step can fail, and this many there are")
                #expect(disk.partitions.count == 2)
                #expect(await disk.remove().word == "removed")
                break
            } catch {
                #expect(error.errno == 12)
                #expect(registry.disk(named: "a") == nil && registry.device(named: "a1") == nil)
                #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
                #expect(registry.events.last == 0, "a failed add tells nobody")
                #expect(driver.releases.value == 0, "the driver is the caller's again")
            }
        }
        #expect(eventually { registry.disksAlive.value == 0 }, "gate, slots and partitions go with the disk")
        observer.cancel()
    }

    @Test("takes a failed add back in reverse: what a step stands on is there until the step is undone (T04)")
    func reverseUndo() async throws {
        let registry = DiskRegistry()
        let undone = Lock<[String]>([])
        let options = plain("a") {
            $0.scansPartitions = true
            $0.beforeStep = { step throws(DiskError) in
                if step == 8 { throw DiskError(errno: 12, reason: "injected") }
            }
            $0.beforeUndo = { step in
                let isKilled = registry.diskBeingAdded(named: "a")?.isDead == true
                undone.withLock {
                    $0.append(
                        "\(step): \(registry.namesInUse) names, \(registry.numbersInUse) numbers, "
                            + (isKilled ? "dead" : "alive"))
                }
            }
        }
        let driver = TableDriver(sectors: 4096, node: DeviceNode(path: "made/a"))
        await #expect(throws: DiskError.self) { try await registry.add(driver, options) }
        #expect(
            undone.withLock { $0 } == [
                "7: 3 names, 3 numbers, alive", "5: 1 names, 1 numbers, alive", "3: 1 names, 1 numbers, dead",
                "3: 1 names, 1 numbers, dead", "2: 1 names, 0 numbers, dead",
            ])
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("gives a name to one of two, frees it with the removal, and never finds what is not published (T01, T02)")
    func names() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        await #expect(throws: DiskError.self) { try await registry.add(HeldDriver(), plain("a")) }
        #expect(registry.disk(named: "a") === disk)
        #expect(registry.device(numbered: disk.number)?.disk === disk)
        let auto = try await registry.add(HeldDriver(), plain())
        let next = try await registry.add(HeldDriver(), plain())
        #expect(auto.name == "pl0" && next.name == "pl1")
        #expect(await auto.remove().word == "removed")
        let again = try await registry.add(HeldDriver(), plain())
        #expect(again.name == "pl0" && again.sequence > next.sequence)
        for disk in registry.disks { _ = await disk.remove() }
        #expect(registry.disks.isEmpty)
    }

    @Test(
        "refuses names that cannot be, in one line (T80)",
        arguments: ["", "0a", "a/b", "a!b", "a b", "-a", String(repeating: "a", count: 32), "ä"])
    func badNames(_ name: String) async {
        let registry = DiskRegistry()
        do {
            _ = try await registry.add(HeldDriver(), plain(name))
            Issue.record("\(name) was taken")
        } catch {
            #expect(error.errno == 22 && !error.reason.contains("\n"))
        }
        #expect(DiskRegistry.isValidName(String(repeating: "a", count: 31)))
    }

    @Test("registers majors and refuses what cannot be had") func majors() async throws {
        let registry = DiskRegistry()
        #expect(try registry.registerMajor(nil, name: "mine") == 254)
        #expect(try registry.registerMajor(240, name: "other") == 240)
        #expect(throws: DiskError.self) { try registry.registerMajor(240, name: "third") }
        #expect(throws: DiskError.self) { try registry.registerMajor(259, name: "third") }
        #expect(throws: DiskError.self) { try registry.registerMajor(512, name: "third") }
        let disk = try await registry.add(
            TableDriver(sectors: 4096),
            plain("a") {
                $0.scansPartitions = true
                $0.major = 240
                $0.firstMinor = 16
                $0.minors = 2
            })
        #expect(disk.number == DeviceNumber(major: 240, minor: 16))
        #expect(disk.partitions.map(\.number.major) == [240, 259], "minors beyond the range are extended ones")
        await #expect(throws: DiskError.self) {
            try await registry.add(
                HeldDriver(),
                plain("b") {
                    $0.major = 240
                    $0.firstMinor = 16
                    $0.minors = 1
                })
        }
        #expect(await disk.remove().word == "removed")
    }

    @Test("tells of everything in order, without a gap; a late observer hears what is kept, or what it lost (T73)")
    func events() async throws {
        let registry = DiskRegistry(eventCapacity: 8)
        let disk = try await registry.add(TableDriver(sectors: 4096), plain("a") { $0.scansPartitions = true })
        #expect(await disk.remove().word == "removed")
        let heard = Lock<[EventDelivery]>([])
        let observer = registry.events.observe(after: 0) { delivery in heard.withLock { $0.append(delivery) } }
        #expect(eventually { heard.withLock { $0.count } == 7 })
        let events = heard.withLock { $0 }.compactMap { delivery -> DiskEvent? in
            if case .event(let event) = delivery { event } else { nil }
        }
        #expect(events.map(\.sequence) == Array(1...7))
        #expect(
            events.map { "\($0.action.rawValue) \($0.device)" } == [
                "add a", "add a1", "add a2", "offline a", "remove a1", "remove a2", "remove a",
            ])
        #expect(events[1].properties.map(\.key).contains("PARTUUID"))
        #expect(events.allSatisfy { $0.diskSequence == disk.sequence })
        observer.cancel()
        for _ in 0..<20 {
            let disk = try await registry.add(HeldDriver(), plain("b"))
            _ = await disk.remove()
        }
        let late = Lock<[EventDelivery]>([])
        let second = registry.events.observe(after: 7) { delivery in late.withLock { $0.append(delivery) } }
        #expect(eventually { late.withLock { $0.count } == 9 })
        if case .lost(let count)? = late.withLock({ $0.first }) {
            #expect(count == 60 - 8)
        } else {
            Issue.record("the loss is not said first")
        }
        second.cancel()
    }

    @Test("cancels an add whose scan a silent driver holds up, when a removal comes (T10)") func cancelledAdd() throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(capacity: 4096, behaviour: .hold)
        let failure = Lock<DiskError?>(nil)
        let over = Parker()
        WorkerThread.detach(name: "add") {
            do throws(DiskError) {
                _ = try registry.addBlocking(driver, plain("a") { $0.scansPartitions = true })
            } catch {
                failure.withLock { $0 = error }
            }
            over.raise()
        }
        #expect(eventually { driver.held == 1 })
        #expect(registry.disk(named: "a") == nil, "not found before it is published")
        let disk = try #require(registry.diskBeingAdded(named: "a"))
        let removal = BegunRemoval(disk, .surprise)
        #expect(removal.end()?.word == "never published")
        driver.answerAll(.ioError)
        #expect(over.wait(until: Instant.now + .seconds(30)))
        #expect(failure.withLock { $0?.errno } == 125)
        #expect(registry.namesInUse == 0 && registry.events.last == 0)
    }

    @Test("publishes a disk whose scan runs into its deadline, without partitions, and says so") func slowScan()
        async throws
    {
        let registry = DiskRegistry()
        let driver = HeldDriver(capacity: 4096, behaviour: .hold)
        let disk = try await registry.add(
            driver,
            plain("a") {
                $0.scansPartitions = true
                $0.scanDeadline = .milliseconds(20)
            })
        #expect(disk.partitions.isEmpty && disk.lifeState == .live)
        driver.set(.answer(.ok))
        driver.answerAll()
        #expect(await disk.remove().word == "removed")
    }
}

@Suite("Partitions of a disk") struct DiskPartitionTests {
    @Test("are devices of their own: opened, remapped, counted, bounded") func devices() async throws {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096)
        let disk = try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
        #expect(disk.partitions.map(\.name) == ["pl0p1", "pl0p2"])
        let second = try #require(registry.device(named: "pl0p2"))
        #expect(second.start == 1024 && second.size == 512)
        let sink = CountingSink()
        let opener = try second.open(.readWrite, as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        page.memory.copy(from: [UInt8](repeating: 0xa5, count: 512).span.bytes)
        opener.submit(.write, SectorRange(start: 3, count: 1), data: .borrowed(page.memory), token: 1)
        opener.submit(.write, SectorRange(start: 512, count: 1), data: .borrowed(page.memory), token: 2)
        #expect(sink.statuses(of: 1) == [.ok] && sink.statuses(of: 2) == [.outOfRange])
        #expect(driver.byte(at: (1024 + 3) * 512) == 0xa5)
        #expect(second.statistics().writes.completed == 1 && disk.statistics().writes.completed == 1)
        #expect(disk.partitions[0].statistics().writes.completed == 0)
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("that are open and would change make a rescan refuse before it touches anything (T53)") func busy()
        async throws
    {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096)
        let disk = try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
        let first = try #require(registry.device(named: "pl0p1"))
        let opener = try first.open(.read, as: tester, sink: CountingSink())
        let events = registry.events.last
        // The second changes, the first does not: allowed, and the first keeps its identity and its opener.
        driver.write(table: [(1, 512), (2048, 64)])
        let report = try await disk.rescan()
        #expect(report.added == ["pl0p2"] && report.removed == ["pl0p2"] && report.partitions == 2)
        #expect(registry.device(named: "pl0p1") === first)
        #expect(registry.events.last == events + 3)
        driver.write(table: [(8, 512)])
        do {
            _ = try await disk.rescan()
            Issue.record("a rescan took an open partition away")
        } catch {
            #expect(error.errno == 16 && error.openers.map(\.device) == ["pl0p1"])
        }
        #expect(disk.partitions.count == 2 && registry.events.last == events + 3)
        opener.close()
        #expect(try await disk.rescan().partitions == 1)
        #expect(throws: DiskError.self) { try first.open(.read, as: tester, sink: CountingSink()).close() }
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("appear when the last writer of the whole disk closes after a write, unless that is off") func afterWrite()
        async throws
    {
        for isOn in [true, false] {
            let registry = DiskRegistry()
            let driver = TableDriver(sectors: 4096, table: [])
            let disk = try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
            #expect(disk.partitions.isEmpty)
            if !isOn { try await disk.set("partscan", to: "off") }
            driver.write(table: [(64, 64)])
            let sink = CountingSink()
            let reader = try disk.part0.open(.read, as: tester, sink: sink)
            let writer = try disk.part0.open(.readWrite, as: tester, sink: sink)
            writer.submit(.flush, oneSector, data: .none, token: 0)
            let page = try IOBuffer(count: 512)
            writer.submit(.write, SectorRange(start: 100, count: 1), data: .borrowed(page.memory), token: 1)
            writer.close()
            if isOn { #expect(eventually { disk.partitions.count == 1 }) }
            reader.close()
            #expect(await disk.remove().word == "removed")
            #expect(registry.events.last == (isOn ? 6 : 3))
        }
    }

    @Test("claims exclude each other as the table says, and end with the close (T54)") func claims() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(TableDriver(sectors: 4096), plain("pl0") { $0.scansPartitions = true })
        let first = disk.partitions[0]
        let second = disk.partitions[1]
        let sink = CountingSink()
        func claim(_ device: BlockDevice) throws(DiskError) -> Opener {
            try device.open([.read, .exclusive], as: tester, sink: sink)
        }
        let one = try claim(first)
        #expect(throws: DiskError.self) { try claim(first).close() }
        #expect(throws: DiskError.self) { try claim(disk.part0).close() }
        let two = try claim(second)
        let plainOpen = try first.open(.readWrite, as: tester, sink: sink)
        plainOpen.close()
        one.close()
        #expect(throws: DiskError.self) { try claim(disk.part0).close() }
        two.close()
        let whole = try claim(disk.part0)
        #expect(throws: DiskError.self) { try claim(second).close() }
        whole.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test(
        "stay where they are when the disk shrinks; I/O beyond the end is refused, and none after death (T49, T50, T51)"
    )
    func resize() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(TableDriver(sectors: 4096), plain("pl0") { $0.scansPartitions = true })
        let delegate = CountingDelegate()
        let sink = CountingSink()
        let opener = try disk.partitions[1].open(.readWrite, as: tester, sink: sink, delegate: delegate)
        try await disk.resize(to: 1200)
        let page = try IOBuffer(count: 512)
        opener.submit(.read, SectorRange(start: 175, count: 1), data: .borrowed(page.memory), token: 1)
        opener.submit(.read, SectorRange(start: 176, count: 1), data: .borrowed(page.memory), token: 2)
        #expect(sink.statuses(of: 1) == [.ok] && sink.statuses(of: 2) == [.outOfRange])
        #expect(delegate.resizes.withLock { $0 } == [512])
        await #expect(throws: DiskError.self) { try await disk.resize(to: 0) }
        await #expect(throws: DiskError.self) { try await disk.resize(to: .max) }
        #expect(await disk.remove(.surprise).word == "removed")
        #expect(disk.capacity == 0)
        await #expect(throws: DiskError.self) { try await disk.resize(to: 4096) }
        #expect(disk.capacity == 0)
        opener.close()
    }
}

/// A disk in an array, with an MBR of the test's choice.
final class TableDriver: BlockDriver, Sendable {
    private let bytes: Lock<[UInt8]>
    private let sectors: Atomic<UInt64>
    let releases = Counter()
    /// Reads are answered with an error while it is set; how many came.
    let failReads = Atomic<Bool>(false)
    let reads = Counter()

    private let node: DeviceNode?

    init(
        sectors: UInt64, table: [(start: UInt32, count: UInt32)] = [(1, 512), (1024, 512)], node: DeviceNode? = nil
    ) {
        self.node = node
        bytes = Lock([UInt8](repeating: 0, count: Int(sectors) * 512))
        self.sectors = Atomic(sectors)
        write(table: table)
    }

    var capacity: UInt64 { sectors.load(ordering: .relaxed) }
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        profile.node = node
        return profile
    }

    func write(table: [(start: UInt32, count: UInt32)]) {
        bytes.withLock { bytes in
            for index in 0x1b8..<512 { bytes[index] = 0 }
            bytes[0x1b8] = 0x78
            for (slot, entry) in table.enumerated() {
                let base = 0x1be + slot * 16
                bytes[base + 4] = 0x83
                for byte in 0..<4 {
                    bytes[base + 8 + byte] = UInt8(truncatingIfNeeded: entry.start >> (8 * UInt32(byte)))
                    bytes[base + 12 + byte] = UInt8(truncatingIfNeeded: entry.count >> (8 * UInt32(byte)))
                }
            }
            bytes[510] = 0x55
            bytes[511] = 0xaa
        }
    }

    /// Fails reads from the n-th on from now, so many of them.
    func fail(read first: Int, _ count: Int) { toFail.withLock { $0 = Failing(after: first - 1, count: count) } }
    private struct Failing {
        var after = Int.max
        var count = 0
    }
    private let toFail = Lock(Failing())
    let failedReads = Counter()

    private func isToFail() -> Bool {
        toFail.withLock { failing in
            if failing.after > 0 {
                failing.after -= 1
                return false
            }
            guard failing.count > 0 else { return false }
            failing.count -= 1
            failedReads.add()
            return true
        }
    }

    func byte(at offset: Int) -> UInt8 { bytes.withLock { $0[offset] } }

    func submit(_ bio: consuming Bio) {
        let offset = Int(bio.sector) * 512
        let memory = bio.memory
        switch bio.operation {
        case .read where failReads.load(ordering: .relaxed) || isToFail():
            reads.add()
            return bio.complete(.ioError)
        case .read: bytes.withLock { memory.copy(from: $0.span.extracting(offset..<offset + memory.count).bytes) }
        case .write:
            let new = memory.array
            bytes.withLock { $0.replaceSubrange(offset..<offset + new.count, with: new) }
        default: break
        }
        bio.complete(.ok)
    }

    func resize(to sectors: UInt64) throws(BlockStatus) { self.sectors.store(sectors, ordering: .relaxed) }
    func released() { releases.add() }
}
