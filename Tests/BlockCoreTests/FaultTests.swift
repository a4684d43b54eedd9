// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

/// Each verb with its Nth fallible step failing, for N = 1, 2, 3 … until none is left to fail; once and for good.
@Suite("A verb whose Nth step fails", .serialized) struct FaultTests {
    /// What must be as it was when everything is over.
    struct Baseline {
        var slots = BlockCoreCounts.slotsAlive
        var tags = BlockCoreCounts.timerTags
        var watches = BlockCoreCounts.watches
        var drivers = BlockCoreCounts.driversInUse
        var buffers = IOBuffer.bytesAlive.value
        var gates = UsageCells.inUse
        var threads = WorkerThread.running.value

        /// Nothing more than that; what others left may have gone meanwhile.
        static func <= (left: Baseline, right: Baseline) -> Bool {
            left.slots <= right.slots && left.tags <= right.tags && left.watches <= right.watches
                && left.drivers <= right.drivers && left.buffers <= right.buffers && left.gates <= right.gates
                && left.threads <= right.threads
        }
    }

    /// A disk of its own registry, with the plan that its steps go by.
    final class Rig {
        let registry = DiskRegistry()
        let driver: HeldDriver
        let plan: FaultPlan
        let disk: Disk

        init(isPermanent: Bool, table: Bool = false) async throws {
            plan = FaultPlan(failing: 0, isPermanent: isPermanent)
            driver = HeldDriver { $0.hasWriteCache = true }
            let plan = plan
            disk = try await registry.add(driver, plain("a") { $0.faults = plan })
        }

        /// Nothing of the disk's end is missing: the driver heard each open closed, and one release.
        func end() async {
            #expect(await disk.remove(.surprise).word == "removed")
            let log = driver.log
            #expect(log.filter { $0 == "opened" }.count == log.filter { $0 == "closed" }.count)
            #expect(log.filter { $0 == "released" }.count == 1 && log.last == "released")
            #expect(registry.namesInUse == 0 && registry.numbersInUse == 0 && registry.coreFaults == 0)
        }
    }

    /// Runs `body` for N = 1, 2, 3 …; it says whether a step failed. Afterwards everything is as before.
    private func loop(_ verb: String, _ isPermanent: Bool, _ body: (Int) async throws -> Bool) async throws {
        // What lives as long as the process is there before anything is counted: the reaper's thread.
        #expect(try await DiskRegistry().add(HeldDriver(), plain("a")).remove(.surprise).word == "removed")
        let before = Baseline()
        var steps = 0
        while try await body(steps + 1) {
            steps += 1
            guard steps < 100 else {
                Issue.record("\(verb) never gets through")
                return
            }
        }
        #expect(steps > 0, "\(verb) has no step that can fail")
        #expect(eventually { Baseline() <= before }, "\(verb) left \(Baseline()) of \(before)")
    }

    @Test("leaves nothing behind, and a second try works: add (T04, T05)", arguments: [false, true])
    func add(_ isPermanent: Bool) async throws {
        try await loop("add", isPermanent) { number in
            let registry = DiskRegistry()
            // With a node, whose path must be free again, too.
            let driver = TableDriver(sectors: 4096, node: DeviceNode(path: "v/a"))
            let plan = FaultPlan(failing: number, isPermanent: isPermanent)
            let options = plain("a") {
                $0.scansPartitions = true
                $0.faults = plan
            }
            var disk: Disk?
            do throws(DiskError) {
                disk = try await registry.add(driver, options)
            } catch {
                #expect(error.errno == 12 || error.errno == 16, "\(plan.failures)")
                #expect(registry.namesInUse == 0 && registry.numbersInUse == 0, "\(plan.failures)")
                #expect(registry.events.last == 0 && driver.releases.value == 0)
                #expect(eventually { registry.disksAlive.value == 0 })
            }
            let failures = plan.failures
            plan.mend()
            if let disk {
                // What the scan could not have is missing, and said; a rescan has it.
                #expect(failures.isEmpty == (disk.partitions.count == 2), "\(failures)")
                #expect(failures.isEmpty || failures.first == .memory || !disk.partitionWarnings.isEmpty)
                #expect(try await disk.rescan().partitions == 2)
            } else {
                disk = try await registry.add(driver, options)
                #expect(disk?.partitions.count == 2)
            }
            #expect(registry.namesInUse == 3 && registry.numbersInUse == 3)
            #expect(await disk?.remove().word == "removed")
            #expect(registry.namesInUse == 0 && registry.numbersInUse == 0 && driver.releases.value == 1)
            disk = nil
            #expect(eventually { registry.disksAlive.value == 0 })
            return !failures.isEmpty
        }
    }

