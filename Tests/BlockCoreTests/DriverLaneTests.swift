// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A driver that hangs in a setting") struct DriverLaneTests {
    @Test("the lane lets one in at a time, in order, and nobody after its close") func machine() {
        var lane = LaneMachine()
        #expect(lane.ask(1) == .start)
        #expect(lane.ask(2) == .wait)
        #expect(lane.ask(3) == .wait)
        #expect(lane.ask(4) == .wait)
        #expect(lane.withdraw(3) == true)
        #expect(lane.withdraw(1) == false, "who is inside cannot withdraw")
        #expect(lane.finished() == 2)
        #expect(lane.close() == [4])
        #expect(lane.ask(5) == .refuse)
        #expect(!lane.isOver)
        #expect(lane.finished() == nil)
        #expect(lane.isOver)
    }

    @Test("keeps nobody but whoever set it: no other task, no listing of the disk, no removal of another")
    func independence() async throws {
        let registry = DiskRegistry()
        let goOn = Parker()
        // More than the cooperative pool has threads.
        for index in 0..<24 { _ = try await registry.add(SettingDriver { goOn.wait() }, plain("d\(index)")) }
        let disks = registry.disks
        let ended = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for disk in disks {
                group.addTask {
                    try await disk.set("speed", to: "3", deadline: .seconds(3600))
                    ended.add()
                }
            }
            // These would not run if a task above held its thread.
            group.addTask {
                for disk in disks {
                    let facts = await disk.driverFacts(within: .milliseconds(1))
                    #expect(facts.isStale && facts.settings.map(\.key) == ["ro", "partscan", "autoclear"])
                    #expect(disk.openers.isEmpty && disk.lifeState == .live)
                }
                let other = try await registry.add(HeldDriver(), plain("other"))
                #expect(await other.remove().word == "removed")
                #expect(ended.value == 0)
                goOn.raise()
            }
            try await group.waitForAll()
        }
        #expect(ended.value == 24)
        for disk in disks {
            let facts = await disk.driverFacts(within: .seconds(30))
            #expect(!facts.isStale && facts.settings.last == DiskSetting(key: "speed", value: "3"))
            #expect(facts.notes == ["slow"])
            #expect(await disk.remove().word == "removed")
        }
    }

    @Test("is given up at the deadline: begun or not begun is said, and what was not begun never is") func deadline()
        async throws
    {
        let registry = DiskRegistry()
        let goOn = Parker()
        let driver = SettingDriver { goOn.wait() }
        let disk = try await registry.add(driver, plain())
        do {
            // Time enough to begin it, whatever else the machine does.
            try await disk.set("speed", to: "1", deadline: .seconds(1))
            Issue.record("a setting was made")
        } catch {
            #expect(error.errno == 110 && error.reason.contains("may still take effect"))
        }
        do {
            try await disk.set("speed", to: "2", deadline: .milliseconds(20))
            Issue.record("a setting was made")
        } catch {
            #expect(error.errno == 110 && error.reason.contains("not begun"))
        }
        goOn.raise()
        try await disk.set("speed", to: "3")
        #expect(driver.made.withLock { $0 } == ["1", "3"])
        #expect(await disk.remove().word == "removed")
    }

    @Test(
        "is let go after it has come out of it: released is the last call, and the removal ends at its deadline (T20)")
    func removal() async throws {
        let registry = DiskRegistry()
        let (goOn, inside) = (Parker(), Parker())
        let driver = SettingDriver {
            inside.raise()
            goOn.wait()
        }
        let disk = try await registry.add(driver, plain("a"))
        let setting = Task { () -> Int32? in
            do throws(DiskError) {
                try await disk.set("speed", to: "1")
                return nil
            } catch {
                return error.errno
            }
        }
        #expect(inside.wait(until: Instant.now + .seconds(30)))
        let report = try #require(await disk.remove(.surprise, deadline: .milliseconds(20)).report)
        #expect(report.deadlinePassed && report.notes.contains { $0.contains("a setting") })
        #expect(registry.disk(named: "a") == nil)
        await #expect(throws: DiskError.self) { try await disk.set("speed", to: "2") }
        #expect(driver.log.withLock { $0 } == ["set 1"])
        goOn.raise()
        #expect(await setting.value == nil)
        #expect(eventually { registry.quarantine().isEmpty })
        #expect(driver.log.withLock { $0 } == ["set 1", "made 1", "released"])
    }
}

/// Takes one setting, slowly.
private final class SettingDriver: BlockDriver, Sendable {
    let capacity: UInt64 = 2048
    let made = Lock<[String]>([])
    let log = Lock<[String]>([])
    private let wait: @Sendable () -> Void

    init(_ wait: @escaping @Sendable () -> Void) { self.wait = wait }

    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    func set(_ key: String, to value: String) throws(DriverSettingError) {
        log.withLock { $0.append("set \(value)") }
        wait()
        made.withLock { $0.append(value) }
        log.withLock { $0.append("made \(value)") }
    }
    var settings: [(key: String, value: String)] { made.withLock { [(key: "speed", value: $0.last ?? "0")] } }
    var notes: [String] { ["slow"] }
    func released() { log.withLock { $0.append("released") } }
}
