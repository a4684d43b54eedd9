// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("An open of what is not there yet") struct CreateTests {
    @Test("has it made once for all who ask at a time, and each gets the same disk (T24)") func singleFlight()
        async throws
    {
        let registry = DiskRegistry()
        let provider = TestProvider()
        let goOn = Parker()
        provider.inProbe.withLock { $0 = { _ in goOn.wait() } }
        let registration = try registry.register(provider, for: .names("md*"))
        let opens = (0..<16).map { _ in BegunOpen(registry, .name("md0")) }
        #expect(eventually { registry.providersWaiting == 16 }, "all of them wait for one probe")
        #expect(eventually { provider.probes.value == 1 })
        goOn.raise()
        #expect(opens.allSatisfy { $0.end() == nil })
        let disk = try #require(registry.disk(named: "md0"))
        #expect(disk.openers.count == 16 && registry.disks.count == 1 && provider.probes.value == 1)
        // What is there is opened without asking anybody.
        let another = BegunOpen(registry, .name("md0"))
        #expect(another.end() == nil && provider.probes.value == 1)
        for open in opens { open.close() }
        #expect(disk.lifeState == .live, "somebody has it open still")
        another.close()
        #expect(eventually { registry.disk(named: "md0") == nil && disk.lifeState == .gone })
        #expect(provider.releases.value == 1)
        await registry.unregister(registration)
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0 && registry.providerCount == 0)
    }

    @Test("fails for all who wait with one clean error when there is no such disk, or the provider fails (T24)")
    func noSuchDisk() async throws {
        let registry = DiskRegistry()
        let provider = TestProvider()
        let registration = try registry.register(provider, for: .names("md*"))
        for isBroken in [false, true] {
            let goOn = Parker()
            provider.inProbe.withLock {
                $0 = { _ in
                    goOn.wait()
                    if isBroken { throw DiskError(errno: 5, reason: "the shelf is broken") }
                }
            }
            provider.isEmpty.store(true, ordering: .relaxed)
            let opens = (0..<8).map { _ in BegunOpen(registry, .name("md1")) }
            #expect(eventually { registry.providersWaiting == 8 })
            goOn.raise()
            #expect(opens.allSatisfy { $0.end()?.errno == 6 })
            #expect(opens.allSatisfy { !isBroken || $0.end()?.reason.contains("the shelf is broken") == true })
        }
        #expect(BegunOpen(registry, .name("sd1")).end()?.errno == 6, "nobody makes those")
        #expect(provider.probes.value == 2)
        #expect(registry.events.last == 0 && registry.namesInUse == 0)
        await registry.unregister(registration)
    }

    @Test("has what its provider made taken back if the add fails, before whoever asked hears of it (T24)")
    func undo() async throws {
        let registry = DiskRegistry()
        let provider = TestProvider()
        let undone = Counter()
        provider.adjust.withLock {
            $0 = { provided in
                // No disk can hang there.
                provided.options.parent = ".."
                provided.undo = { undone.add() }
            }
        }
        let registration = try registry.register(provider, for: .names("md*"))
        let open = BegunOpen(registry, .name("md0"))
        #expect(open.end()?.reason.contains("'..' cannot be a parent") == true)
        #expect(undone.value == 1 && registry.namesInUse == 0)
        provider.adjust.withLock { $0 = { $0.undo = { undone.add() } } }
        let good = BegunOpen(registry, .name("md0"))
        #expect(good.end() == nil && undone.value == 1, "what has become a disk is not taken back")
        good.close()
        #expect(eventually { registry.namesInUse == 0 } && undone.value == 1)
        await registry.unregister(registration)
    }

    @Test("by number is made on the first minor of its disk, under a registered major only") func byNumber()
        async throws
    {
        let registry = DiskRegistry()
        let provider = TestProvider(hasTable: true)
        #expect(throws: DiskError.self) {
            try registry.register(provider, for: .numbers(major: 9, minors: 0..<64, perDisk: 16))
        }
        _ = try registry.registerMajor(9, name: "md")
        for bad in [0..<0, 0..<60, -16..<16, 0..<(1 << 21)] {
            #expect(throws: DiskError.self) {
                try registry.register(provider, for: .numbers(major: 9, minors: bad, perDisk: 16))
            }
        }
        _ = try registry.register(provider, for: .numbers(major: 9, minors: 0..<64, perDisk: 16))
        #expect(throws: DiskError.self) {
            try registry.register(provider, for: .numbers(major: 9, minors: 48..<80, perDisk: 16))
        }
        // The second partition of the third disk.
        let open = BegunOpen(registry, .number(DeviceNumber(major: 9, minor: 34)))
        #expect(open.end() == nil && open.device == "pl0p2")
        #expect(registry.disk(named: "pl0")?.number == DeviceNumber(major: 9, minor: 32))
        open.close()
        #expect(eventually { registry.disks.isEmpty })
        // A partition that the disk does not have: the disk was made for it, and goes again.
        #expect(BegunOpen(registry, .number(DeviceNumber(major: 9, minor: 35))).end()?.errno == 6)
        #expect(eventually { registry.disks.isEmpty })
        #expect(BegunOpen(registry, .number(DeviceNumber(major: 9, minor: 64))).end()?.errno == 6)
        await registry.unregisterMajor(9)
        #expect(registry.providerCount == 0 && registry.registeredMajors.isEmpty)
        #expect(BegunOpen(registry, .number(DeviceNumber(major: 9, minor: 0))).end()?.errno == 6)
    }

    @Test("of one key does not wait for a probe of another that hangs, and leaves its own at its deadline (T78)")
    func hangingProbe() async throws {
        let registry = DiskRegistry()
        let provider = TestProvider()
        let goOn = Parker()
        provider.inProbe.withLock { $0 = { key in if key == .name("md9") { goOn.wait() } } }
        let registration = try registry.register(provider, for: .names("md*"))
        // More of them than the cooperative pool has threads.
        let stuck = (0..<8).map { _ in BegunOpen(registry, .name("md9"), deadline: .milliseconds(20)) }
        #expect(stuck.allSatisfy { $0.end()?.errno == 110 })
        #expect(registry.providersWaiting == 0)
        for index in 0..<8 {
            let open = BegunOpen(registry, .name("md\(index)"))
            #expect(open.end() == nil)
            open.close()
        }
        // What was asked for comes in the end, finds nobody, and goes.
        goOn.raise()
        #expect(eventually { provider.releases.value == 9 })
        #expect(eventually { registry.disk(named: "md9") == nil })
        await registry.unregister(registration)
        #expect(registry.namesInUse == 0)
    }

    @Test("asks nobody to make what no disk could be called by") func impossibleNames() async throws {
        let registry = DiskRegistry()
        let provider = TestProvider()
        let registration = try registry.register(provider, for: .names("md*"))
        for name in ["md a", "md/../x", "md" + String(repeating: "9", count: 30), "md\n"] {
            #expect(BegunOpen(registry, .name(name)).end()?.errno == 6)
        }
        #expect(provider.probes.value == 0 && registry.namesInUse == 0)
        await registry.unregister(registration)
    }

    @Test("waits, when its provider is unregistered, for the probe that runs; none begins afterwards (T78)")
    func unregister() async throws {
        let registry = DiskRegistry()
        let provider = TestProvider()
        let (goOn, gone) = (Parker(), Parker())
        provider.inProbe.withLock { $0 = { _ in goOn.wait() } }
        let registration = try registry.register(provider, for: .names("md*"))
        let open = BegunOpen(registry, .name("md0"))
        #expect(eventually { provider.probes.value == 1 })
        let ending = Task {
            await registry.unregister(registration)
            gone.raise()
        }
        #expect(eventually { registry.providersEnding == 1 })
        #expect(BegunOpen(registry, .name("md1")).end()?.errno == 6, "no probe begins any more")
        #expect(!gone.isRaised && provider.probes.value == 1)
        goOn.raise()
        await ending.value
        #expect(open.end() == nil, "what had begun is brought to its end")
        #expect(BegunOpen(registry, .name("md2")).end()?.errno == 6 && provider.probes.value == 1)
        open.close()
        #expect(eventually { registry.namesInUse == 0 })
        // And it may be registered anew.
        await registry.unregister(try registry.register(provider, for: .names("md*")))
    }

    @Test(
        "against the destruction by the last close: a hundred thousand times, nothing leaks, stalls or gets out of order (T25)"
    )
    func pingPong() async throws {
        let (slots, tags) = (BlockCoreCounts.slotsAlive, BlockCoreCounts.timerTags)
        let registry = DiskRegistry(eventCapacity: 1 << 16)
        let provider = TestProvider()
        let registration = try registry.register(provider, for: .names("md*"))
        let order = EventOrder()
        let observer = registry.events.observe { order.take($0) }
        let rounds = (isSanitized ? 5000 : 100_000) / 4
        let failures = Lock<[Int32: Int]>([:])
        let threads = try (0..<4).map { index in
            try WorkerThread.start(name: "open") {
                let sink = CountingSink()
                for round in 0..<rounds {
                    // Two share a name each; now and then one goes for a name that nobody else keeps there.
                    let name = round % 8 == 0 ? "md1\(index)" : "md\(index % 2)"
                    do throws(DiskError) {
                        let opener = try registry.openOrCreateBlocking(
                            .name(name), .readWrite, as: tester, depth: 1, sink: sink)
                        opener.close()
                    } catch {
                        failures.withLock { $0[error.errno, default: 0] += 1 }
                    }
                }
            }
        }
        // And a third hand, that pulls whatever is there.
        let ends = Atomic<Bool>(false)
        let destroyer = try WorkerThread.start(name: "destroy") {
            while !ends.load(ordering: .relaxed) {
                for disk in registry.disks { _ = BegunRemoval(disk, .surprise).end() }
                yieldThread()
            }
        }
        for thread in threads { thread.join() }
        ends.store(true, ordering: .relaxed)
        destroyer.join()
        let failed = failures.withLock { $0 }
        #expect(failed.keys.allSatisfy { $0 == 6 || $0 == 19 }, "\(failed)")
        // Without retries each disk that goes costs somebody his open; with them a tenth of them does.
        #expect(failed.values.reduce(0, +) < provider.probes.value / 2, "the retries are for something: \(failed)")
        #expect(eventually { registry.disks.isEmpty && registry.disksAlive.value == 0 })
        #expect(eventually { order.last == registry.events.last })
        observer.cancel()
        #expect(order.faults.isEmpty, "\(order.faults.prefix(3))")
        #expect(order.adds == provider.releases.value && provider.probes.value >= provider.releases.value)
        await registry.unregister(registration)
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0 && registry.coreFaults == 0)
        #expect(eventually { BlockCoreCounts.slotsAlive <= slots && BlockCoreCounts.timerTags <= tags })
        print("T25: \(rounds * 4) opens, \(provider.probes.value) disks, \(failed.values.reduce(0, +)) refused")
    }
}

