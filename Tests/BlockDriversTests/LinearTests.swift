// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import TestSupport
import Testing

@Suite("The linear driver", .serialized) struct LinearTests {
    private let disks = TestRegistry()

    @Test(arguments: [UInt64(3), 2027])
    func `random operations across windows agree with an array`(seed: UInt64) async throws {
        let folder = try TemporaryFolder(under: "/var/tmp")
        _ = try await disks.add("ram", "name=a", "size=256k")
        _ = try await disks.add("file", "name=b", "path=\(folder.path)/b", "size=128k", "engine=threads")
        _ = try await disks.add("ram", "name=c", "size=200k", "sector-size=4096")
        let disk = try await disks.add(
            "linear", "name=l", "lower=a,offset=8k,size=4k", "lower=b,offset=4k", "lower=a,offset=64k,size=100k",
            "lower=c")
        let sectors = 8 + 248 + 200 + 400
        #expect(disk.capacity == UInt64(sectors) && disk.profile.logicalBlockSize == 4096)
        #expect(disk.lowers.map(\.name) == ["a", "b", "c"])
        let client = try DiskClient(disk)
        var dice = SeededGenerator(seed: seed)
        var model = [UInt8](repeating: 0, count: sectors * 512)
        for step in 0..<600 {
            let count = [1, 2, 5, 40][dice.roll(4)] * 8
            let start = dice.roll((sectors - count) / 8 + 1) * 8
            let range = start * 512..<(start + count) * 512
            let at = (UInt64(start), UInt64(count))
            let value = UInt8(dice.roll(255) + 1)
            switch dice.roll(7) {
            case 0, 1, 2:
                #expect(try client.write(value, at.0, at.1, flags: dice.roll(4) == 0 ? .fua : []) == .ok)
                model.replaceSubrange(range, with: [UInt8](repeating: value, count: range.count))
            case 3:
                #expect(try client.run([.discard, .writeZeroes][dice.roll(2)], at.0, at.1) == .ok)
                model.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
            case 4: #expect(try client.run(.flush) == .ok)
            default: #expect(try client.read(at.0, at.1) == Array(model[range]), "step \(step) of seed \(seed)")
            }
        }
        #expect(try client.read(0, UInt64(sectors)) == model)
        // And each window is where it was said to be.
        let a = try DiskClient(try #require(disks.registry.disk(named: "a")))
        #expect(try a.read(16, 8) == Array(model[0..<4096]))
        #expect(try a.read(128, 200) == Array(model[256 * 512..<456 * 512]))
        #expect(try a.read(24, 104).isAll(0), "nothing was written between its windows")
        #expect(client.answers.isOnceEach)
    }

    @Test func `extents are those below, as far as the window goes`() async throws {
        _ = try await disks.add("ram", "name=a", "size=64k")
        _ = try await disks.add("ram", "name=b", "size=64k")
        let client = try DiskClient(try await disks.add("linear", "lower=a,size=32k", "lower=b"))
        #expect(try client.write(1, 8, 8) == .ok)
        #expect(try client.extents(0, 128).map(\.kind) == [.hole, .data, .hole])
        #expect(try client.extents(0, 128).reduce(0) { $0 + $1.count } == 64)
        #expect(try client.extents(64, 64) == [DeviceExtent(count: 64, kind: .hole)])
    }

    @Test func `what cannot be is refused in one line, and nothing stays claimed`() async throws {
        let a = try await disks.add("ram", "name=a", "size=64k")
        _ = try await disks.add("ram", "name=b", "size=64k", "sector-size=4096")
        #expect(await disks.refusal("linear") == "linear: lower= is missing: for example lower=pl0")
        #expect(
            await disks.refusal("linear", "lower=nix")
                == "linear: lower=nix is no disk or partition: 'platter list' shows those there are")
        #expect(
            await disks.refusal("linear", "lower=a", "lower=b", "offset=4k")
                == "linear: with several lowers write each one's window beside it: lower=pl0,offset=1M,size=10M")
        #expect(
            await disks.refusal("linear", "lower=a,offset=60k,size=8k")
                == "linear: a window of 8k from offset 60k does not lie on a, which has 64k")
        #expect(
            await disks.refusal("linear", "lower=a,offset=64k")
                == "linear: a window of any size from offset 64k does not lie on a, which has 64k")
        #expect(
            await disks.refusal("linear", "lower=a,size=512", "lower=b")
                == "linear: size=512 of lower=a is not a multiple of 4096 bytes")
        #expect(
            await disks.refusal("linear", "lower=a,length=4k")
                == "linear: 'length=4k' in lower=a,length=4k is neither offset=BYTES nor size=BYTES")
        #expect(await disks.refusal("linear", "lower=a", "orphaned=perhaps") != nil)
        #expect(disks.registry.isFlat && a.openers.isEmpty)
        // A name that is taken is found after the claims were made.
        #expect(await disks.refusal("linear", "lower=a", "name=b")?.hasPrefix("b is in use") == true)
        #expect(eventually { disks.registry.isFlat && a.openers.isEmpty }, "they end with the driver")
        let disk = try await disks.add("linear", "name=l", "lower=a")
        #expect(
            await disks.refusal("linear", "lower=a")
                == "linear: a cannot be claimed: there is a claim on a by l; remove or close that first")
        #expect(await a.remove(.safe).isBusy(by: "l"))
        #expect(await disk.remove(.safe).isRemoved)
        // The moment the removal has returned.
        _ = try await disks.add("linear", "lower=a,size=32k", "lower=a,offset=32k")
    }

    @Test(arguments: ["linear", "delay"])
    func `what it stands on is free when its removal returns, whoever still has the driver`(kind: String) async throws {
        _ = try await disks.add("ram", "name=a", "size=64k")
        let driver = try DriverCatalogue.make(
            driver: kind, keys: [("lower", "a")], context: DriverContext(disks.registry))
        let disk = try await disks.add(driver)
        #expect(!disks.registry.isFlat)
        #expect(await disk.remove(.safe).isRemoved)
        #expect(disks.registry.isFlat && disks.registry.disk(named: "a")?.openers.isEmpty == true)
        #expect(driver.capacity == 128)
    }

    @Test func `a flush goes to each device once, and only where there is a cache`() async throws {
        let drivers = (0..<3).map { index in BottomDriver { $0.hasWriteCache = index != 1 } }
        for (index, driver) in drivers.enumerated() {
            var options = DiskOptions()
            options.name = "d\(index)"
            options.scansPartitions = false
            _ = try await disks.registry.add(driver, options)
        }
        let client = try DiskClient(
            try await disks.add("linear", "lower=d0,size=4k", "lower=d1", "lower=d0,offset=4k,size=4k", "lower=d2"))
        for _ in 0..<5 { #expect(try client.run(.flush) == .ok) }
        #expect(drivers.map { $0.count(.flush) } == [5, 0, 5])
    }

    @Test func `what is read-only or cannot discard below is so above`() async throws {
        _ = try await disks.add("ram", "name=a", "size=64k", "ro=on")
        let disk = try await disks.add("linear", "lower=a")
        #expect(disk.isReadOnly && disk.openers.isEmpty)
        #expect(disks.registry.disk(named: "a")?.openers.map(\.mode) == ["rx"])
        var options = DiskOptions()
        options.name = "d"
        options.scansPartitions = false
        _ = try await disks.registry.add(BottomDriver { $0.discard = .unsupported }, options)
        let client = try DiskClient(try await disks.add("linear", "lower=d"))
        #expect(try client.run(.discard, 0, 8) == .notSupported)
        #expect(try client.run(.writeZeroes, 0, 8) == .ok)
    }

    @Test func `more than fits waits in line, and everything is answered once`() async throws {
        let driver = BottomDriver(holds: true)
        var options = DiskOptions()
        options.name = "d"
        options.scansPartitions = false
        _ = try await disks.registry.add(driver, options)
        let client = try DiskClient(try await disks.add("linear", "lower=d"), depth: 2000)
        let tokens = try (0..<2000).map { try client.send(.writeZeroes, UInt64($0), 1) }
        #expect(driver.held == 256, "no more than its handle's depth")
        driver.hold(false)
        driver.answerAll()
        for token in tokens { #expect(client.answers.wait(token).status == .ok) }
        #expect(client.answers.isOnceEach && client.answers.count == 2000)
        #expect(driver.count(.writeZeroes) == 2000)
    }

    @Test("a lower that dies takes its part along, the last one the disk (T65, R6)", arguments: [true, false])
    func death(goes: Bool) async throws {
        let a = try await disks.add("ram", "name=a", "size=64k")
        let b = try await disks.add("ram", "name=b", "size=64k")
        let disk = try await disks.add("linear", "name=l", "lower=a", "lower=b", "orphaned=\(goes ? "remove" : "stay")")
        let client = try DiskClient(disk)
        #expect(try client.write(7, 0, 256) == .ok)
        #expect(await a.remove(.surprise).isRemoved)
        #expect(try client.run(.writeZeroes, 0, 8) == .ioError)
        #expect(try client.run(.writeZeroes, 120, 16) == .ioError, "across the windows")
        #expect(try client.read(136, 8).isAll(7))
        #expect(disk.lifeState == .live && disk.uppers.isEmpty)
        #expect(disk.lowers.map(\.name) == ["a", "b"], "the dead one is still held, and its name free")
        #expect(disk.part0.lowerNames == ["b"], "whoever has the name next is not what it stands on")
        _ = try await disks.add("ram", "name=a", "size=32k")
        #expect(try client.run(.writeZeroes, 0, 8) == .ioError)
        #expect(await b.remove(.surprise).isRemoved)
        if goes {
            #expect(eventually { disk.lifeState == .gone })
        } else {
            #expect(try client.run(.writeZeroes, 136, 8) == .ioError)
            #expect(disk.lifeState == .live)
            #expect(await disk.remove(.surprise).isRemoved)
        }
        #expect(try client.run(.writeZeroes, 136, 8) == .gone)
        #expect(disks.registry.isFlat)
    }

    @Test func `an open end follows its device, a size does not`() async throws {
        let a = try await disks.add("ram", "name=a", "size=64k")
        let b = try await disks.add("ram", "name=b", "size=64k")
        let open = try await disks.add("linear", "name=open", "lower=a,offset=4k")
        let fixed = try await disks.add("linear", "name=fixed", "lower=b,size=64k")
        let client = try DiskClient(open)
        #expect(open.capacity == 120)
        try await a.resize(to: 1000)
        #expect(eventually { open.capacity == 992 })
        #expect(try client.write(1, 991, 1) == .ok)
        try await b.resize(to: 1000)
        try await a.resize(to: 100)
        #expect(eventually { open.capacity == 92 })
        #expect(try client.run(.writeZeroes, 92, 1) == .outOfRange)
        #expect(fixed.capacity == 128)
        try await b.resize(to: 64)
        let other = try DiskClient(fixed)
        #expect(try other.run(.writeZeroes, 63, 1) == .ok && fixed.capacity == 128)
        #expect(try other.run(.writeZeroes, 64, 1) == .ioError)
    }
}

@Suite("The delay driver", .serialized) struct DelayTests {
    private let disks = TestRegistry()

    @Test func `each kind of I/O is held for its time, which can be set`() async throws {
        _ = try await disks.add("ram", "name=a", "size=64k")
        let disk = try await disks.add("delay", "name=slow", "lower=a", "read=30ms")
        let client = try DiskClient(disk)
        var start = Instant.now
        #expect(try client.read(0, 8).isAll(0))
        #expect(Instant.now - start >= .milliseconds(30))
        try await disk.set("read", to: "0ms")
        try await disk.set("write", to: "20ms")
        start = Instant.now
        #expect(try client.run(.discard, 0, 8) == .ok)
        #expect(Instant.now - start >= .milliseconds(20))
        await #expect(throws: DiskError.self) { try await disk.set("read", to: "5") }
        await #expect(throws: DiskError.self) { try await disk.set("latency", to: "5ms") }
        let settings = Dictionary(
            uniqueKeysWithValues: await disk.driverFacts().settings.map { ($0.key, $0.value) })
        #expect(settings["read"] == "0s" && settings["write"] == "20ms" && settings["lower"] == "a,offset=0")
        #expect(
            await disks.refusal("delay", "lower=a", "lower=b")
                == "delay: lower= is given 2 times: it stands on one device")
    }

    @Test func `a kind of I/O without a time passes those that are held`() async throws {
        // Held for an hour or not at all: however slow the machine is, one is there and the other is not.
        _ = try await disks.add("ram", "name=a", "size=64k")
        let disk = try await disks.add("delay", "lower=a", "read=1h", "write=0s")
        let client = try DiskClient(disk)
        let read = try client.send(.read, 0, 8)
        let discard = try client.send(.discard, 0, 8)
        #expect(eventually { client.answers.isAnswered(discard) })
        #expect(!client.answers.isAnswered(read))
        try await disk.set("read", to: "0ms")
        try await disk.set("write", to: "1h")
        let other = try client.send(.discard, 0, 8)
        let now = try client.send(.read, 0, 8)
        #expect(eventually { client.answers.isAnswered(now) })
        // What is held keeps the time with which it came.
        #expect(!client.answers.isAnswered(read) && !client.answers.isAnswered(other))
        #expect(await disk.remove(.surprise, deadline: .seconds(30)).isRemoved)
        for token in [read, other] { #expect(client.answers.wait(token).status == .gone) }
        #expect(client.answers.isOnceEach)
    }

    @Test func `what is due first goes first, whenever it came`() async throws {
        _ = try await disks.add("ram", "name=a", "size=64k")
        let disk = try await disks.add("delay", "lower=a", "read=1h", "write=10ms")
        let client = try DiskClient(disk)
        let reads = try (0..<20).map { try client.send(.read, $0, 1) }
        let writes = try (0..<20).map { try client.send(.writeZeroes, $0, 1) }
        for token in writes { #expect(client.answers.wait(token).status == .ok) }
        #expect(client.answers.count == 20)
        #expect(await disk.remove(.surprise, deadline: .seconds(30)).isRemoved)
        for token in reads { #expect(client.answers.wait(token).status == .gone) }
        #expect(client.answers.isOnceEach)
    }

    @Test("told of its death it answers what it holds, at once (R4)") func death() async throws {
        _ = try await disks.add("ram", "name=a", "size=64k")
        let disk = try await disks.add("delay", "lower=a", "read=1h", "write=1h")
        let client = try DiskClient(disk)
        let tokens = try (0..<200).map { try client.send([.read, .discard][$0 % 2], 0, 1) }
        #expect(client.answers.count == 0)
        let report = try #require(await disk.remove(.surprise, deadline: .seconds(30)).report)
        #expect(!report.deadlinePassed && report.inFlight == 200 && report.failed == 200)
        for token in tokens { #expect(client.answers.wait(token).status == .gone) }
        #expect(client.answers.isOnceEach && disks.registry.isFlat)
    }

    @Test("what it holds when the device below dies is answered when its time comes") func lowerDeath() async throws {
        let a = try await disks.add("ram", "name=a", "size=64k")
        let disk = try await disks.add("delay", "lower=a", "read=50ms", "orphaned=stay")
        let client = try DiskClient(disk)
        let tokens = try (0..<20).map { try client.send(.read, $0, 1) }
        #expect(await a.remove(.surprise).isRemoved)
        for token in tokens { #expect(client.answers.wait(token).status == .ioError) }
        #expect(await disk.remove(.safe).isBusy(by: nil))
        #expect(await disk.remove(.hard).isRemoved)
    }
}

extension RemovalOutcome {
    var isRemoved: Bool { if case .removed(let report) = self { !report.deadlinePassed } else { false } }
    func isBusy(by holder: String?) -> Bool {
        if case .busy(let report) = self { report.openers.map(\.holder) == [holder] } else { false }
    }
    var report: RemovalReport? {
        switch self {
        case .removed(let report), .pending(let report), .busy(let report), .failed(let report): report
        case .neverPublished, .cancelled, .noSuchDisk: nil
        }
    }
}
