// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("A registry that is read while it changes") struct ChurnTests {
    /// What a reader found that cannot be.
    private final class Faults: Sendable {
        let lines = Lock<Set<String>>([])
        func expect(_ holds: Bool, _ line: @autoclosure () -> String) {
            if !holds {
                let line = line()
                lines.withLock { _ = $0.insert(line) }
            }
        }
    }

    /// Looks at everything once. `gone`: the last disk whose removal had returned before the look.
    private static func look(_ registry: DiskRegistry, gone: UInt64, _ faults: Faults) {
        var last: Disk?
        for disk in registry.disks {
            faults.expect(disk.identity > gone, "a disk is listed though its removal has returned")
            if let last { faults.expect(last.name < disk.name, "\(last.name) before \(disk.name)") }
            last = disk
            var number = 0
            for device in disk.devices {
                faults.expect(device.disk === disk, "a device of another disk")
                faults.expect(device.partitionNumber > number || device === disk.devices.first || number == 0, "order")
                number = device.partitionNumber
                // One word each: never half of an old size and half of a new one.
                faults.expect([0, 4096, 64, 128, 512].contains(device.size), "a size of \(device.size)")
                let counters = device.statistics()
                faults.expect(counters.inFlight <= 64, "\(counters.inFlight) are in flight")
                faults.expect(
                    counters.startedReads >= counters.reads.completed, "more reads completed than were started")
            }
            let ledger = disk.ledger()
            faults.expect(ledger.accepted >= ledger.ok &+ ledger.failed, "more answered than accepted")
        }
        for name in ["a", "a1", "a3", "b"] {
            guard let device = registry.device(named: name) else { continue }
            faults.expect(device.name == name && device.disk.identity > gone, "\(name) leads to \(device.name)")
        }
        for minor in 0..<8 {
            let number = DeviceNumber(major: DiskRegistry.extendedMajor, minor: minor)
            if let device = registry.device(numbered: number) {
                faults.expect(device.number == number && device.disk.identity > gone, "\(number) leads elsewhere")
            }
        }
    }

    @Test("lists, looks up and counts without a torn answer while disks and partitions come and go (T70)")
    func churn() async throws {
        let registry = DiskRegistry()
        let ends = Atomic<Bool>(false)
        let gone = Atomic<UInt64>(0)
        let looks = Counter()
        let faults = Faults()
        let readers = try (0..<2).map { index in
            try WorkerThread.start(name: "list-\(index)") {
                while !ends.load(ordering: .relaxed) {
                    // Before the look: what was gone by then is in no answer.
                    Self.look(registry, gone: gone.load(ordering: .acquiring), faults)
                    looks.add()
                }
            }
        }
        let sink = CountingSink()
        for round in 0..<(isSanitized ? 30 : 200) {
            let disk = try await registry.add(TableDriver(sectors: 4096), plain("a") { $0.scansPartitions = true })
            let opener = try disk.part0.open(.read, as: tester, sink: sink)
            let before = looks.value
            for token in 0..<32 as Range<UInt64> {
                opener.submit(.read, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: token)
            }
            // Partitions of the disk come, change their size and go under the readers' eyes.
            _ = try disk.addPartition(number: 3, start: 2048, size: 64)
            try disk.resizePartition(3, to: 128)
            if round % 2 == 0 { try disk.deletePartition(3) }
            #expect(eventually { looks.value >= before + 2 })
            opener.close()
            let identity = disk.identity
            #expect(await disk.remove(round % 3 == 0 ? .safe : .surprise).word == "removed")
            gone.store(identity, ordering: .releasing)
        }
        ends.store(true, ordering: .relaxed)
        for reader in readers { reader.join() }
        #expect(faults.lines.withLock { $0 } == [])
        #expect(registry.namesInUse == 0)
    }
}

@Suite("A disk at the edges of what can be") struct EdgeTests {
    @Test("has names of up to 31 bytes, and a 'p' before a partition's number where the name ends in a digit (T80)")
    func names() async throws {
        let registry = DiskRegistry()
        let long = "a" + String(repeating: "b", count: 29) + "9"
        for (name, part) in [
            ("a", "a1"), ("sd_a.b-c", "sd_a.b-c1"), ("n0", "n0p1"), ("Z9p", "Z9p1"), (long, long + "p1"),
            (String(long.dropLast()) + "x", String(long.dropLast()) + "x1"),
        ] {
            let disk = try await registry.add(TableDriver(sectors: 4096), plain(name) { $0.scansPartitions = true })
            #expect(disk.partitions.first?.name == part)
            #expect(registry.device(named: part)?.disk === disk, "a partition's name may be longer than a disk's")
            // Disks and partitions share their names.
            let other = part.utf8.count <= 31 ? part : name
            let error = await #expect(throws: DiskError.self) {
                try await registry.add(HeldDriver(), plain(other))
            }
            #expect(error?.errno == 17)
            #expect(await disk.remove().word == "removed")
        }
        // The other way round: a partition whose name a disk has is left out, and said.
        let first = try await registry.add(HeldDriver(), plain("a1"))
        let second = try await registry.add(TableDriver(sectors: 4096), plain("a") { $0.scansPartitions = true })
        #expect(second.partitions.map(\.name) == ["a2"])
        #expect(second.partitionWarnings.contains { $0.contains("a1") })
        for disk in [first, second] { #expect(await disk.remove().word == "removed") }
        #expect(registry.namesInUse == 0)
    }