    @Test(
        "leaves nothing behind, and a second try works: open, and claim (T14)", arguments: [false, true], [false, true])
    func open(_ isPermanent: Bool, _ isClaim: Bool) async throws {
        try await loop(isClaim ? "claim" : "open", isPermanent) { number in
            let rig = try await Rig(isPermanent: isPermanent)
            let mode: OpenMode = isClaim ? [.read, .exclusive] : .read
            func tryOpen() -> Bool {
                do throws(DiskError) {
                    try rig.disk.part0.open(mode, as: tester, sink: CountingSink()).close()
                    return true
                } catch {
                    #expect(error.errno == 12)
                    return false
                }
            }
            rig.plan.begin(failing: number)
            let worked = tryOpen()
            let failures = rig.plan.failures
            #expect(worked == failures.isEmpty && rig.disk.openers.isEmpty)
            if isPermanent, !failures.isEmpty { #expect(!tryOpen()) }
            rig.plan.mend()
            #expect(tryOpen())
            await rig.end()
            return !failures.isEmpty
        }
    }

    @Test("leaves all as it was, and a second try works: rescan", arguments: [false, true])
    func rescan(_ isPermanent: Bool) async throws {
        try await loop("rescan", isPermanent) { number in
            let registry = DiskRegistry()
            let driver = TableDriver(sectors: 4096)
            let plan = FaultPlan(failing: 0, isPermanent: isPermanent)
            let disk = try await registry.add(
                driver,
                plain("a") {
                    $0.scansPartitions = true
                    $0.faults = plan
                })
            driver.write(table: [(1, 512), (2048, 64), (3000, 64)])
            plan.begin(failing: number)
            let events = registry.events.last
            do throws(DiskError) {
                let report = try await disk.rescan()
                #expect(report.partitions == disk.partitions.count)
                #expect(plan.failures.isEmpty == (report.partitions == 3))
                #expect(plan.failures.isEmpty == report.warnings.isEmpty)
            } catch {
                #expect(disk.partitions.map(\.name) == ["a1", "a2"] && registry.events.last == events)
            }
            let failures = plan.failures
            #expect(registry.namesInUse == 1 + disk.partitions.count)
            #expect(registry.numbersInUse == 1 + disk.partitions.count)
            plan.mend()
            #expect(try await disk.rescan().partitions == 3)
            #expect(await disk.remove().word == "removed")
            #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
            return !failures.isEmpty
        }
    }

    @Test("leaves the size as it was, and a second try works: resize", arguments: [false, true])
    func resize(_ isPermanent: Bool) async throws {
        try await loop("resize", isPermanent) { number in
            let registry = DiskRegistry()
            let plan = FaultPlan(failing: 0, isPermanent: isPermanent)
            let disk = try await registry.add(TableDriver(sectors: 4096), plain("a") { $0.faults = plan })
            plan.begin(failing: number)
            for sectors in [UInt64(8192), 1024] {
                let events = registry.events.last
                let old = disk.capacity
                let failed = plan.failures.count
                do throws(DiskError) {
                    try await disk.resize(to: sectors)
                    #expect(disk.capacity == sectors && registry.events.last == events + 1)
                } catch {
                    #expect(plan.failures.count > failed && disk.capacity == old && registry.events.last == events)
                }
            }
            let failures = plan.failures
            plan.mend()
            try await disk.resize(to: 2048)
            #expect(disk.capacity == 2048)
            #expect(await disk.remove().word == "removed")
            return !failures.isEmpty
        }
    }

    @Test(
        "leaves the disk as it was, or takes it away all the same, as its mode has it: remove",
        arguments: [false, true])
    func remove(_ isPermanent: Bool) async throws {
        for mode in [RemovalMode.safe, .deferred, .hard] {
            try await loop("remove", isPermanent) { number in
                let rig = try await Rig(isPermanent: isPermanent)
                let writer = try rig.disk.part0.open(.readWrite, as: tester, sink: CountingSink())
                writer.submit(.writeZeroes, oneSector, data: .none, token: 1)
                writer.close()
                rig.plan.begin(failing: number)
                let outcome = BegunRemoval(rig.disk, mode, wait: true).end()
                let failures = rig.plan.failures
                if failures.isEmpty || mode == .hard {
                    #expect(outcome?.word == "removed")
                    #expect(outcome?.report?.flush == (failures.isEmpty ? .done : .failed))
                    #expect(rig.registry.namesInUse == 0 && rig.driver.log.last == "released")
                } else {
                    #expect(outcome?.word == "failed" && rig.disk.lifeState == .live)
                    // Alive in every respect.
                    let opener = try rig.disk.part0.open(.readWrite, as: tester, sink: CountingSink())
                    opener.close()
                    if isPermanent { #expect(await rig.disk.remove(mode).word != "removed") }
                    rig.plan.mend()
                    await rig.end()
                }
                return !failures.isEmpty
            }
        }
    }

    #if DEBUG
        @Test("works without a single thread to be had: all that it needs is done by the spare one") func noThreads()
            async throws
        {
            let registry = DiskRegistry()
            let names = [
                "pl-add", "pl-cut", "pl-abort", "pl-release", "pl-flush", "pl-deadline", "pl-unadd", "pl-events",
                "pl-rescan", "pl-driver", "pl-resize", "pl-cancel", "pl-helper",
            ]
            ThreadHooks.refuse(Set(names))
            defer { ThreadHooks.refuse([]) }
            let heard = Counter()
            let observer = registry.events.observe { _ in heard.add() }
            for mode in [RemovalMode.safe, .hard, .surprise] {
                let driver = HeldDriver(answersAbort: true) { $0.hasWriteCache = true }
                let disk = try await registry.add(driver, plain("a"))
                let writer = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
                writer.submit(.writeZeroes, oneSector, data: .none, token: 1)
                writer.close()
                #expect(!(await disk.driverFacts(within: .seconds(30)).isStale))
                #expect(await disk.remove(mode).word == "removed")
                #expect(driver.log.last == "released" && registry.namesInUse == 0)
            }
            #expect(eventually { heard.value == Int(registry.events.last) }, "\(heard.value)")
            observer.cancel()
        }
    #endif
}
