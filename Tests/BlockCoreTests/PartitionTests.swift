// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockPartitions
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("The rules of single partitions") struct PartitionRuleTests {
    static let others = [
        PartitionRules.Place(number: 1, range: SectorRange(start: 64, count: 64)),
        PartitionRules.Place(number: 3, range: SectorRange(start: 256, count: 8)),
    ]
    let rules = PartitionRules(Self.others, capacity: 1024, blockSectors: 8)

    @Test("refuse ranges that share a sector with another, and no others (T62)") func overlaps() {
        let adding: [(start: UInt64, count: UInt64, refusal: PartitionRules.Refusal?)] = [
            (128, 8, nil), (56, 8, nil), (0, 64, nil),  // adjacent, on both sides
            (64, 64, .overlap(1)), (72, 8, .overlap(1)), (56, 80, .overlap(1)),  // equal, within, enclosing
            (0, 72, .overlap(1)), (120, 16, .overlap(1)), (0, 1024, .overlap(1)), (248, 16, .overlap(3)),
            (128, 0, .range), (UInt64.max, 1, .range), (8, UInt64.max, .range), (UInt64.max, UInt64.max, .range),
            (0, UInt64.max, .alignment(8)), (UInt64.max - 7, 0, .range),
            (1, 8, .alignment(8)), (128, 7, .alignment(8)), (1024, 8, .beyondEnd), (1016, 16, .beyondEnd),
            (UInt64.max - 15, 8, .beyondEnd), (1016, 8, nil),
        ]
        for (start, count, refusal) in adding {
            #expect(rules.adding(2, SectorRange(start: start, count: count)) == refusal, "\(start)+\(count)")
        }
        for left in 0..<8 as Range<UInt64> {
            for right in 0..<8 as Range<UInt64> {
                for count in 1...4 as ClosedRange<UInt64> {
                    let shared = Set(left..<left + 3).isDisjoint(with: right..<right + count) == false
                    #expect(
                        PartitionRules.overlap(
                            SectorRange(start: left, count: 3), SectorRange(start: right, count: count)) == shared)
                }
            }
        }
    }

    @Test("take the numbers 1 to 255, each once, and say overlap before used (T80)") func numbers() {
        let free = SectorRange(start: 512, count: 8)
        for number in [Int.min, -1, 0, 256, 257, Int.max] { #expect(rules.adding(number, free) == .number) }
        #expect(rules.adding(255, free) == nil && rules.adding(2, free) == nil)
        #expect(rules.adding(1, free) == .used)
        #expect(rules.adding(1, SectorRange(start: 64, count: 8)) == .overlap(1))
    }

    @Test("let one grow up to its neighbour or the end, and shrink to one block") func resizing() {
        #expect(rules.resizing(2, to: 8) == .missing)
        #expect(rules.resizing(1, to: 192) == nil && rules.resizing(1, to: 200) == .overlap(3))
        #expect(rules.resizing(1, to: 8) == nil && rules.resizing(1, to: 0) == .range)
        #expect(rules.resizing(3, to: 768) == nil && rules.resizing(3, to: 776) == .beyondEnd)
        #expect(rules.resizing(3, to: .max) == .range && rules.resizing(3, to: 12) == .alignment(8))
    }
}

@Suite("What may change a disk") struct ReconfigurationTests {
    @Test("is one at a time, and the disk's own work is never lost, in every sequence of events") func everyMix() {
        func explore(_ machine: Reconfiguration, owed: Reconfiguration.Work, isOwn: Bool, left: Int) {
            #expect(machine.waiting == owed)
            // Nothing is owed without somebody who will see to it.
            #expect(machine.isRunning || owed.isEmpty)
            #expect(machine.isOwnWork == (machine.isRunning && isOwn))
            guard left > 0 else { return }
            var verb = machine
            #expect(verb.begin() == !machine.isRunning)
            explore(verb, owed: owed, isOwn: machine.isRunning ? isOwn : false, left: left - 1)
            for work in [Reconfiguration.Work.capacity, .medium, .rescan] {
                var asked = machine
                let starts = asked.ask(work)
                #expect(starts == !machine.isRunning)
                explore(asked, owed: owed.union(work), isOwn: starts || isOwn, left: left - 1)
            }
            guard machine.isRunning else { return }
            var next = machine
            if isOwn {
                let work = next.next()
                #expect(work == (owed.contains(.medium) ? .medium : owed) && next.isRunning == !owed.isEmpty)
                explore(next, owed: [], isOwn: !owed.isEmpty, left: left - 1)
            } else {
                #expect(next.end() == !owed.isEmpty)
                explore(next, owed: owed, isOwn: !owed.isEmpty, left: left - 1)
            }
        }
        explore(Reconfiguration(), owed: [], isOwn: false, left: 6)
    }
}

