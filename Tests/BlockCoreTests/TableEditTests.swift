// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockPartitions
import BlockSystem
import TestSupport
import Testing

/// A disk in memory that asks a hook before each write and each flush.
private final class EditedDriver: BlockDriver, Sendable {
    struct Hook { var body: (@Sendable (BioOperation, Int) -> BlockStatus)? }
    private let bytes: Lock<[UInt8]>
    private let hook = Lock(Hook())
    let log = Lock<[String]>([])
    let capacity: UInt64 = 8192
    let profile: DriverProfile

    init(isReadOnly: Bool = false) {
        bytes = Lock([UInt8](repeating: 0, count: 8192 * 512))
        var profile = DriverProfile()
        profile.style = .inline
        profile.isReadOnly = isReadOnly
        profile.hasWriteCache = true
        self.profile = profile
    }

    func before(_ body: (@Sendable (BioOperation, Int) -> BlockStatus)?) { hook.withLock { $0.body = body } }
    func submit(_ bio: consuming Bio) {
        let offset = Int(bio.sector) * 512
        let memory = bio.memory
        if bio.operation == .read {
            bytes.withLock { memory.copy(from: $0.span.extracting(offset..<offset + memory.count).bytes) }
            return bio.complete(.ok)
        }
        let status = hook.withLock { $0 }.body?(bio.operation, offset / 512) ?? .ok
        log.withLock { $0.append(bio.operation == .flush ? "flush" : "write \(offset / 512)") }
        if status == .ok, bio.operation == .write {
            let new = memory.array
            bytes.withLock { $0.replaceSubrange(offset..<offset + new.count, with: new) }
        }
        bio.complete(status)
    }
}

/// Waits on a thread of its own.
private func raised(_ parker: Parker) async {
    await withCheckedContinuation { continuation in
        WorkerThread.detach(name: "raised") {
            parker.wait()
            continuation.resume()
        }
    }
}

@Suite("An edit of a table") struct TableEditTests {
    private static func disk(_ registry: DiskRegistry, _ driver: EditedDriver) async throws -> Disk {
        let disk = try await registry.add(driver, plain("pl0") { $0.scansPartitions = true })
        _ = try await disk.editTable(.apply("label: gpt\ngrain: 512\nstart=64, size=1000\nstart=2000, size=1000\n"))
        driver.log.withLock { $0 = [] }
        return disk
    }