/// Holds that adds and removes of each name alternate, and that nothing is lost.
final class EventOrder: Sendable {
    private struct State {
        var isThere: [String: Bool] = [:]
        var last: UInt64 = 0
        var adds = 0
        var faults: [String] = []
    }
    private let state = Lock(State())
    var last: UInt64 { state.withLock { $0.last } }
    var adds: Int { state.withLock { $0.adds } }
    var faults: [String] { state.withLock { $0.faults } }

    func take(_ delivery: EventDelivery) {
        state.withLock { state in
            switch delivery {
            case .lost(let count):
                state.last += count
                // What is lost may have been one half of a pair.
                state.isThere = [:]
                state.faults.append("lost \(count)")
            case .event(let event):
                if event.sequence != state.last + 1 { state.faults.append("\(event.sequence) after \(state.last)") }
                state.last = event.sequence
                let isThere = state.isThere[event.device] ?? false
                switch event.action {
                case .add:
                    if isThere { state.faults.append("second add of \(event.device)") }
                    state.isThere[event.device] = true
                    state.adds += 1
                case .remove:
                    if !isThere { state.faults.append("second remove of \(event.device)") }
                    state.isThere[event.device] = false
                case .change, .offline, .bind, .unbind, .move, .online:
                    if !isThere { state.faults.append("\(event.action) of the absent \(event.device)") }
                }
            }
        }
    }
}