@Suite("Partitions one by one") struct SinglePartitionTests {
    static func disk(_ registry: DiskRegistry, _ driver: TableDriver = TableDriver(sectors: 4096)) async throws -> Disk
    {
        try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
    }

    @Test("are added, found, used, resized and deleted, with the events of Linux") func life() async throws {
        let registry = DiskRegistry()
        let driver = TableDriver(sectors: 4096)
        let disk = try await Self.disk(registry, driver)
        let events = registry.events.last
        let third = try disk.addPartition(number: 3, start: 2048, size: 64)
        #expect(disk.partitions.map(\.name) == ["pl0p1", "pl0p2", "pl0p3"])
        #expect(registry.device(named: "pl0p3") === third && registry.events.last == events + 1)
        let delegate = CountingDelegate()
        let sink = CountingSink()
        let opener = try third.open(.readWrite, as: tester, sink: sink, delegate: delegate)
        let page = try IOBuffer(count: 512)
        page.memory.copy(from: [UInt8](repeating: 0x5a, count: 512).span.bytes)
        opener.submit(.write, SectorRange(start: 63, count: 1), data: .borrowed(page.memory), token: 1)
        opener.submit(.write, SectorRange(start: 64, count: 1), data: .borrowed(page.memory), token: 2)
        #expect(sink.statuses(of: 1) == [.ok] && sink.statuses(of: 2) == [.outOfRange])
        #expect(driver.byte(at: (2048 + 63) * 512) == 0x5a)
        try disk.resizePartition(3, to: 65)
        opener.submit(.write, SectorRange(start: 64, count: 1), data: .borrowed(page.memory), token: 3)
        #expect(sink.statuses(of: 3) == [.ok] && third.size == 65 && third.entry?.size == 65)
        #expect(delegate.resizes.withLock { $0 } == [65] && registry.events.last == events + 1)
        // Open: neither deleted, nor moved by a table that says otherwise.
        expectErrno(16) { () throws(DiskError) in try disk.deletePartition(3) }
        opener.close()
        try disk.deletePartition(3)
        #expect(registry.device(named: "pl0p3") == nil && registry.events.last == events + 2)
        expectErrno(6) { () throws(DiskError) in try disk.deletePartition(3) }
        expectErrno(6) { () throws(DiskError) in try disk.resizePartition(3, to: 8) }
        expectErrno(6) { () throws(DiskError) in try third.open(.read, as: tester, sink: sink).close() }
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("are refused as the error sheet says, and nothing is left behind") func refusals() async throws {
        let registry = DiskRegistry()
        let disk = try await Self.disk(registry)
        let names = registry.namesInUse
        func add(_ number: Int, _ start: UInt64, _ size: UInt64) -> Int32 {
            errno { () throws(DiskError) in _ = try disk.addPartition(number: number, start: start, size: size) }
        }
        #expect(add(0, 2048, 8) == 22 && add(256, 2048, 8) == 22 && add(3, 2048, 0) == 22)
        #expect(add(3, 4096, 1) == 22 && add(3, 4095, 2) == 22 && add(3, .max, .max) == 22)
        #expect(add(3, 1, 8) == 16 && add(2, 2048, 8) == 16 && add(3, 2048, 8) == 0)
        // Another disk has the name that the partition would get.
        let other = try await registry.add(TableDriver(sectors: 64, table: []), plain("pl0p4"))
        #expect(add(4, 3000, 8) == 17)
        #expect(await other.remove().word == "removed")
        #expect(registry.namesInUse == names + 1)
        #expect(await disk.remove(.surprise).word == "removed")
        #expect(add(5, 2048, 8) == 6)
        expectErrno(6) { () throws(DiskError) in try disk.deletePartition(1) }
        expectErrno(6) { () throws(DiskError) in try disk.resizePartition(1, to: 8) }
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("have numbers of the major while it has any, extended ones beyond, and end with the numbers (T05)")
    func numbers() async throws {
        let registry = DiskRegistry()
        let major = try registry.registerMajor(240, name: "test")
        let disk = try await registry.add(
            TableDriver(sectors: 4096, table: []),
            plain("pl0") {
                $0.major = major
                $0.firstMinor = 16
                $0.minors = 4
            })
        let third = try disk.addPartition(number: 3, start: 0, size: 8)
        let fourth = try disk.addPartition(number: 4, start: 8, size: 8)
        let last = try disk.addPartition(number: 255, start: 16, size: 8)
        #expect(third.number == DeviceNumber(major: 240, minor: 19))
        #expect(fourth.number.major == 259 && last.number.major == 259 && fourth.number != last.number)
        // The number of a partition to come is another disk's already.
        let thief = try await registry.add(
            TableDriver(sectors: 64, table: []),
            plain("thief") {
                $0.major = major
                $0.firstMinor = 17
                $0.minors = 1
            })
        expectErrno(17) { () throws(DiskError) in _ = try disk.addPartition(number: 1, start: 64, size: 8) }
        #expect(registry.device(named: "pl0p1") == nil && disk.partitions.count == 3)
        #expect(await thief.remove().word == "removed")
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("are refused by a disk that takes none, and it is never scanned") func noPartitions() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver { $0.takesPartitions = false }
        let disk = try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
        #expect(driver.submitted == 0)
        expectErrno(22) { () throws(DiskError) in _ = try disk.addPartition(number: 1, start: 0, size: 8) }
        await #expect(throws: DiskError.self) { try await disk.rescan() }
        #expect(driver.submitted == 0)
        #expect(await disk.remove().word == "removed")
    }

    @Test("that race with a removal never survive it, wherever it comes in between (T61)") func racingRemoval()
        async throws
    {
        for kind in ["add", "rescan", "delete"] {
            let registry = DiskRegistry()
            let held = Hook<Disk?>(nil)
            let outcome = Lock<String>("")
            let done = Parker()
            let driver = TableDriver(sectors: 4096, table: [(1, 64)])
            let disk = try await registry.add(
                driver,
                plain("pl0") {
                    $0.scansPartitions = true
                    $0.amidChange = {
                        // The whole removal, from the request to the report, fits in the gap.
                        held.value?.requestRemoval(.surprise) { end in
                            outcome.withLock { $0 = end.word }
                            done.raise()
                        }
                        done.wait()
                    }
                })
            held.withLock { $0 = disk }
            driver.write(table: [(1, 64), (128, 64)])
            switch kind {
            case "add":
                expectErrno(6) { () throws(DiskError) in _ = try disk.addPartition(number: 2, start: 128, size: 8) }
            case "rescan": await #expect(throws: DiskError.self) { try await disk.rescan() }
            default: try disk.deletePartition(1)
            }
            #expect(outcome.withLock { $0 } == "removed" && disk.partitions.isEmpty)
            #expect(registry.namesInUse == 0 && registry.numbersInUse == 0, "\(kind)")
            // Each partition and the disk: one add, one remove.
            #expect(balance(of: registry).values.allSatisfy { $0 == 0 }, "\(kind)")
            // The disk keeps what is called amid its changes, and that keeps the disk.
            held.withLock { $0 = nil }
        }
    }

    @Test("cannot be opened once they are deleted, though looked up before; nor deleted while open (T17)")
    func openAndDelete() async throws {
        let registry = DiskRegistry()
        let driver = OpeningDriver()
        let disk = try await registry.add(driver, plain("pl0"))
        let first = try disk.addPartition(number: 1, start: 0, size: 64)
        // Between the look-up and the last look of the open: the driver is being told.
        let result = Lock<Int32>(-1)
        driver.inOpen.withLock {
            $0 = { result.withLock { $0 = errno { () throws(DiskError) in try disk.deletePartition(1) } } }
        }
        expectErrno(6) { () throws(DiskError) in try first.open(.read, as: tester, sink: CountingSink()).close() }
        #expect(result.withLock { $0 } == 0 && driver.opens.value == 0)
        driver.inOpen.withLock { $0 = nil }
        let second = try disk.addPartition(number: 1, start: 0, size: 64)
        #expect(second !== first)
        let opener = try second.open(.read, as: tester, sink: CountingSink())
        expectErrno(16) { () throws(DiskError) in try disk.deletePartition(1) }
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("an I/O that was remapped goes to its sectors, though the partition is deleted and another made (T41)")
    func remapped() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain("pl0"))
        let first = try disk.addPartition(number: 1, start: 512, size: 64)
        let sink = CountingSink()
        let opener = try first.open(.readWrite, as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        disk.freeze()
        // Parked: checked and remapped, and not yet with the driver.
        opener.submit(.write, SectorRange(start: 3, count: 1), data: .borrowed(page.memory), token: 1)
        opener.close()
        try disk.deletePartition(1)
        _ = try disk.addPartition(number: 1, start: 0, size: 8)
        let sector = Lock<UInt64?>(nil)
        driver.inSector.withLock { $0 = { at in sector.withLock { $0 = at } } }
        try disk.thaw()
        #expect(eventually { driver.held == 1 })
        #expect(sector.withLock { $0 } == 515)
        driver.answerAll()
        #expect(await disk.remove().word == "removed")
    }

    @Test("resized under I/O have the old size or the new one, and I/O beyond it is refused (T64)") func tornSize()
        async throws
    {
        let registry = DiskRegistry()
        let disk = try await Self.disk(registry, TableDriver(sectors: 4096, table: []))
        let device = try disk.addPartition(number: 1, start: 0, size: 8)
        let stop = Atomic<Bool>(false)
        let odd = Counter()
        let turns = Counter()
        let readers = try (0..<2).map { _ in
            try WorkerThread.start(name: "reader") {
                let sink = CountingSink()
                guard let opener = try? device.open(.read, as: tester, sink: sink), let page = try? IOBuffer(count: 512)
                else { return }
                var token: UInt64 = 0
                while !stop.load(ordering: .relaxed) {
                    token += 1
                    if ![8, 2048].contains(device.size) { odd.add() }
                    opener.submit(.read, SectorRange(start: 7, count: 1), data: .borrowed(page.memory), token: token)
                    if sink.statuses(of: token) != [.ok] { odd.add() }
                    token += 1
                    opener.submit(.read, SectorRange(start: 8, count: 1), data: .borrowed(page.memory), token: token)
                    if ![[.ok], [.outOfRange]].contains(sink.statuses(of: token)) { odd.add() }
                    turns.add()
                }
            }
        }
        for round in 0..<2000 {
            try disk.resizePartition(1, to: round % 2 == 0 ? 2048 : 8)
            if round % 100 == 0 { yieldThread() }
        }
        #expect(eventually { turns.value > 10 })
        stop.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        #expect(odd.value == 0)
        #expect(await disk.remove().word == "removed")
    }
}

/// A driver that lets a test do something while it is told of an open.
final class OpeningDriver: BlockDriver, Sendable {
    let inOpen = Hook<(@Sendable () -> Void)?>(nil)
    let opens = Counter()
    var capacity: UInt64 { 4096 }
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    func opened() throws(BlockStatus) {
        inOpen.value?()
        opens.add()
    }
    func closed() { opens.add(-1) }
}

/// The error number of what a body throws; 0: nothing.
func errno(_ body: () throws(DiskError) -> Void) -> Int32 {
    do throws(DiskError) {
        try body()
        return 0
    } catch {
        return error.errno
    }
}

func expectErrno(
    _ number: Int32, _ body: () throws(DiskError) -> Void, at location: SourceLocation = #_sourceLocation
) {
    #expect(errno(body) == number, sourceLocation: location)
}

/// Adds less removes, by device, of all that has happened.
func balance(of registry: DiskRegistry) -> [String: Int] {
    var balance: [String: Int] = [:]
    for event in allEvents(of: registry) {
        if event.action == .add { balance[event.device, default: 0] += 1 }
        if event.action == .remove { balance[event.device, default: 0] -= 1 }
    }
    return balance
}

/// Everything that has happened in a registry.
func allEvents(of registry: DiskRegistry) -> [DiskEvent] {
    let seen = Lock<[DiskEvent]>([])
    let last = registry.events.last
    let observer = registry.events.observe(after: 0) { delivery in
        if case .event(let event) = delivery { seen.withLock { $0.append(event) } }
    }
    _ = eventually { seen.withLock { $0.last?.sequence ?? 0 } >= last }
    observer.cancel()
    return seen.withLock { $0 }
}