    @Test("makes devices of it, with a flush between what must not overtake") func made() async throws {
        let registry = DiskRegistry()
        let driver = EditedDriver()
        let disk = try await Self.disk(registry, driver)
        #expect(disk.partitions.map(\.name) == ["pl0p1", "pl0p2"])
        let kept = disk.partitions[0]
        let before = registry.events.last
        let planned = try await disk.editTable(.delete([2]), isDryRun: true)
        #expect(planned.rescan == nil && planned.change.groups.count == 4)
        #expect(driver.log.withLock { $0 } == [] && registry.events.last == before)
        let report = try await disk.editTable(.delete([2]))
        #expect(report.rescan?.removed == ["pl0p2"] && report.rescan?.added == [])
        #expect(disk.partitions.count == 1 && disk.partitions[0] === kept)
        // Backup entries, backup header, primary entries, primary header.
        #expect(
            driver.log.withLock { $0 } == [
                "write 8159", "flush", "write 8191", "flush", "write 2", "flush", "write 1", "flush",
            ])
        #expect(try await disk.scanTable().entries.map(\.number) == [1])
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("is refused before a byte is written while what would change is open, or the whole is claimed (R9)")
    func inUse() async throws {
        let registry = DiskRegistry()
        let driver = EditedDriver()
        let disk = try await Self.disk(registry, driver)
        let first = try disk.partitions[0].open(.read, as: tester, sink: CountingSink())
        for isDryRun in [true, false] {
            do {
                _ = try await disk.editTable(.delete([1]), isDryRun: isDryRun)
                Issue.record("an open partition is deleted")
            } catch {
                #expect(error.errno == 16 && error.openers.map(\.device) == ["pl0p1"])
                #expect(error.reason.contains("pl0 is not edited: pl0p1 would change or vanish and is open by test;"))
            }
        }
        #expect(driver.log.withLock { $0 } == [])
        // The other one is nobody's.
        _ = try await disk.editTable(.resize(2, 500))
        _ = try await disk.editTable(.rename(1, "open"))
        #expect(disk.partitions[0].entry?.name == "open")
        first.close()
        let claim = try disk.part0.open([.read, .exclusive], as: tester, sink: CountingSink())
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.editTable(.rename(1, "x")) } == 16)
        claim.close()
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.editTable(.delete([9])) } == 22)
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.editTable(.resize(1, 5000)) } == 28)
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("keeps others off what goes, and other changes out, from its first write on (T17)") func amid() async throws {
        let registry = DiskRegistry()
        let driver = EditedDriver()
        let disk = try await Self.disk(registry, driver)
        let (isIn, mayGo) = (Parker(), Parker())
        let going = disk.partitions[1]
        driver.before { operation, sector in
            if operation == .write, sector == 8159 {
                isIn.raise()
                mayGo.wait()
            }
            return .ok
        }
        let edit = Task.detached {
            await thrown { () async throws(DiskError) in _ = try await disk.editTable(.delete([2])) }
        }
        await raised(isIn)
        #expect(throws: DiskError.self) { try going.open(.read, as: tester, sink: CountingSink()).close() }
        #expect(await RescanTests.rescanErrno(disk) == 16)
        let other = await refusal { () async throws(DiskError) in _ = try await disk.editTable(.delete([1])) }
        #expect(other?.errno == 16)
        // True of whatever runs: this is no rescan.
        #expect(other?.reason.contains("a change of its partitions or medium is under way on pl0") == true)
        mayGo.raise()
        #expect(await edit.value == 0)
        #expect(disk.partitions.map(\.partitionNumber) == [1])
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("of which a write fails leaves the partitions that the disk then has", arguments: [8191, 2, 1])
    func failed(at sector: Int) async throws {
        let registry = DiskRegistry()
        let driver = EditedDriver()
        let disk = try await Self.disk(registry, driver)
        driver.before { operation, at in operation == .write && at == sector ? .ioError : .ok }
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.editTable(.delete([2])) } == 5)
        // With new entries under an old header the primary is bad, and the backup is the new one by then.
        let isNew = sector == 1
        #expect(disk.partitions.map(\.partitionNumber) == (isNew ? [1] : [1, 2]))
        driver.before(nil)
        _ = try await disk.editTable(isNew ? .rename(1, "mended") : .delete([2]))
        #expect(try await disk.scanTable().warnings == [])
        #expect(disk.partitions.map(\.partitionNumber) == [1])
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("on a disk that scans no more takes the devices that the table loses, makes none, and keeps the others (R9)")
    func scansNoMore() async throws {
        let registry = DiskRegistry()
        let driver = EditedDriver()
        let disk = try await Self.disk(registry, driver)
        try await disk.set("partscan", to: "off")
        _ = try disk.addPartition(number: 9, start: 6000, size: 100)
        let second = try disk.partitions[1].open(.read, as: tester, sink: CountingSink())
        _ = try await disk.editTable(
            .create(
                {
                    var wish = NewPartition(); wish.count = 64; return wish
                }(), nil))
        #expect(disk.partitions.map(\.partitionNumber) == [1, 2, 9])
        _ = try await disk.editTable(.delete([1]))
        #expect(disk.partitions.map(\.partitionNumber) == [2, 9])
        driver.log.withLock { $0 = [] }
        #expect(await thrown { () async throws(DiskError) in _ = try await disk.editTable(.delete([2])) } == 16)
        #expect(driver.log.withLock { $0 } == [])
        second.close()
        #expect(await disk.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("with a name that would end a line is told of on one") func lines() async throws {
        let disk = try await Self.disk(DiskRegistry(), EditedDriver())
        _ = try await disk.editTable(.rename(1, "x\nACTION=remove\u{1B}[31m\u{85}"))
        let partition = try #require(disk.partitions.first)
        #expect(try partition.readAttribute("uevent").contains("\nPARTNAME=x!ACTION=remove![31m!\n"))
        #expect(await disk.remove().word == "removed")
    }

    @Test("of a frozen disk, and a look at its table, say that it is frozen, not that its driver is silent")
    func frozen() async throws {
        let disk = try await DiskRegistry().add(HeldDriver(behaviour: .answer(.ok)), plain("pl0"))
        try await disk.freeze(deadline: .seconds(10))
        let soon = Duration.milliseconds(20)
        let refusals = [
            await refusal { () async throws(DiskError) in
                _ = try await disk.editTable(.make(.gpt, isForced: false), deadline: soon)
            },
            await refusal { () async throws(DiskError) in
                _ = try await disk.scanTable(options: PartitionScanOptions(), deadline: soon)
            },
            await refusal { () async throws(DiskError) in _ = try await disk.rescan(deadline: soon) },
        ]
        for refusal in refusals {
            #expect(refusal?.errno == 16 && refusal?.reason.contains("'platter thaw pl0'") == true, "\(refusal as Any)")
        }
        try disk.thaw()
        #expect(await disk.remove().word == "removed")
    }

    @Test("of a disk that does not answer ends with its deadline, one without a medium at once") func silent()
        async throws
    {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain("pl0"))
        let end = Lock<Int32?>(nil)
        let edit = Task.detached {
            let number = await thrown { () async throws(DiskError) in
                _ = try await disk.editTable(.make(.gpt, isForced: false), deadline: .milliseconds(20))
            }
            end.withLock { $0 = number }
        }
        // Before its usual deadline would end it.
        #expect(eventually(within: .seconds(8)) { end.withLock { $0 } == 5 })
        #expect(driver.held == 1, "one read, and nothing was written")
        driver.set(.answer(.ok))
        driver.answerAll()
        await edit.value
        #expect(await disk.remove().word == "removed")
        let slot = try await registry.add(CardDriver(), plain("sd0"))
        for isDryRun in [true, false] {
            let number = await thrown { () async throws(DiskError) in
                _ = try await slot.editTable(.make(.gpt, isForced: true), isDryRun: isDryRun)
            }
            #expect(number == 123)
        }
        #expect(await slot.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }

    @Test("on a read-only disk is planned, not done; on one without devices for its table it is done")
    func others() async throws {
        let registry = DiskRegistry()
        let readOnly = try await registry.add(EditedDriver(isReadOnly: true), plain("pl0"))
        #expect(
            await thrown { () async throws(DiskError) in _ = try await readOnly.editTable(.make(.gpt, isForced: false))
            } == 1)
        #expect(try await readOnly.editTable(.make(.gpt, isForced: false), isDryRun: true).change.groups.count == 3)
        let hidden = try await registry.add(EditedDriver(), plain("pl1"))
        let report = try await hidden.editTable(.apply("label: dos\nstart=8, size=8\n"))
        #expect(report.rescan == nil && hidden.partitions.isEmpty)
        #expect(try await hidden.scanTable().entries.count == 1)
        #expect(await readOnly.remove().word == "removed")
        #expect(await hidden.remove().word == "removed")
        #expect(registry.namesInUse == 0)
    }
}

private func refusal(_ work: () async throws(DiskError) -> Void) async -> DiskError? {
    do throws(DiskError) {
        try await work()
        return nil
    } catch {
        return error
    }
}
