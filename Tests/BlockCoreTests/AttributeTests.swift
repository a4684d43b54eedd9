// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

extension BlockDevice {
    /// What it says, or its error's number.
    func says(_ path: String) -> String {
        do throws(AttributeError) {
            return try readAttribute(path)
        } catch {
            return "errno \(error.errno)"
        }
    }

    /// 0, or the error's number.
    func write(_ path: String, _ value: String) async -> Int32 {
        do throws(AttributeError) {
            try await changeAttribute(path, to: value)
            return 0
        } catch {
            #expect(!error.description.contains("\n") && !error.description.isEmpty)
            return error.errno
        }
    }
}

@Suite("Attributes") struct AttributeTests {
    private let registry = DiskRegistry()

    @Test("the door lets in until it is shut, and is over when the last has come out") func machine() {
        var door = AttributeDoorMachine()
        #expect(door.enter() && door.enter() && !door.isOver)
        door.shut()
        #expect(!door.enter() && !door.isOver && door.inside == 2)
        door.leave()
        #expect(!door.isOver)
        door.leave()
        #expect(door.isOver && !door.enter())
    }

    // MARK: Values

    @Test("of a disk say what it is, to the byte") func values() async throws {
        let disk = try await registry.add(
            HeldDriver(capacity: 4096) {
                $0.physicalBlockSize = 4096
                $0.optimalIO = 65536
                $0.hasWriteCache = true
                $0.fua = .native
                $0.isRotational = true
            }, plain("d0"))
        let device = disk.part0
        let expected = [
            "alignment_offset": "0\n", "capability": "0\n", "dev": "259:\(disk.number.minor)\n",
            "inflight": "       0        0\n",
            "stat": Array(repeating: "       0", count: 17).joined(separator: " ") + "\n", "queue/iostats": "1\n",
            "discard_alignment": "0\n", "diskseq": "\(disk.sequence)\n", "events": "", "events_async": "",
            "events_poll_msecs": "-1\n", "ext_range": "256\n", "hidden": "0\n", "partscan": "0\n", "range": "0\n",
            "removable": "0\n", "ro": "0\n", "size": "4096\n",
            "uevent":
                "MAJOR=259\nMINOR=\(disk.number.minor)\nDEVNAME=d0\nDEVTYPE=disk\nDISKSEQ=\(disk.sequence)\n",
            "device/delete": "errno 5", "queue/chunk_sectors": "0\n", "queue/discard_granularity": "4096\n",
            "queue/discard_max_bytes": "2199023255040\n", "queue/discard_max_hw_bytes": "2199023255040\n",
            "queue/discard_zeroes_data": "0\n", "queue/fua": "1\n", "queue/hw_sector_size": "512\n",
            "queue/logical_block_size": "512\n", "queue/max_hw_sectors_kb": "2147483647\n",
            "queue/max_sectors_kb": "2147483647\n", "queue/minimum_io_size": "4096\n",
            "queue/optimal_io_size": "65536\n", "queue/physical_block_size": "4096\n", "queue/rotational": "1\n",
            "queue/scheduler": "[none]\n", "queue/write_cache": "write back\n",
            "queue/write_same_max_bytes": "0\n", "queue/write_zeroes_max_bytes": "2199023255040\n",
            "queue/zoned": "none\n",
            "trace/act_mask": "disabled\n", "trace/enable": "0\n", "trace/end_lba": "disabled\n",
            "trace/pid": "disabled\n", "trace/start_lba": "disabled\n",
        ]
        for (path, value) in expected { #expect(device.says(path) == value, "\(path)") }
        #expect(Set(device.attributes().map(\.path)) == Set(expected.keys))
        let paths = device.attributes().map(\.path)
        #expect(paths.filter { !$0.contains("/") } == Array(paths.prefix { !$0.contains("/") }), "the directory first")
        #expect(paths.prefix { !$0.contains("/") }.elementsEqual(paths.prefix { !$0.contains("/") }.sorted()))
        let writable = device.attributes().filter(\.isWritable).map(\.path)
        #expect(
            writable == [
                "events_poll_msecs", "uevent", "device/delete", "queue/discard_max_bytes", "queue/iostats",
                "queue/max_sectors_kb", "queue/write_cache", "trace/enable",
            ])
        #expect(device.attributes().filter { !$0.isReadable }.map(\.path) == ["device/delete"])
        #expect(await disk.remove().word == "removed")
    }