    @Test("has a '/' in its node alone: in events it stands as it is, in the path there is the name (T80)")
    func slashes() async throws {
        let registry = DiskRegistry()
        let heard = Lock<[DiskEvent]>([])
        let observer = registry.events.observe { delivery in
            if case .event(let event) = delivery { heard.withLock { $0.append(event) } }
        }
        // Where a kernel would call the disk cciss!c0d0, ours has a name without either, and the node that was meant.
        let driver = TableDriver(sectors: 4096, node: DeviceNode(path: "cciss/c0d0"))
        let disk = try await registry.add(driver, plain("c0d0") { $0.scansPartitions = true })
        #expect(eventually { heard.withLock { $0.count } == 3 })
        let events = heard.withLock { $0 }
        #expect(events.map { $0.node?.path } == ["cciss/c0d0", "cciss/c0d0p1", "cciss/c0d0p2"])
        #expect(events[1].path == "/devices/virtual/block/c0d0/c0d0p1")
        #expect(events[1].properties.contains { $0 == ("DEVNAME", "cciss/c0d0p1") })
        for name in ["cciss/c0d0", "cciss!c0d0"] { #expect(registry.device(named: name) == nil) }
        #expect(await disk.remove().word == "removed")
        observer.cancel()
    }

    @Test("has up to 2^63 - 1 bytes, and not a sector more (T80)") func capacity() async throws {
        let registry = DiskRegistry()
        let most = DiskRegistry.capacityLimit
        #expect(most == UInt64(Int64.max) / 512)
        let disk = try await registry.add(HeldDriver(capacity: most), plain("a"))
        #expect(disk.capacity == most && disk.part0.size * 512 <= UInt64(Int64.max))
        for wrong in [most + 1, 1 << 55, .max - 7, .max] {
            let error = await #expect(throws: DiskError.self) {
                try await registry.add(HeldDriver(capacity: wrong), plain("b"))
            }
            #expect(error?.errno == 22)
        }
        for wrong in [most + 1, UInt64.max] {
            let error = await #expect(throws: DiskError.self) { try await disk.resize(to: wrong) }
            #expect(error?.errno == 22 || error?.errno == 95)
        }
        #expect(disk.capacity == most)
        // A partition up to the very end, and none beyond.
        let last = try disk.addPartition(number: 1, start: most - 8, size: 8)
        #expect(last.start + last.size == most)
        for (start, size) in [(most, 1), (most - 8, 9), (UInt64.max - 7, 8), (8, UInt64.max), (UInt64.max, 1)] {
            let error = #expect(throws: DiskError.self) {
                try disk.addPartition(number: 2, start: start, size: size)
            }
            #expect(error?.errno == 22 || error?.errno == 16, "\(start)+\(size)")
        }
        #expect(await disk.remove().word == "removed")
    }

    @Test("has partitions 1 to 255, each with its name and number, and no 256th (T80)") func partitionNumbers()
        async throws
    {
        let registry = DiskRegistry()
        let disk = try await registry.add(
            HeldDriver(capacity: 4096),
            plain("a") {
                $0.major = 240
                $0.firstMinor = (1 << 20) - 256
                $0.minors = 256
            })
        #expect(disk.number.minor == (1 << 20) - 256)
        for number in 1...255 { _ = try disk.addPartition(number: number, start: UInt64(number) * 8, size: 8) }
        for number in [Int.min, -1, 0, 256, 257, Int.max] {
            let error = #expect(throws: DiskError.self) { try disk.addPartition(number: number, start: 3000, size: 8) }
            #expect(error?.errno == 22, "\(number)")
        }
        let last = try #require(registry.device(named: "a255"))
        #expect(last.number == DeviceNumber(major: 240, minor: (1 << 20) - 1), "the last number that there is")
        #expect(registry.device(numbered: last.number) === last && disk.devices.count == 256)
        #expect(registry.device(numbered: DeviceNumber(major: 240, minor: 1 << 20)) == nil)
        #expect(await disk.remove().word == "removed")
        for (first, count) in [(1 << 20, 1), ((1 << 20) - 255, 256), (-1, 1), (Int.max, 2), (0, 257), (0, 0)] {
            let error = await #expect(throws: DiskError.self) {
                try await registry.add(
                    HeldDriver(),
                    plain("a") {
                        $0.major = 240
                        $0.firstMinor = first
                        $0.minors = count
                    })
            }
            #expect(error?.errno == 22, "\(count) from \(first)")
        }
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }
}
