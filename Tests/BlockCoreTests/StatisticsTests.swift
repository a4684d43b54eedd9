// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

@Suite("Statistics") struct StatisticsTests {
    private let registry = DiskRegistry()

    private func fields(_ device: BlockDevice) -> [UInt64] { device.statistics().fields }

    @Test("are seventeen fields in columns of eight, and a line of diskstats") func format() async throws {
        let disk = try await registry.add(HeldDriver(capacity: 1 << 40), plain("d0"))
        let zeroes = Array(repeating: "       0", count: 17).joined(separator: " ") + "\n"
        #expect(disk.part0.says("stat") == zeroes && disk.part0.says("inflight") == "       0        0\n")
        var statistics = DiskStatistics.none
        statistics.reads.completed = 123_456_789
        statistics.reads.sectors = 1 << 33
        statistics.reads.nanoseconds = 1_999_999
        statistics.writes.completed = 1
        statistics.writes.sectors = 2
        statistics.writes.nanoseconds = ((1 << 32) + 7) * 1_000_000
        statistics.discards.completed = 3
        statistics.discards.sectors = 4
        statistics.discards.nanoseconds = 5_000_000
        statistics.flushCommands.completed = 6
        statistics.flushCommands.nanoseconds = 7_000_000
        statistics.startedReads = 123_456_791
        statistics.startedOthers = 5
        statistics.busyNanoseconds = 8_999_999
        let expected: [UInt64] = [123_456_789, 0, 1 << 33, 1, 1, 0, 2, 7, 3, 8, 20, 3, 0, 4, 5, 6, 7]
        #expect(statistics.fields == expected)
        #expect(
            registry.diskstatsText()
                == " 259       \(disk.number.minor) d0 " + Array(repeating: "0", count: 17).joined(separator: " ")
                + "\n")
        #expect(await disk.remove().word == "removed")
    }

    @Test("list disks in the order of their registration, as /proc does") func lists() async throws {
        #expect(registry.diskstatsText().isEmpty && registry.partitionsText().isEmpty)
        let major = try registry.registerMajor(7, name: "loop")
        _ = try await registry.add(
            HeldDriver(capacity: 4097),
            plain("z") {
                $0.major = major
                $0.minors = 4
            })
        let second = try await registry.add(HeldDriver(), plain("a"))
        _ = try second.addPartition(number: 2, start: 8, size: 17)
        _ = try await registry.add(HeldDriver(capacity: 0), plain("empty"))
        _ = try await registry.add(HeldDriver(), plain("h") { $0.isHidden = true })
        #expect(
            registry.partitionsText() == """
                major minor  #blocks  name

                   7        0       2048 z
                 259        0       1024 a
                 259        1          8 a2

                """)
        let names = registry.diskstatsText().split(separator: "\n").map { $0.split(separator: " ")[2] }
        #expect(names == ["z", "a", "a2", "empty", "h"], "empty and hidden ones, too")
        #expect(registry.devicesText() == "Character devices:\n\nBlock devices:\n  7 loop\n259 blkext\n")
        for disk in registry.disks(hidden: true) { #expect(await disk.remove().word == "removed") }
    }

    @Test("count I/O on the partition it was for and on the disk, errors, too; flushes are the commands of the driver")
    func attribution() async throws {
        let driver = ScriptedDriver { $0.hasWriteCache = true }
        let disk = try await registry.add(driver, plain("d0"))
        let part = try disk.addPartition(number: 1, start: 64, size: 128)
        let sink = CountingSink()
        let (whole, half) = (OpenerBox(), OpenerBox())
        whole.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        half.open(try part.open(.readWrite, as: tester, sink: sink))
        whole.use { $0.submit(.read, sectors(0, 8), data: ones(8), token: 1) }
        half.use { opener in
            opener.submit(.read, sectors(0, 16), data: ones(16), token: 2)
            opener.submit(.write, sectors(0, 8), data: ones(8), token: 3)
            opener.submit(.discard, sectors(0, 32), data: .none, token: 4)
            opener.submit(.writeZeroes, sectors(0, 4), data: .none, token: 5)
        }
        #expect(disk.part0.says("inflight") == "       2        3\n" && fields(disk.part0)[8] == 5)
        #expect(part.says("inflight") == "       1        3\n" && fields(part)[8] == 4)
        driver.answerOne()
        driver.answerOne(.ioError)
        while driver.answerOne() {}
        whole.use { opener in for token in UInt64(6)...8 { opener.submit(.flush, oneSector, data: .none, token: token) }
        }
        let longEnough = Instant.now + .milliseconds(2)
        #expect(eventually { Instant.now >= longEnough })
        while driver.answerOne() {}
        #expect(sink.wait(for: 8) && sink.statuses(of: 2) == [.ioError])
        let (all, mine) = (fields(disk.part0), fields(part))
        #expect([all[0], all[2], all[4], all[6], all[8], all[11], all[13]] == [2, 24, 2, 12, 0, 1, 32])
        #expect([mine[0], mine[2], mine[4], mine[6], mine[8], mine[11], mine[13]] == [1, 16, 2, 12, 0, 1, 32])
        #expect(all[15] == 2 && mine[15] == 0, "the first went alone, the others shared one; never of a partition")
        #expect(all[16] >= 2 && mine[16] == 0 && disk.statistics().flushes.nanoseconds >= 3 * 2_000_000, "their time")
        #expect(disk.statistics().flushes.completed == 3 && disk.errorCounts == [.ioError: 1])
        #expect([all[1], all[5], all[12]] == [0, 0, 0], "nothing is merged")
        whole.close()
        half.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("toggled amid I/O count both ends of one or none, and the books have all of it (T74)") func toggled()
        async throws
    {
        let driver = HeldDriver(behaviour: .hold) { $0.hasWriteCache = true }
        let disk = try await registry.add(driver, plain("d0"))
        let device = disk.part0
        let part = try disk.addPartition(number: 1, start: 0, size: 1024)
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try part.open(.readWrite, as: tester, sink: sink))
        box.use { $0.submit(.read, oneSector, data: ones(1), token: 1) }
        #expect(await device.write("queue/iostats", "0\n") == 0 && device.says("queue/iostats") == "0\n")
        box.use { opener in
            opener.submit(.read, oneSector, data: ones(1), token: 2)
            opener.submit(.write, sectors(0, 8), data: ones(8), token: 3)
        }
        #expect(fields(device)[8] == 1 && fields(part)[8] == 1 && device.says("inflight") == "       1        0\n")
        #expect(await device.write("queue/iostats", "1") == 0)
        box.use { $0.submit(.write, sectors(0, 4), data: ones(4), token: 4) }
        #expect(fields(device)[8] == 2 && disk.ledger().inFlight == 4)
        driver.answerAll()
        #expect(sink.wait(for: 4))
        for fields in [fields(device), fields(part)] {
            #expect(fields[8] == 0, "balanced")
            #expect([fields[0], fields[2], fields[4], fields[6]] == [1, 1, 1, 4])
        }
        let ledger = disk.ledger()
        #expect(ledger.accepted == 4 && ledger.ok == 4 && ledger.inFlight == 0)
        box.close()
        driver.set(.answer(.ok))
        let report = await disk.remove().report
        #expect(report?.unflushedBytes == 0 && report?.flush == .done, "what was left out was written all the same")
    }

    @Test("that leave out all that was written leave out none of what a removal must flush (R9)") func leftOut()
        async throws
    {
        for mode in [RemovalMode.safe, .surprise] {
            let driver = ScriptedDriver(.answer(.ok)) { $0.hasWriteCache = true }
            let disk = try await registry.add(driver, plain("d0"))
            #expect(await disk.part0.write("queue/iostats", "0") == 0)
            let sink = CountingSink()
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            opener.submit(.write, sectors(0, 8), data: ones(8), token: 1)
            #expect(sink.wait(for: 1) && fields(disk.part0)[4] == 0)
            opener.close()
            let report = await disk.remove(mode).report
            #expect(report?.flush == (mode == .safe ? .done : .skipped))
            #expect(report?.unflushedBytes == (mode == .safe ? 0 : 4096))
            #expect(driver.requests.map(\.operation) == (mode == .safe ? [.write, .flush] : [.write]))
        }
    }

    @Test("busy is the time with something under way, however much overlaps, and never more than has passed")
    func busy() async throws {
        let driver = HeldDriver(behaviour: .hold)
        let began = Instant.now
        let disk = try await registry.add(driver, plain("d0"))
        let part = try disk.addPartition(number: 1, start: 0, size: 1024)
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try part.open(.readWrite, as: tester, sink: sink))
        let idleUntil = Instant.now + .milliseconds(20)
        #expect(eventually { Instant.now >= idleUntil })
        let from = Instant.now
        box.use { opener in for token in UInt64(0)..<64 { opener.submit(.read, oneSector, data: ones(1), token: token) }
        }
        let until = Instant.now + .milliseconds(40)
        #expect(eventually { Instant.now >= until })
        let during = disk.statistics().busyNanoseconds
        driver.answerAll()
        let to = Instant.now
        for device in [disk.part0, part] {
            let busy = Duration.nanoseconds(Int64(device.statistics().busyNanoseconds))
            let spent = device.statistics().reads.nanoseconds
            #expect(spent >= 64 * 38_000_000 && spent == disk.statistics().reads.nanoseconds, "each in full")
            #expect(busy >= .milliseconds(38) && busy <= to - from + .milliseconds(3), "\(device.name) \(busy)")
        }
        #expect(during > 30_000_000, "it moves while something is under way")
        let after = disk.statistics().busyNanoseconds
        let idle = Instant.now + .milliseconds(10)
        #expect(eventually { Instant.now >= idle })
        #expect(disk.statistics().busyNanoseconds == after && after < (Instant.now - began).nanoseconds)
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    // MARK: Latencies

    @Test("buckets are in order, without gaps, and at most a quarter wide") func buckets() {
        for bucket in 0..<LatencyCells.buckets {
            let (low, next) = (LatencyCells.lowerBound(of: bucket), LatencyCells.lowerBound(of: bucket + 1))
            #expect(LatencyCells.bucket(low) == bucket && LatencyCells.bucket(next - 1) == bucket)
            if bucket >= 4 { #expect((next - low) * 4 <= low) }
        }
        #expect(LatencyCells.bucket(.max) == LatencyCells.buckets - 1 && LatencyCells.bucket(0) == 0)
    }

    @Test("percentiles come from all threads, and a page starts at zero with its next owner") func percentiles()
        async throws
    {
        let baseline = LatencyCells.inUse
        let cells = LatencyCells()
        for value in 1...1000 { cells.record(UInt64(value) * 1000, group: 1) }
        await onThread { for value in 1001...2000 { cells.record(UInt64(value) * 1000, group: 1) } }
        let (counts, longest) = cells.totals(group: 1)
        #expect(counts.reduce(0, +) == 2000 && longest == 2_000_000 && cells.totals(group: 0).longest == 0)
        let histogram = LatencyHistogram(counts: counts, longest: longest)
        for (part, exact) in [(0.5, 1_000_000.0), (0.9, 1_800_000), (0.99, 1_980_000), (0.999, 1_998_000)] {
            let value = Double(histogram.percentile(part) ?? 0)
            #expect(abs(value - exact) / exact < 0.06, "\(part): \(value)")
        }
        #expect(histogram.percentile(1) == 2_000_000 && histogram.buckets.reduce(0) { $0 + $1.count } == 2000)
        cells.giveBack()
        let next = LatencyCells()
        #expect(next.totals(group: 1).longest == 0 && next.totals(group: 1).buckets.allSatisfy { $0 == 0 })
        next.giveBack()
        // Of the process, where a disk of another test may just have come to its end: a hundred are ours alone.
        for _ in 0..<100 { LatencyCells().giveBack() }
        #expect(LatencyCells.inUse < baseline + 100)
    }

    @Test("of a disk are by operation, inside and outside of batches") func latencies() async throws {
        let disk = try await registry.add(HeldDriver(style: .inline) { $0.hasWriteCache = true }, plain("d0"))
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        await onThread {
            box.use { opener in
                opener.beginBatch()
                for token in UInt64(0)..<5 { opener.submit(.read, oneSector, data: ones(1), token: token) }
                opener.endBatch()
                for token in UInt64(5)..<8 { opener.submit(.write, oneSector, data: ones(1), token: token) }
                opener.submit(.discard, oneSector, data: .none, token: 8)
                opener.submit(.flush, oneSector, data: .none, token: 9)
            }
        }
        #expect(sink.wait(for: 10))
        #expect(LatencyHistogram.Operation.allCases.map { disk.latencies(of: $0).count } == [5, 3, 1, 1])
        for operation in LatencyHistogram.Operation.allCases {
            let histogram = disk.latencies(of: operation)
            #expect(histogram.percentile(0.5) ?? 0 <= histogram.longest && histogram.longest > 0)
        }
        box.close()
        #expect(await disk.remove().word == "removed")
    }
}
