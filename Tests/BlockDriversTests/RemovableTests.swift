// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import Synchronization
import Testing

@testable import BlockDrivers

@Suite("A slot for images") struct RemovableTests {
    /// An image full of one byte, with a table of two partitions.
    static func image(_ folder: TemporaryFolder, _ name: String, fill: UInt8, sectors: Int = 2048) throws -> String {
        var bytes = [UInt8](repeating: fill, count: sectors * 512)
        bytes.replaceSubrange(0..<512, with: [UInt8](repeating: 0, count: 512))
        for (slot, start) in [UInt8(64), UInt8(128)].enumerated() {
            bytes[0x1be + slot * 16 + 4] = 0x83
            bytes[0x1be + slot * 16 + 8] = start
            bytes[0x1be + slot * 16 + 12] = 64
        }
        bytes[510] = 0x55
        bytes[511] = 0xaa
        let path = "\(folder.path)/\(name)"
        let file = try DiskFile.open(path, [.write, .create])
        let buffer = try IOBuffer(count: bytes.count)
        buffer.memory.copy(from: bytes.span.bytes)
        #expect(file.perform(.write(at: 0, from: buffer.memory.slice(0, bytes.count), durable: false)) == bytes.count)
        file.close()
        return path
    }

    static func add(_ driver: any BlockDriver, to registry: DiskRegistry) async throws -> Disk {
        var options = DiskOptions()
        options.name = "sd0"
        return try await registry.add(driver, options)
    }

    @Test("is made empty or with an image in it, and says what is wrong with one") func keys() async throws {
        let folder = try TemporaryFolder()
        let path = try Self.image(folder, "a.img", fill: 1)
        let empty = try DriverCatalogue.make(driver: "removable", keys: [])
        #expect(empty.capacity == 0 && empty.medium == .none && empty.driverName == "removable")
        let full = try DriverCatalogue.make(driver: "removable", keys: [("image", path)])
        #expect(full.capacity == 2048 && full.medium.number == 1 && full.settings.map(\.value) == [path])
        #expect(full.checkEvents(clearing: []) == [])
        func reason(_ keys: [(String, String)]) -> ConfigurationError? {
            do throws(ConfigurationError) {
                _ = try DriverCatalogue.make(driver: "removable", keys: keys)
                return nil
            } catch {
                return error
            }
        }
        #expect(reason([("image", "\(folder.path)/none.img")])?.errno == 2)
        // Locked by the other slot.
        #expect(reason([("image", path)])?.errno == 16)
        #expect(reason([("size", "1M")])?.errno == 22)
        full.released()
        #expect(reason([("image", path), ("sector-size", "4096")]) == nil)
    }

    @Test("gives each handle the medium that it was opened on or none, in a storm of ejects by force") func storm()
        async throws
    {
        let folder = try TemporaryFolder()
        let images = [
            try Self.image(folder, "a.img", fill: 0xa1), try Self.image(folder, "b.img", fill: 0xb2),
        ]
        let registry = DiskRegistry()
        let disk = try await Self.add(RemovableDriver(), to: registry)
        let load = try CardLoad([disk], threads: 2)
        for round in 0..<200 {
            _ = try await disk.insertMedium(images[round % 2])
            // Some are pulled in the middle of things.
            if round % 4 == 0 { load.waitForMoreReads(2) }
            _ = try await disk.ejectMedium(force: true)
        }
        load.end()
        #expect(load.mixed.value == 0 && load.odd.withLock { $0 } == [])
        #expect(load.reads.value > 0 && load.refused.value > 0)
        guard case .removed = await disk.remove() else {
            Issue.record("the slot was not removed")
            return
        }
        // Nothing keeps the images any more.
        for image in images { try FileDriver(FileOptions(path: image)).released() }
    }