/// Has a disk for every key, unless it is empty.
final class TestProvider: DiskProvider, Sendable {
    let probes = Counter()
    let releases = Counter()
    let isEmpty = Atomic<Bool>(false)
    let inProbe = Hook<(@Sendable (DiskKey) throws -> Void)?>(nil)
    /// Called with each disk before it is handed out.
    let adjust = Hook<(@Sendable (inout ProvidedDisk) -> Void)?>(nil)
    private let hasTable: Bool

    init(hasTable: Bool = false) { self.hasTable = hasTable }

    func probe(_ key: DiskKey) async throws -> ProvidedDisk? {
        probes.add()
        try inProbe.value?(key)
        if isEmpty.load(ordering: .relaxed) { return nil }
        guard hasTable else {
            var provided = ProvidedDisk(CountedDriver(releases), plain { $0.isTransient = true })
            adjust.value?(&provided)
            return provided
        }
        return ProvidedDisk(
            TableDriver(sectors: 4096),
            plain {
                $0.isTransient = true
                $0.scansPartitions = true
                $0.minors = 16
            })
    }
}

/// Counts its end.
private final class CountedDriver: BlockDriver, Sendable {
    let capacity: UInt64 = 2048
    private let releases: Counter
    init(_ releases: Counter) { self.releases = releases }
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        return profile
    }
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    func released() { releases.add() }
}

/// An open-or-create on a thread of its own.
final class BegunOpen: Sendable {
    private let opened = OpenerBox()
    private let failure = Lock<DiskError?>(nil)
    private let name = Lock<String?>(nil)
    private let done = Parker()

    init(_ registry: DiskRegistry, _ key: DiskKey, deadline: Duration = .seconds(60)) {
        WorkerThread.detach(name: "open") { [self] in
            do throws(DiskError) {
                let opener = try registry.openOrCreateBlocking(
                    key, .read, as: tester, depth: 1, sink: CountingSink(), deadline: deadline)
                let device = opener.device.name
                name.withLock { $0 = device }
                opened.open(opener)
            } catch {
                failure.withLock { $0 = error }
            }
            done.raise()
        }
    }

    var isOver: Bool { done.isRaised }
    /// What was opened.
    var device: String? { name.withLock { $0 } }

    /// Why it failed, once it is over; nil: it did not. One that does not end is a failure of the test.
    func end() -> DiskError? {
        guard done.wait(until: Instant.now + .seconds(90)) else { return DiskError(errno: -1, reason: "no end") }
        return failure.withLock { $0 }
    }

    func close() {
        _ = end()
        opened.close()
    }
}