    @Test("appear with what they are about, and not without") func visibility() async throws {
        let disk = try await registry.add(
            HeldDriver {
                $0.queueDepth = 16
                $0.timeout = .seconds(3)
                $0.discard = .unsupported
                $0.writeZeroes = .emulated
                $0.physicalBlockSize = 4096
            }, plain("d0"))
        #expect(disk.part0.says("queue/nr_requests") == "16\n" && disk.part0.says("queue/io_timeout") == "3000\n")
        #expect(disk.part0.says("queue/discard_max_bytes") == "0\n", "a device that discards nothing")
        #expect(disk.part0.says("queue/discard_granularity") == "0\n")
        let part = try disk.addPartition(number: 1, start: 9, size: 64)
        #expect(part.says("discard_alignment") == "0\n" && part.says("alignment_offset") == "3584\n")
        #expect(disk.part0.says("queue/write_zeroes_max_bytes") == "0\n", "the core writes them")
        #expect(disk.part0.says("queue/write_cache") == "write through\n" && disk.part0.says("queue/fua") == "0\n")
        let other = try await registry.add(
            HeldDriver { $0.takesPartitions = false },
            plain("d1") {
                $0.isHidden = true
                $0.isReadOnly = true
            })
        for path in ["queue/nr_requests", "queue/io_timeout", "dev", "partition", "badblocks", "queue", "", "size/"] {
            #expect(other.part0.says(path) == "errno 2", "\(path)")
        }
        #expect(other.part0.says("hidden") == "1\n" && other.part0.says("ro") == "1\n")
        #expect(other.part0.says("ext_range") == "1\n")
        let card = try await registry.add(CardDriver([UInt8](repeating: 0, count: 4096)), plain("d2"))
        #expect(card.part0.says("events") == "media_change eject_request\n")
        #expect(card.part0.says("removable") == "1\n")
        #expect(await card.part0.write("events_poll_msecs", "2500\n") == 0)
        #expect(card.part0.says("events_poll_msecs") == "2500\n")
        #expect(await card.part0.write("events_poll_msecs", "-2") == 22)
        #expect(await disk.part0.write("events_poll_msecs", "0") == 19, "no events to ask for")
        for disk in registry.disks(hidden: true) { #expect(await disk.remove().word == "removed") }
    }

    @Test("of the device behind are there where the driver tells of it, and uevent sends an event") func identity()
        async throws
    {
        let disk = try await registry.add(
            HeldDriver(), plain("d0") { $0.attributes = ["model": "Slow Disk", "wwn": "naa.1", "size": "7"] })
        let paths = disk.part0.attributes().map(\.path).filter { $0.hasPrefix("device/") }
        #expect(paths == ["device/delete", "device/model", "device/wwid"])
        #expect(disk.part0.says("device/model") == "Slow Disk\n" && disk.part0.says("device/wwid") == "naa.1\n")
        let seen = Lock<[String]>([])
        let watch = registry.events.observe { event in
            if case .event(let event) = event { seen.withLock { $0.append(event.action.rawValue) } }
        }
        #expect(await disk.part0.write("uevent", "change\n") == 0)
        #expect(eventually { seen.withLock { $0 }.last == "change" })
        watch.cancel()
        #expect(await disk.remove().word == "removed")
    }

    @Test("of a partition are its own, and end with it") func partitions() async throws {
        let disk = try await registry.add(HeldDriver { $0.physicalBlockSize = 4096 }, plain("d0"))
        let part = try disk.addPartition(number: 3, start: 9, size: 64)
        let expected = [
            "alignment_offset": "3584\n", "dev": "259:\(part.number.minor)\n", "discard_alignment": "3584\n",
            "inflight": "       0        0\n",
            "stat": Array(repeating: "       0", count: 17).joined(separator: " ") + "\n",
            "partition": "3\n", "ro": "0\n", "size": "64\n", "start": "9\n",
            "uevent": "MAJOR=259\nMINOR=\(part.number.minor)\nDEVNAME=d0p3\nDEVTYPE=partition\n"
                + "DISKSEQ=\(disk.sequence)\nPARTN=3\n",
        ]
        for (path, value) in expected { #expect(part.says(path) == value, "\(path)") }
        #expect(part.attributes().map(\.path) == expected.keys.sorted())
        #expect(part.says("queue/rotational") == "errno 2" && part.lowerNames == [] && part.holderNames == [])
        try disk.deletePartition(3)
        #expect(part.says("size") == "errno 19" && part.attributes() == [])
        #expect(disk.part0.says("size") == "2048\n")
        #expect(await disk.remove().word == "removed")
    }

    @Test("of a stack say how its blocks lie, and that they do not line up") func stacks() async throws {
        var lower = QueueLimits()
        lower.physicalBlockSize = 4096
        lower = try lower.validated()
        let shifted = QueueLimits().stacked(on: lower, startSector: 1)
        let disk = try await registry.add(HeldDriver { $0.limits = shifted }, plain("d0"))
        #expect(disk.part0.says("alignment_offset") == "3584\n")
        for (number, start, offset) in [(1, UInt64(7), 0), (2, 16, 3584), (3, 25, 3072)] {
            let part = try disk.addPartition(number: number, start: start, size: 8)
            #expect(part.says("alignment_offset") == "\(offset)\n", "\(start)")
        }
        lower.chunkSectors = 4
        let misaligned = QueueLimits().stacked(on: lower, startSector: 0)
        let other = try await registry.add(HeldDriver { $0.limits = misaligned }, plain("d1"))
        let part = try other.addPartition(number: 1, start: 9, size: 8)
        #expect(other.part0.says("alignment_offset") == "-1\n" && part.says("alignment_offset") == "-1\n")
        for disk in registry.disks { #expect(await disk.remove().word == "removed") }
    }

    // MARK: Writes

    @Test("are refused as a kernel refuses them") func refusals() async throws {
        let disk = try await registry.add(HeldDriver { $0.optimalIO = 0 }, plain("d0"))
        let device = disk.part0
        #expect(await device.write("size", "7") == 5)
        #expect(await device.write("nothing", "7") == 2)
        for value in ["", "x", "-1", "4294967296", "1 ", "0x10", "3"] {
            #expect(await device.write("queue/max_sectors_kb", value) == 22, "\(value)")
        }
        for value in ["", "511", "1000"] { #expect(await device.write("queue/discard_max_bytes", value) == 22) }
        for value in ["write", "", "write back"] { #expect(await device.write("queue/write_cache", value) == 22) }
        #expect(await device.write("device/delete", "0") == 22 && disk.lifeState == .live)
        #expect(await device.write("uevent", "nothing") == 22)
        #expect(await disk.remove().word == "removed")
    }

    @Test("of limits hold from the next I/O on, and 0 is the default again") func limits() async throws {
        var limits = QueueLimits()
        limits.maxHardwareSectors = 2048
        let driver = HeldDriver { $0.limits = limits }
        let disk = try await registry.add(driver, plain("d0"))
        let device = disk.part0
        #expect(device.says("queue/max_hw_sectors_kb") == "1024\n" && device.says("queue/max_sectors_kb") == "1024\n")
        #expect(await device.write("queue/max_sectors_kb", "4\n") == 0 && device.says("queue/max_sectors_kb") == "4\n")
        let sink = CountingSink()
        let opener = try device.open(.readWrite, as: tester, sink: sink)
        opener.submit(.read, sectors(0, 16), data: ones(16), token: 1)
        #expect(sink.wait(for: 1) && driver.submitted == 2, "two pages are two requests")
        #expect(await device.write("queue/max_sectors_kb", "9999") == 0, "cut, not refused")
        #expect(device.says("queue/max_sectors_kb") == "1024\n")
        #expect(await device.write("queue/max_sectors_kb", "4") == 0 && device.says("queue/max_sectors_kb") == "4\n")
        #expect(await device.write("queue/max_sectors_kb", "0") == 0)
        #expect(device.says("queue/max_sectors_kb") == "1024\n")
        #expect(await device.write("queue/discard_max_bytes", "4096") == 0)
        #expect(device.says("queue/discard_max_bytes") == "4096\n")
        opener.submit(.discard, sectors(0, 32), data: .none, token: 2)
        #expect(sink.wait(for: 2) && driver.submitted == 6, "four discards of a page")
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("of the write cache stop the flushes, not the account of what was not flushed") func writeCache() async throws
    {
        let driver = ScriptedDriver { $0.hasWriteCache = true }
        let disk = try await registry.add(driver, plain("d0"))
        let device = disk.part0
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try device.open(.readWrite, as: tester, sink: sink))
        #expect(await device.write("queue/write_cache", "write through\n") == 0)
        #expect(device.says("queue/write_cache") == "write through\n")
        box.use { opener in
            opener.submit(.write, sectors(0, 8), flags: .fua, data: ones(8), token: 1)
            opener.submit(.flush, oneSector, data: .none, token: 2)
        }
        #expect(sink.statuses(of: 2) == [.ok] && driver.requests.map(\.operation) == [.write])
        driver.answerOne()
        #expect(sink.statuses(of: 1) == [.ok] && driver.requests.count == 1, "no flush after the write either")
        #expect(await device.write("queue/write_cache", "write back") == 0)
        box.use { $0.submit(.flush, oneSector, data: .none, token: 3) }
        #expect(driver.requests.map(\.operation) == [.write, .flush])
        driver.answerOne()
        #expect(await device.write("queue/write_cache", "none") == 0)
        box.use { $0.submit(.write, sectors(0, 8), data: ones(8), token: 4) }
        driver.answerOne()
        box.close()
        let report = await disk.remove().report
        #expect(report?.flush == .notNeeded && report?.unflushedBytes == 4096, "the truth about the device (R9)")
    }

    // MARK: The end

    @Test("one that ends its own disk is not waited for (T28)") func selfRemoval() async throws {
        let driver = HeldDriver()
        let disk = try await registry.add(driver, plain("d0"))
        #expect(await disk.part0.write("device/delete", "1\n") == 0)
        #expect(disk.lifeState == .gone, "not owing, as it would be if the deadline had to end it")
        #expect(driver.log.last == "released" && registry.disk(named: "d0") == nil)
        #expect(disk.part0.says("size") == "errno 19")
    }

    @Test("one that waits for the removal of its disk is ended by the deadline, and the report says so (T28, T71)")
    func deadlock() async throws {
        let outcome = Lock<RemovalOutcome?>(nil)
        let driver = HeldDriver()
        let disk = Lock<Disk?>(nil)
        let added = try await registry.add(
            driver,
            plain("d0") {
                $0.inAttribute = { _ in
                    // As a handler without a break of its protection would: it waits for who waits for it.
                    let done = Parker()
                    disk.withLock { $0 }?.requestRemoval(.surprise, deadline: .milliseconds(100)) { ended in
                        outcome.withLock { $0 = ended }
                        done.raise()
                    }
                    done.wait()
                    #expect(!driver.log.contains("stop"), "the driver is there for whoever is inside")
                }
            })
        disk.withLock { $0 = added }
        let device = added.part0
        let value = await onThread { device.says("size") }
        let report = outcome.withLock { $0 }?.report
        #expect(report?.deadlinePassed == true && report?.notes.first?.contains("attribute") == true)
        #expect(value == "0\n" && device.says("size") == "errno 19", "who is inside ends well; nobody comes after")
        #expect(eventually { added.lifeState == .gone } && driver.log.last == "released")
        disk.withLock { $0 = nil }
    }

    @Test("a write that waits for I/O under way ends with the disk, at the deadline of its removal") func late()
        async throws
    {
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain("d0"))
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.read, oneSector, data: ones(1), token: 1)
        let errno = Lock<Int32?>(nil)
        WorkerThread.detach(name: "test") {
            do throws(AttributeError) {
                try disk.part0.writeAttribute("queue/max_sectors_kb", "4")
            } catch {
                errno.withLock { $0 = error.errno }
            }
        }
        #expect(eventually { disk.isFrozen })
        let outcome = await disk.remove(.surprise, deadline: .milliseconds(50))
        #expect(outcome.report?.deadlinePassed == true && outcome.report?.quarantined == 1)
        driver.answerAll()
        #expect(eventually { errno.withLock { $0 } == 19 })
        opener.close()
        #expect(eventually { disk.lifeState == .gone })
    }
}

/// Runs on a thread of its own, which may wait.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        WorkerThread.detach(name: "test") { continuation.resume(returning: body()) }
    }
}
