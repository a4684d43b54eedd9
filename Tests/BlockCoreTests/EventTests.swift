// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("Events") struct EventTests {
    @Test("reach every observer at its own pace: one that does not come back stops no other (T73)") func ownPace()
        async throws
    {
        let registry = DiskRegistry(eventCapacity: 8)
        let goOn = Parker()
        let stuck = (0..<3).map { _ in Lock<[EventDelivery]>([]) }
        let observers = stuck.map { heard in
            registry.events.observe { delivery in
                heard.withLock { $0.append(delivery) }
                goOn.wait()
            }
        }
        let quick = (0..<3).map { _ in Lock<[UInt64]>([]) }
        let others = quick.map { heard in
            registry.events.observe { delivery in
                if case .event(let event) = delivery { heard.withLock { $0.append(event.sequence) } }
            }
        }
        for round in UInt64(1)...20 {
            let disk = try await registry.add(HeldDriver(), plain("a"))
            _ = await disk.remove()
            #expect(eventually { quick.allSatisfy { $0.withLock { $0.count } == Int(round) * 3 } })
        }
        #expect(quick.allSatisfy { $0.withLock { $0 } == Array(1...60) }, "in order, each once, without a gap")
        #expect(stuck.allSatisfy { $0.withLock { $0.count } == 1 })
        #expect(eventually { registry.events.deliverers == 3 }, "a thread for each that hangs, none for the idle")
        goOn.raise()
        #expect(eventually { stuck.allSatisfy { $0.withLock { $0.count } == 1 + 1 + 8 } })
        for heard in stuck {
            let all = heard.withLock { $0 }
            if case .lost(let count) = all[1] {
                #expect(count == 60 - 1 - 8)
            } else {
                Issue.record("the loss is not said first")
            }
            let numbers = all.compactMap { if case .event(let event) = $0 { event.sequence } else { nil } }
            #expect(numbers == [1] + Array(53...60))
        }
        #expect(eventually { registry.events.deliverers == 0 })
        for observer in observers + others { observer.cancel() }
    }

    @Test("reach every observer in turn: one that has much to hear keeps nobody waiting for all of it") func turns()
        async throws
    {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        let event = try #require(allEvents(of: registry).first)
        var board = EventBoard(capacity: 1000)
        let (first, second) = (board.addObserver(after: 0), board.addObserver(after: 0))
        let length = EventBoard.turnLength
        board.append(Array(repeating: event, count: 2 * length + 8))
        #expect(board.pump().worker)
        var turn: EventBoard.Turn?
        var turns: [(observer: UInt64, count: Int)] = []
        while board.nextDelivery(&turn).delivery != nil, let observer = turn?.observer {
            if turns.last?.observer == observer {
                turns[turns.count - 1].count += 1
            } else {
                turns.append((observer, 1))
            }
        }
        #expect(turns.map(\.count) == [length, length, length, length, 8, 8])
        #expect(Set(turns.prefix(2).map(\.observer)) == [first, second])
        #expect(await disk.remove().word == "removed")
    }

    @Test("may be answered by adding, opening, removing and ending the observation, all inside the delivery (T72)")
    func callsBack() async throws {
        let registry = DiskRegistry()
        let done = Parker()
        let box = Lock<EventObserver?>(nil)
        let events = Lock<[String]>([])
        let observer = registry.events.observe { delivery in
            guard case .event(let event) = delivery else { return }
            events.withLock { $0.append("\(event.action.rawValue) \(event.device)") }
            switch (event.action, event.device) {
            case (.add, "a"):
                _ = try? registry.addBlocking(HeldDriver(), plain("b"))
                try? registry.disk(named: "a")?.part0.open(.read, as: tester, sink: CountingSink()).close()
                registry.disk(named: "a")?.requestRemoval(.safe) { _ in }
            case (.remove, "a"): registry.disk(named: "b")?.requestRemoval(.surprise) { _ in }
            case (.remove, "b"):
                box.withLock { $0.take() }?.cancel()
                done.raise()
            default: break
            }
        }
        box.withLock { $0 = observer }
        _ = try await registry.add(HeldDriver(), plain("a"))
        #expect(done.wait(until: Instant.now + .seconds(60)))
        #expect(
            events.withLock { $0 } == ["add a", "add b", "offline a", "remove a", "offline b", "remove b"])
        #expect(registry.namesInUse == 0)
    }

    @Test("have the keys of a kernel event, in its order, with the node and the parent that were given") func keys()
        async throws
    {
        let registry = DiskRegistry()
        let heard = Lock<[DiskEvent]>([])
        let observer = registry.events.observe { delivery in
            if case .event(let event) = delivery { heard.withLock { $0.append(event) } }
        }
        let disk = try await registry.add(
            TableDriver(sectors: 4096, node: DeviceNode(path: "vdisk/a0", mode: 0o640, user: 0, group: 6)),
            plain("a") {
                $0.scansPartitions = true
                $0.parent = "pci0000:00/0000:00:03.0"
            })
        try await disk.set("ro", to: "on")
        try await disk.set("ro", to: "on")
        #expect(eventually { heard.withLock { $0.count } == 4 })
        let all = heard.withLock { $0 }
        #expect(
            all[0].properties.map { "\($0.key)=\($0.value)" } == [
                "ACTION=add", "DEVPATH=/devices/pci0000:00/0000:00:03.0/block/a", "SUBSYSTEM=block", "MAJOR=259",
                "MINOR=0", "DEVNAME=vdisk/a0", "DEVMODE=0640", "DEVUID=0", "DEVGID=6", "DEVTYPE=disk", "DISKSEQ=1",
                "SEQNUM=1",
            ])
        #expect(all[1].properties.contains { $0 == ("DEVNAME", "vdisk/a0p1") })
        #expect(all[1].path.hasSuffix("/block/a/a1"))
        #expect(all[3].properties.map(\.key)[3] == "DISK_RO" && all[3].extra == ["DISK_RO=1"])
        // What goes over the wire comes back as it was.
        observer.cancel()
        #expect(await disk.remove().word == "removed")
    }

    @Test("none of a hidden disk: it has a name and burns its number, and is found by its name only") func hidden()
        async throws
    {
        let registry = DiskRegistry()
        let heard = Counter()
        let observer = registry.events.observe { _ in heard.add() }
        let driver = TableDriver(sectors: 4096)
        let disk = try await registry.add(
            driver,
            plain("a") {
                $0.scansPartitions = true
                $0.isHidden = true
            })
        #expect(disk.partitions.isEmpty && disk.deviceLimit == 1)
        #expect(registry.disks.isEmpty && registry.disks(hidden: true).count == 1)
        #expect(registry.disk(named: "a") === disk && registry.device(numbered: disk.number) == nil)
        let other = try await registry.add(HeldDriver(), plain("b"))
        #expect(other.number.minor == disk.number.minor + 1, "burnt")
        try await disk.set("ro", to: "on")
        await #expect(throws: DiskError.self) { try await disk.rescan() }
        #expect(await disk.remove(.surprise).word == "removed")
        #expect(driver.releases.value == 1)
        #expect(registry.events.last == 1)
        #expect(await other.remove().word == "removed")
        #expect(eventually { heard.value == 3 })
        observer.cancel()
    }

    @Test(
        "of a node that cannot be are never sent: the add is refused in one line",
        arguments: [
            "a", "/a/b", "a/", "a//b", "../a", "a/./b", "a/b c", "a/ä", "a/" + String(repeating: "b", count: 254),
        ])
    func badNodes(_ path: String) async throws {
        let registry = DiskRegistry()
        do {
            _ = try await registry.add(TableDriver(sectors: 64, node: DeviceNode(path: path)), plain("x"))
            Issue.record("\(path) was taken")
        } catch {
            #expect(error.errno == 22 && !error.reason.contains("\n"))
        }
        let first = try await registry.add(TableDriver(sectors: 64, node: DeviceNode(path: "v/a")), plain("x"))
        await #expect(throws: DiskError.self) {
            try await registry.add(TableDriver(sectors: 64, node: DeviceNode(path: "v/a")), plain("y"))
        }
        #expect(registry.namesInUse == 1)
        #expect(await first.remove().word == "removed")
        let second = try await registry.add(TableDriver(sectors: 64, node: DeviceNode(path: "v/a")), plain("y"))
        #expect(await second.remove().word == "removed")
    }

    private static let uuid = "fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed"

    @Test("are sent for who asks by a line, marked as asked for, and change nothing") func synthetic() async throws {
        let registry = DiskRegistry()
        let heard = Lock<[DiskEvent]>([])
        let observer = registry.events.observe { delivery in
            if case .event(let event) = delivery { heard.withLock { $0.append(event) } }
        }
        let disk = try await registry.add(TableDriver(sectors: 4096), plain("a") { $0.scansPartitions = true })
        let partition = try #require(disk.partitions.first)
        let count = disk.partitions.count
        let words = ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"]
        for word in words { try disk.part0.synthesizeEvent(word + "\n") }
        try partition.synthesizeEvent("change \(Self.uuid) A=1 bC=xY9")
        #expect(disk.lifeState == .live && disk.partitions.count == count)
        #expect(eventually { heard.withLock { $0.count } == 1 + count + words.count + 1 })
        let asked = heard.withLock { Array($0.dropFirst(1 + count)) }
        #expect(asked.map(\.action.rawValue) == words + ["change"])
        #expect(asked.dropLast().allSatisfy { $0.extra == ["SYNTH_UUID=0"] && $0.device == "a" })
        #expect(
            asked.last?.properties.prefix(6).map { "\($0.key)=\($0.value)" } == [
                "ACTION=change", "DEVPATH=/devices/virtual/block/a/a1", "SUBSYSTEM=block", "SYNTH_UUID=\(Self.uuid)",
                "SYNTH_ARG_A=1", "SYNTH_ARG_bC=xY9",
            ])
        try disk.deletePartition(partition.partitionNumber)
        let before = registry.events.last
        #expect(thrown { () throws(DiskError) in try partition.synthesizeEvent("change") } == 19)
        #expect(registry.events.last == before, "nothing of a partition behind its end")
        try disk.part0.announceBinding(true, extra: ["PLATTER_EXPORT=nbd"])
        #expect(eventually { heard.withLock { $0.last?.action } == .bind })
        // Nothing is told of a disk behind its end: not while its driver still owes, either.
        #expect(await disk.remove(.surprise).word == "removed")
        let last = registry.events.last
        for device in [disk.part0, partition] {
            let error = #expect(throws: DiskError.self) { try device.synthesizeEvent("change") }
            #expect(error?.errno == 19)
        }
        #expect(registry.events.last == last)
        observer.cancel()
    }

    @Test(
        "are refused to a line that is none, and nothing is sent",
        arguments: [
            "", "\n", "ADD", "adds", "ad", " add", "add ", "add\n\n", "add 1", "add \(uuid)x", "add \(uuid)xA=1",
            "add \(uuid) ",
            "add \(uuid) A", "add \(uuid) A=", "add \(uuid) =1", "add \(uuid)  A=1", "add \(uuid) A=1 ",
            "add \(uuid) A=1=2", "add \(uuid) A_B=1", "add \(uuid) A=ä", "add \(uuid) A=1\n\n",
            "add fe4d7c9db8c6-4a70-9ef1-3d8a58d18eed-", "add ge4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed",
            "add \(uuid) A=" + String(repeating: "b", count: 2048),
        ])
    func notSynthetic(_ line: String) async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a"))
        let error = #expect(throws: DiskError.self) { try disk.part0.synthesizeEvent(line) }
        #expect(error?.errno == 22 && error?.reason.contains("\n") == false)
        #expect(registry.events.last == 1)
        #expect(await disk.remove().word == "removed")
    }

    @Test("that are asked for of a hidden disk reach nobody") func syntheticHidden() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain("a") { $0.isHidden = true })
        try disk.part0.synthesizeEvent("add")
        #expect(registry.events.last == 0)
        #expect(await disk.remove().word == "removed")
    }

    @Test("are settled when every observer has come back from the last of them, and not before") func settles()
        async throws
    {
        let registry = DiskRegistry()
        #expect(await registry.events.settle(within: .zero) == 0, "nobody listens")
        let (inside, goOn) = (Parker(), Parker())
        let heard = Counter()
        let slow = registry.events.observe { _ in
            inside.raise()
            goOn.wait()
            heard.add()
        }
        let quick = registry.events.observe { _ in }
        let disk = try await registry.add(HeldDriver(), plain("a"))
        try disk.part0.synthesizeEvent("change")
        // Taken, and not handled: it is inside its delivery.
        #expect(inside.wait(until: Instant.now + .seconds(30)))
        #expect(await registry.events.settle(within: .milliseconds(1)) > 0)
        let settled = Lock<Int?>(nil)
        let late = Task {
            let behind = await registry.events.settle(within: .seconds(60))
            settled.withLock { $0 = behind }
            return (behind, heard.value)
        }
        while registry.events.settlersWaiting == 0 { await Task.yield() }
        // What comes later is not waited for, and nobody who comes later is.
        let hold = Parker()
        let later = registry.events.observe { _ in hold.wait() }
        try disk.part0.synthesizeEvent("change")
        #expect(settled.withLock { $0 } == nil)
        goOn.raise()
        let (behind, count) = await late.value
        #expect(behind == 0 && count >= 2, "both deliveries have returned")
        hold.raise()
        // Who has nothing left to hear is not behind, whatever he heard last.
        #expect(await registry.events.settle(within: .seconds(60)) == 0)
        #expect(await registry.events.settle(within: .zero) == 0)
        slow.cancel()
        quick.cancel()
        later.cancel()
        #expect(await disk.remove().word == "removed")
    }

    @Test("are settled when the observer that was waited for goes, and when what was asked for is there")
    func settlesOtherwise() async throws {
        let registry = DiskRegistry()
        let (inside, goOn) = (Parker(), Parker())
        let stuck = registry.events.observe { _ in
            inside.raise()
            goOn.wait()
        }
        let disk = try await registry.add(HeldDriver(), plain("a"))
        #expect(inside.wait(until: Instant.now + .seconds(30)))
        #expect(await registry.events.settle(within: .seconds(60)) { registry.device(named: "a") != nil } == 0)
        async let there = registry.events.settle(within: .seconds(60)) { registry.device(named: "b") != nil }
        while registry.events.settlersWaiting == 0 { await Task.yield() }
        let other = try await registry.add(HeldDriver(), plain("b"))
        #expect(await there == 0)
        async let gone = registry.events.settle(within: .seconds(60))
        while registry.events.settlersWaiting == 0 { await Task.yield() }
        stuck.cancel()
        #expect(await gone == 0)
        goOn.raise()
        for disk in [disk, other] { #expect(await disk.remove().word == "removed") }
        #expect(registry.events.settlersWaiting == 0)
    }
}
