// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("An add") struct AddTests {
    @Test("takes a driver object once: of two adds at the same time one wins, and the other changes nothing (T01)")
    func oneDriver() async throws {
        for _ in 0..<(isSanitized ? 20 : 100) {
            let registry = DiskRegistry()
            let driver = HeldDriver()
            let adds = (0..<2).map { index in BegunAdd(registry, driver, plain("d\(index)")) }
            let ends = adds.compactMap { $0.end() }
            #expect(ends.count == 2 && ends.filter { $0.errno == nil }.count == 1)
            #expect(ends.compactMap(\.errno) == [16])
            let disk = try #require(ends.compactMap(\.disk).first)
            #expect(registry.disks.count == 1 && registry.namesInUse == 1 && registry.numbersInUse == 1)
            // And later, in another registry: the object serves this disk still.
            let other = DiskRegistry()
            await #expect(throws: DiskError.self) { try await other.add(driver, plain("x")) }
            #expect(other.namesInUse == 0 && driver.log.isEmpty)
            #expect(await disk.remove().word == "removed")
            #expect(driver.log.filter { $0 == "released" }.count == 1)
            // The removal has returned: whether it can serve again is its author's affair.
            let again = try await other.add(driver, plain("x"))
            #expect(await again.remove().word == "removed")
        }
    }

    @Test("of a name that is being removed is refused until the removal returns, and works right then (T02)")
    func nameInRemoval() async throws {
        let registry = DiskRegistry()
        let goOn = Parker()
        let driver = HeldDriver()
        driver.inStop.withLock { $0 = { goOn.wait() } }
        let disk = try await registry.add(driver, plain("a"))
        let worked = Lock<Bool?>(nil)
        disk.requestRemoval(.surprise, deadline: .seconds(60)) { _ in
            // On the thread that says so: not a moment later.
            let next = try? registry.addBlocking(HeldDriver(), plain("a"))
            worked.withLock { $0 = next?.name == "a" && registry.disk(named: "a") === next }
        }
        #expect(eventually { disk.lifeState == .cut(.surprise) })
        await #expect(throws: DiskError.self) { try await registry.add(HeldDriver(), plain("a")) }
        goOn.raise()
        #expect(eventually { worked.withLock { $0 != nil } })
        #expect(worked.withLock { $0 } == true)
        for disk in registry.disks { _ = await disk.remove() }
    }

    @Test("may have a number that an old handle still stands for, and nothing of the two mixes (T03)")
    func numberReuse() async throws {
        let registry = DiskRegistry()
        func options() -> DiskOptions {
            plain("a") {
                $0.major = 240
                $0.firstMinor = 7
                $0.minors = 1
            }
        }
        let old = HeldDriver()
        let first = try await registry.add(old, options())
        let sink = CountingSink()
        let stale = try first.part0.open(.readWrite, as: tester, sink: sink)
        stale.submit(.discard, oneSector, data: .none, token: 1)
        #expect(await first.remove(.surprise).word == "removed")
        let new = HeldDriver()
        let second = try await registry.add(new, options())
        #expect(second.number == first.number && second.sequence > first.sequence)
        #expect(registry.device(numbered: first.number)?.disk === second)
        stale.submit(.discard, oneSector, data: .none, token: 2)
        #expect(sink.statuses(of: 2) == [.gone])
        #expect(new.submitted == 0 && old.submitted == 1)
        #expect(second.statistics() == DiskStatistics.none && first.statistics().discards.completed == 1)
        stale.close()
        #expect(second.openers.isEmpty && new.log.isEmpty)
        #expect(await second.remove().word == "removed")
    }

    @Test("may ask for a number under 259: the pool then gives it to nobody else, and has it back in the end")
    func explicitMinors() async throws {
        let registry = DiskRegistry()
        func add(_ name: String, minor: Int? = nil) async throws -> Disk {
            try await registry.add(
                HeldDriver(),
                plain(name) { options in
                    guard let minor else { return }
                    options.major = 259
                    options.firstMinor = minor
                    options.minors = 1
                })
        }
        let second = try await add("b", minor: 1)
        #expect(try await add("a").number.minor == 0)
        #expect(try await add("c").number.minor == 2, "1 is taken, and does not cost a number")
        await #expect(throws: DiskError.self) { try await add("d", minor: 2) }
        let last = try await add("z", minor: 1 << 20 - 1)
        #expect(await last.remove().word == "removed")
        #expect(await second.remove().word == "removed")
        #expect(try await add("b").number.minor == 1, "the lowest, again")
        #expect(try await add("e").number.minor == 3, "a number far above is not next")
        for disk in registry.disks { _ = await disk.remove() }
        #expect(registry.numbersInUse == 0)
    }

    @Test("is refused when numbers have run out; a partition without one is left out, and that is said (T05)")
    func numbersRunOut() async throws {
        let registry = DiskRegistry(minors: 3)
        let scanned: (inout DiskOptions) -> Void = { $0.scansPartitions = true }
        let whole = try await registry.add(TableDriver(sectors: 4096), plain("a", scanned))
        #expect(whole.partitions.count == 2)
        do {
            _ = try await registry.add(TableDriver(sectors: 4096), plain("b", scanned))
            Issue.record("a fourth number was found")
        } catch {
            #expect(error.errno == 16 && error.reason.contains("number"))
        }
        #expect(registry.namesInUse == 3 && registry.numbersInUse == 3)
        #expect(await whole.remove().word == "removed")
        let other = try await registry.add(HeldDriver(), plain("c"))
        let part = try await registry.add(TableDriver(sectors: 4096), plain("b", scanned))
        #expect(part.partitions.map(\.name) == ["b1"])
        #expect(part.partitionWarnings.contains { $0.contains("partition 2") && $0.contains("number") })
        #expect(registry.device(named: "b2") == nil && registry.namesInUse == 3)
        #expect(await other.remove().word == "removed")
        #expect(await part.remove().word == "removed")
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0)
    }

    @Test("that is cancelled answers its remover when name and number are free, not before (R8, T06)")
    func cancelAnswersLate() throws {
        let registry = DiskRegistry()
        let (reached, goOn) = (Parker(), Parker())
        let add = BegunAdd(
            registry, HeldDriver(),
            plain("a") {
                $0.beforeStep = { step throws(DiskError) in
                    guard step == 8 else { return }
                    reached.raise()
                    goOn.wait()
                }
            })
        #expect(reached.wait(until: Instant.now + .seconds(30)))
        let disk = try #require(registry.diskBeingAdded(named: "a"))
        let atAnswer = Lock<[String]>([])
        let over = Parker()
        for mode in [RemovalMode.safe, .surprise] {
            disk.requestRemoval(mode, deadline: .seconds(60)) { outcome in
                let next = try? registry.addBlocking(HeldDriver(), plain("a"))
                let left = atAnswer.withLock { answers in
                    answers.append(
                        "\(outcome.word), \(registry.numbersInUse) in use, \(next == nil ? "taken" : "free")")
                    return answers.count
                }
                if left == 2 { over.raise() }
            }
        }
        #expect(atAnswer.withLock { $0.isEmpty } && registry.namesInUse == 1)
        goOn.raise()
        #expect(over.wait(until: Instant.now + .seconds(30)))
        #expect(atAnswer.withLock { $0 } == ["never published, 1 in use, free", "never published, 1 in use, taken"])
        #expect(add.end()?.errno == 125)
        #expect(registry.disk(named: "a")?.sequence == disk.sequence + 1)
        if let next = registry.disk(named: "a") { _ = BegunRemoval(next, .surprise).end() }
    }

    @Test("that a removal cancels does not wait for a driver that never answers the scan (T10)")
    func silentScan() throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(capacity: 4096, behaviour: .hold)
        let add = BegunAdd(
            registry, driver,
            plain("a") {
                $0.scansPartitions = true
                $0.scanDeadline = .seconds(3600)
            })
        #expect(eventually { driver.held == 1 })
        let disk = try #require(registry.diskBeingAdded(named: "a"))
        #expect(BegunRemoval(disk, .surprise).end()?.word == "never published")
        #expect(add.end()?.errno == 125)
        #expect(registry.namesInUse == 0 && registry.numbersInUse == 0 && registry.events.last == 0)
        // The driver is the caller's again once it has answered what it holds.
        #expect(throws: DiskError.self) { try registry.addBlocking(driver, plain("a")) }
        driver.set(.answer(.ok))
        driver.answerAll()
        #expect(eventually { (try? registry.addBlocking(driver, plain("a"))) != nil })
        #expect(!driver.log.contains("released"))
        #expect(registry.coreFaults == 0)
        if let disk = registry.disk(named: "a") { _ = BegunRemoval(disk, .surprise).end() }
    }

    @Test("that hangs in its driver cannot hold its remover beyond the deadline (R4)") func hungAdd() throws {
        let registry = DiskRegistry()
        let (reached, goOn) = (Parker(), Parker())
        let driver = HeldDriver(capacity: 4096)
        driver.inSubmit.withLock {
            $0 = { _ in
                reached.raise()
                goOn.wait()
            }
        }
        let add = BegunAdd(registry, driver, plain("a") { $0.scansPartitions = true })
        #expect(reached.wait(until: Instant.now + .seconds(30)))
        let disk = try #require(registry.diskBeingAdded(named: "a"))
        let outcome = BegunRemoval(disk, .surprise, deadline: .milliseconds(10)).end()
        #expect(outcome?.word == "pending" && outcome?.report?.notes.count == 1)
        #expect(registry.namesInUse == 1, "and says so: the name is not free")
        goOn.raise()
        #expect(add.end()?.errno == 125)
        #expect(registry.namesInUse == 0)
    }

    @Test("is found by nobody while its table is read, and whoever finds it finds its partitions (T09)")
    func openerBeforeScan() async throws {
        let registry = DiskRegistry()
        let seen = Lock<[String]>([])
        let observer = registry.events.observe { delivery in
            guard case .event(let event) = delivery, event.device == "a", event.action == .add else { return }
            let names = registry.disk(named: "a").map { $0.partitions.map(\.name) } ?? ["nothing"]
            seen.withLock { $0 += names }
        }
        let during = Lock<[String]>([])
        let disk = try await registry.add(
            TableDriver(sectors: 4096),
            plain("a") { options in
                options.scansPartitions = true
                options.beforeStep = { step throws(DiskError) in
                    guard step >= 6, let disk = registry.diskBeingAdded(named: "a") else { return }
                    let isFound =
                        registry.disk(named: "a") != nil || registry.device(named: "a1") != nil
                        || registry.device(numbered: disk.number) != nil || !registry.disks.isEmpty
                    var errno: Int32 = 0
                    do throws(DiskError) {
                        try disk.part0.open(.read, as: tester, sink: CountingSink()).close()
                    } catch {
                        errno = error.errno
                    }
                    during.withLock { $0.append("\(step) \(isFound) \(errno)") }
                }
            })
        #expect(during.withLock { $0 } == ["6 false 6", "7 false 6", "8 false 6"])
        #expect(eventually { seen.withLock { $0.count } == 2 })
        #expect(seen.withLock { $0 } == ["a1", "a2"])
        observer.cancel()
        #expect(await disk.remove().word == "removed")
    }

    @Test("never made leaves nothing: no event, no call of the driver, and the driver goes (T08)") func neverAdded() {
        let registry = DiskRegistry()
        weak var driver: HeldDriver?
        var log = ["?"]
        do {
            let built = HeldDriver()
            driver = built
            var options = plain("a")
            options.beforeStep = { _ throws(DiskError) in throw DiskError(errno: 12, reason: "injected") }
            #expect(throws: DiskError.self) { try registry.addBlocking(built, options) }
            log = built.log
        }
        #expect(driver == nil && log.isEmpty)
        #expect(registry.events.last == 0 && registry.namesInUse == 0)
    }

    @Test("stays for as long as it is not removed, whoever lets the disk or the registry go (T07)") func neverRemoved()
        async throws
    {
        weak var registry: DiskRegistry?
        weak var disk: Disk?
        let driver = HeldDriver()
        do {
            let made = DiskRegistry()
            registry = made
            disk = try await made.add(driver, plain("a"))
        }
        #expect(registry?.disk(named: "a") != nil && driver.log.isEmpty)
        let found = try #require(registry?.disk(named: "a"))
        #expect(found === disk)
        #expect(await found.remove().word == "removed")
        #expect(driver.log.last == "released")
        registry = nil
    }
}

/// An add on a thread of its own.
final class BegunAdd: Sendable {
    struct End: Sendable {
        var disk: Disk?
        var errno: Int32?
    }
    private let outcome = Lock(End())
    private let done = Parker()

    init(_ registry: DiskRegistry, _ driver: any BlockDriver, _ options: DiskOptions) {
        WorkerThread.detach(name: "add") { [self] in
            do throws(DiskError) {
                let disk = try registry.addBlocking(driver, options)
                outcome.withLock { $0.disk = disk }
            } catch {
                outcome.withLock { $0.errno = error.errno }
            }
            done.raise()
        }
    }

    var isOver: Bool { done.isRaised }

    /// How it ended; nil: not within the limit that makes it a failure.
    func end() -> End? { done.wait(until: Instant.now + .seconds(60)) ? outcome.withLock { $0 } : nil }
}
