// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("The data path") struct DataPathTests {
    @Test("checks range, alignment, rights and support before the driver sees anything") func checks() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(capacity: 64) {
            $0.logicalBlockSize = 4096
            $0.discard = .unsupported
        }
        let disk = try await registry.add(driver, plain("d"))
        let sink = CountingSink()
        let reader = try disk.part0.open(.read, as: tester, sink: sink)
        let writer = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let page = try IOBuffer(count: 4096)
        func range(_ start: UInt64, _ count: UInt64) -> SectorRange { SectorRange(start: start, count: count) }
        reader.submit(.read, range(64, 8), data: .borrowed(page.memory), token: 1)
        reader.submit(.read, range(.max, 8), data: .borrowed(page.memory), token: 2)
        reader.submit(.read, range(1, 8), data: .borrowed(page.memory), token: 3)
        reader.submit(.read, range(0, 16), data: .borrowed(page.memory), token: 4)
        reader.submit(.write, range(0, 8), data: .borrowed(page.memory), token: 5)
        writer.submit(.discard, range(0, 8), data: .none, token: 6)
        #expect(sink.statuses(of: 1) == [.outOfRange])
        #expect(sink.statuses(of: 2) == [.outOfRange])
        #expect(sink.statuses(of: 3) == [.invalid])
        #expect(sink.statuses(of: 4) == [.invalid])
        #expect(sink.statuses(of: 5) == [.readOnly])
        #expect(sink.statuses(of: 6) == [.notSupported])
        #expect(driver.submitted == 0)
        writer.submit(.write, range(56, 8), data: .borrowed(page.memory), token: 7)
        #expect(sink.statuses(of: 7) == [.ok])
        try await disk.set("ro", to: "on")
        writer.submit(.write, range(0, 8), data: .borrowed(page.memory), token: 8)
        #expect(sink.statuses(of: 8) == [.readOnly])
        reader.close()
        writer.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("fails a bio that the driver drops, and counts it against the driver (R1)") func dropped() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .drop)
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.discard, oneSector, data: .none, token: 1)
        #expect(sink.statuses(of: 1) == [.dropped])
        #expect(disk.ledger().driverFaults == 1)
        #expect(disk.ledger().failed == 1)
        opener.close()
        let report = await disk.remove().report
        #expect(report?.driverFaults == 1)
    }

    @Test("catches a token that is used twice (R1, T37)") func doubleToken() async throws {
        let registry = DiskRegistry()
        let driver = TokenDriver()
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.read, as: tester, sink: sink)
        let page = try IOBuffer(count: 512)
        opener.submit(.read, oneSector, data: .borrowed(page.memory), token: 9)
        let token = driver.token.load(ordering: .relaxed)
        Bio.fromToken(token)?.complete(.ok)
        let again = Bio.fromToken(token)
        let isStale = again == nil
        _ = consume again
        #expect(isStale)
        #expect(sink.statuses(of: 9) == [.ok])
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("hands an owned buffer back with the answer, and copies borrowed memory for a driver that keeps it")
    func memory() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(style: .async, behaviour: .hold)
        let disk = try await registry.add(driver, plain())
        let before = IOBuffer.bytesAlive.value
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let mine = try IOBuffer(count: 512)
        opener.submit(.write, oneSector, data: .borrowed(mine.memory), token: 1)
        #expect(IOBuffer.bytesAlive.value >= before + 1024, "the driver has a copy")
        driver.answerAll()
        #expect(sink.statuses(of: 1) == [.ok])
        opener.submit(.write, oneSector, data: .owned(try IOBuffer(count: 512), count: 512), token: 2)
        driver.answerAll()
        #expect(sink.statuses(of: 2) == [.ok])
        opener.close()
        _ = consume mine
        #expect(await disk.remove().word == "removed")
    }

    @Test("keeps the stack flat when each answer submits the next (F4, T68)") func flatStack() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(style: .inline), plain())
        let chain = ChainSink(length: 200_000, sectors: 1)
        let opener = try disk.part0.open(.readWrite, as: tester, depth: 4, sink: chain)
        chain.start(opener)
        #expect(chain.done.wait(until: Instant.now + .seconds(60)))
        // The address sanitizer keeps locals elsewhere, so there the address says nothing; not overflowing does.
        if !isSanitized { #expect(chain.deepest < 16 * 1024, "the stack grew by \(chain.deepest) bytes") }
        chain.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("answers beyond the depth with `again`, at once") func depth() async throws {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .hold)
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, depth: 2, sink: sink)
        for token in 1...40 { opener.submit(.discard, oneSector, data: .none, token: UInt64(token)) }
        #expect(sink.total > 0 && sink.total <= 38, "the depth is kept, and there is an end to the slack")
        #expect(sink.all.values.allSatisfy { $0 == [.again] } && sink.statuses(of: 2) == [])
        driver.answerAll()
        opener.submit(.discard, oneSector, data: .none, token: 100)
        driver.answerAll()
        #expect(sink.statuses(of: 100) == [.ok])
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("makes a write durable by a flush where the device cannot, and answers after it") func emulatedFUA()
        async throws
    {
        let registry = DiskRegistry()
        let seen = Lock<[BioOperation]>([])
        let driver = HeldDriver(behaviour: .hold) {
            $0.hasWriteCache = true
            $0.fua = .emulated
        }
        driver.inSubmit.withLock { $0 = { operation in seen.withLock { $0.append(operation) } } }
        let disk = try await registry.add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.write, oneSector, flags: .fua, data: .owned(try IOBuffer(count: 512), count: 512), token: 1)
        #expect(driver.answerOne())
        #expect(sink.total == 0, "the flush is still out")
        #expect(driver.answerOne())
        #expect(sink.statuses(of: 1) == [.ok])
        #expect(seen.withLock { $0 } == [.write, .flush])
        #expect(disk.statistics().writes.completed == 1)
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("counts and times by operation; a partition's and the disk's") func statistics() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(style: .inline), plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let page = try IOBuffer(count: 1024)
        opener.beginBatch()
        for token in UInt64(0)..<10 {
            opener.submit(
                .read, SectorRange(start: 0, count: 2), data: .borrowed(page.memory), token: UInt64(token))
        }
        opener.endBatch()
        opener.submit(.write, SectorRange(start: 0, count: 2), data: .borrowed(page.memory), token: 20)
        opener.submit(.discard, oneSector, data: .none, token: 21)
        opener.submit(.flush, oneSector, data: .none, token: 22)
        let statistics = disk.statistics()
        #expect(statistics.reads.completed == 10)
        #expect(statistics.reads.sectors == 20)
        #expect(statistics.writes.completed == 1)
        #expect(statistics.discards.completed == 1)
        #expect(statistics.flushes.completed == 1)
        #expect(statistics.inFlight == 0)
        let ledger = disk.ledger()
        #expect(ledger.accepted == 13 && ledger.ok == 13 && ledger.inFlight == 0)
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("parks I/O while frozen, refuses what may not wait, and lets it go on with the thaw (T31, G4)")
    func freeze() async throws {
        let registry = DiskRegistry()
        let disk = try await registry.add(HeldDriver(), plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        disk.freeze()
        disk.freeze()
        opener.submit(.discard, oneSector, data: .none, token: 1)
        opener.submit(.discard, oneSector, flags: .noWait, data: .none, token: 2)
        #expect(sink.total == 1 && sink.statuses(of: 2) == [.again])
        try disk.thaw()
        #expect(sink.total == 1)
        try disk.thaw()
        #expect(sink.statuses(of: 1) == [.ok])
        opener.close()
        #expect(await disk.remove().word == "removed")
    }
}

/// Keeps the token of its last bio.
private final class TokenDriver: BlockDriver, Sendable {
    let capacity: UInt64 = 8
    let token = Atomic<UInt64>(0)
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .async
        return profile
    }
    func submit(_ bio: consuming Bio) { token.store(bio.intoToken(), ordering: .relaxed) }
}