    @Test(
        "survives a hundred thousand rapid cycles under load, and every structure is as before (P3)",
        .timeLimit(.minutes(5)))
    func hundredThousand() async throws {
        let folder = try TemporaryFolder()
        let images = [
            try Self.image(folder, "a.img", fill: 0xa1), try Self.image(folder, "b.img", fill: 0xb2),
        ]
        let registry = DiskRegistry()
        // What the process has for good, such as the thread that waits for drains, is there after the first.
        try Self.run(1, images, registry)
        let before = CardBaseline(registry)
        let cycles = getenv("PLATTER_SANITIZER") == nil ? 100_000 : 5_000
        let ended = Parker()
        let failure = Lock<String?>(nil)
        let started = Instant.now
        // On a thread of its own: each step waits for the one before.
        WorkerThread.detach(name: "cycles") {
            do {
                try Self.run(cycles, images, registry)
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
            ended.raise()
        }
        await withCheckedContinuation { continuation in
            WorkerThread.detach(name: "wait") {
                ended.wait()
                continuation.resume()
            }
        }
        #expect(failure.withLock { $0 } == nil)
        print("\(cycles) cycles in \((Instant.now - started).nanoseconds / 1_000_000) ms")
        let after = before.settled(registry)
        #expect(after.isNoMore(than: before), "\(after) after \(before)")
        for image in images { try FileDriver(FileOptions(path: image)).released() }
    }

    /// Puts in, pulls; every twentieth time the whole slot goes and comes back.
    private static func run(_ cycles: Int, _ images: [String], _ registry: DiskRegistry) throws {
        var options = DiskOptions()
        options.name = "sd0"
        var disk = try registry.addBlocking(RemovableDriver(), options)
        var load = try CardLoad([disk], threads: 1)
        for cycle in 0..<cycles {
            let report = try disk.insertMediumBlocking(images[cycle % 2])
            guard report.partitions == ["sd0p1", "sd0p2"] else { throw CycleFailure("no partitions: \(report)") }
            if cycle % 20 == 19 {
                try pull(disk)
                load.end()
                try load.check()
                disk = try registry.addBlocking(RemovableDriver(), options)
                load = try CardLoad([disk], threads: 1)
            } else {
                _ = try disk.ejectMediumBlocking(force: true)
            }
        }
        try pull(disk)
        load.end()
        try load.check()
    }

    private static func pull(_ disk: Disk) throws {
        let done = Parker()
        let isRemoved = Atomic<Bool>(false)
        disk.requestRemoval(.surprise) { outcome in
            if case .removed(let report) = outcome, !report.deadlinePassed { isRemoved.store(true, ordering: .relaxed) }
            done.raise()
        }
        done.wait()
        guard isRemoved.load(ordering: .relaxed) else { throw CycleFailure("the slot was not removed") }
    }
}

struct CycleFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Threads that open a slot whenever there is something in it, and read until there is not.
final class CardLoad: Sendable {
    let reads = Counter()
    let refused = Counter()
    /// Handles that read one medium and then another.
    let mixed = Counter()
    let odd = Lock<[BlockStatus]>([])
    private let stop = Parker()
    private let bell = Bell()
    private let threads = Lock<[WorkerThread]>([])

    init(_ disks: [Disk], threads: Int) throws {
        for _ in 0..<threads {
            for disk in disks {
                let thread = try WorkerThread.start(name: "load") { [self] in
                    while !stop.isRaised { use(disk) }
                }
                self.threads.withLock { $0.append(thread) }
            }
        }
    }

    private func use(_ disk: Disk) {
        let answers = Answers()
        do {
            let opener = try disk.part0.open(.read, as: OpenerIdentity(kind: "load"), depth: 4, sink: answers)
            var first: UInt8?
            var token: UInt64 = 0
            while !stop.isRaised {
                token += 1
                let buffer = try IOBuffer(count: 512)
                opener.submit(
                    .read, SectorRange(start: 1000, count: 1), data: .owned(buffer, count: 512), token: token)
                let answer = answers.wait(token)
                guard answer.status == .ok, let bytes = answer.bytes else {
                    refused.add()
                    if ![.noMedium, .gone].contains(answer.status) { odd.withLock { $0.append(answer.status) } }
                    break
                }
                reads.add()
                bell.ringAll()
                if !bytes[0..<512].elementsEqual(repeatElement(first ?? bytes[0], count: 512)) { mixed.add() }
                first = bytes[0]
            }
            opener.close()
        } catch let error as DiskError where error.errno == ENXIO {
            // The slot itself is gone.
            stop.wait()
        } catch {
            // Nothing in it, or on its way out.
            yieldThread()
        }
    }

    func waitForMoreReads(_ count: Int) {
        let goal = reads.value + count
        while true {
            let heard = bell.value
            if reads.value >= goal { return }
            bell.wait(after: heard, until: Instant.now + .seconds(30))
        }
    }

    func end() {
        stop.raise()
        for thread in threads.withLock({ $0 }) { thread.join() }
    }

    func check() throws {
        guard mixed.value == 0 else { throw CycleFailure("a handle read two media") }
        let odd = odd.withLock { $0 }
        guard odd.isEmpty else { throw CycleFailure("reads were answered \(odd)") }
    }
}

/// What there is of everything.
struct CardBaseline {
    var disks: Int
    var names: Int
    var numbers: Int
    var slots: Int
    var watches: Int
    var threads: Int
    var descriptors: Int

    init(_ registry: DiskRegistry) {
        disks = registry.disksAlive.value
        names = registry.namesInUse
        numbers = registry.numbersInUse
        slots = BlockCoreCounts.slotsAlive
        watches = BlockCoreCounts.watches
        threads = WorkerThread.running.value
        descriptors = Self.openDescriptors()
    }

    private static func openDescriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return -1 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count
    }

    /// Of what the process shares there may be less: other tests have ended.
    func isNoMore(than other: CardBaseline) -> Bool {
        disks <= other.disks && names <= other.names && numbers <= other.numbers && slots <= other.slots
            && watches <= other.watches && threads <= other.threads && descriptors <= other.descriptors
    }

    /// How it is once what is on its way out is out; as it is after a minute otherwise.
    func settled(_ registry: DiskRegistry) -> CardBaseline {
        let deadline = Instant.now + .seconds(60)
        while true {
            let now = CardBaseline(registry)
            if now.isNoMore(than: self) || Instant.now >= deadline { return now }
            yieldThread()
        }
    }
}
