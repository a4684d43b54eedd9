// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

/// In every build a disk closes its books at its end (R1).
@Suite("A disk's ledger") struct LedgerTests {
    @Test("is exact at the end, whatever ended its I/O: answered, failed, dropped, parked, expired and late")
    func exact() async throws {
        let registry = DiskRegistry()
        for behaviour in [HeldDriver.Behaviour.answer(.ok), .answer(.ioError), .drop, .hold] {
            let driver = HeldDriver(behaviour: behaviour) { $0.hasWriteCache = true }
            let disk = try await registry.add(driver, plain("a"))
            let sink = CountingSink()
            let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
            for token in UInt64(0)..<10 { opener.submit(.discard, oneSector, data: .none, token: token) }
            opener.submit(.writeZeroes, oneSector, flags: .fua, data: .none, token: 10)
            opener.submit(.flush, oneSector, data: .none, token: 11)
            disk.freeze()
            for token in UInt64(20)..<25 { opener.submit(.discard, oneSector, data: .none, token: token) }
            let report = try #require(await disk.remove(.surprise, deadline: .milliseconds(10)).report)
            opener.submit(.discard, oneSector, data: .none, token: 30)
            driver.answerAll()
            opener.close()
            #expect(eventually { disk.lifeState == .gone })
            let ledger = disk.ledger()
            #expect(ledger.fault == nil && ledger.refused == 6)
            #expect(ledger.accepted == 12 || ledger.accepted == 13)
            #expect(!report.notes.contains { $0.contains("ledger") })
            #expect(sink.all.values.allSatisfy { $0.count == 1 })
        }
        #expect(registry.coreFaults == 0)
    }

    @Test("tells timeouts from other failures: each is aborted or in quarantine, whoever answered it") func timeouts()
        async throws
    {
        let registry = DiskRegistry()
        let driver = HeldDriver(behaviour: .answer(.ioError)) { $0.timeout = .milliseconds(5) }
        let disk = try await registry.add(driver, plain("a"))
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.discard, oneSector, data: .none, token: 1)
        driver.set(.answer(.ok))
        opener.submit(.discard, oneSector, data: .none, token: 2)
        driver.set(.hold)
        for token in UInt64(3)...5 { opener.submit(.discard, oneSector, data: .none, token: token) }
        #expect(sink.wait(for: 5) && sink.statuses(of: 3) == [.timedOut])
        var ledger = disk.ledger()
        #expect(ledger.accepted == 5 && ledger.ok == 1 && ledger.failed == 1 && ledger.inFlight == 0)
        #expect(ledger.quarantined == 3 && ledger.aborted == 0 && ledger.timedOut == 3 && ledger.expired == 0)
        driver.answerOne()
        ledger = disk.ledger()
        #expect(ledger.quarantined == 2 && ledger.aborted == 1 && ledger.late == 1)
        #expect(ledger.accepted == ledger.ok + ledger.failed + ledger.aborted + ledger.quarantined)
        let report = try #require(await disk.remove(.surprise, deadline: .milliseconds(5)).report)
        #expect(report.quarantined == 2)
        driver.answerAll()
        opener.close()
        #expect(eventually { disk.lifeState == .gone })
        #expect(disk.ledger().fault == nil && registry.coreFaults == 0, "timed out is no fault of the books")
    }

    @Test("that does not add up is a fault of Platter, in the report and to whoever listens; never silent")
    func broken()
        async throws
    {
        let registry = DiskRegistry()
        let heard = Lock<[CoreFault]>([])
        registry.reportFaults { fault in heard.withLock { $0.append(fault) } }
        let disk = try await registry.add(HeldDriver(), plain("a") { $0.ledgerSkew = 1 })
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        opener.submit(.discard, oneSector, data: .none, token: 1)
        opener.close()
        let report = try #require(await disk.remove().report)
        let line = "2 accepted are not 1 ok + 0 failed + 0 aborted + 0 quarantined"
        #expect(report.notes.contains { $0.contains("fault of Platter") && $0.contains(line) })
        #expect(heard.withLock { $0.map(\.disk) } == ["a"] && registry.coreFaults == 1)
        #expect(heard.withLock { $0.first?.reason.contains(line) } == true)
        // One that goes after its deadline has nobody to report to but the listener.
        let driver = HeldDriver(behaviour: .hold)
        let late = try await registry.add(driver, plain("b") { $0.ledgerSkew = 1 })
        let other = try late.part0.open(.readWrite, as: tester, sink: CountingSink())
        other.submit(.discard, oneSector, data: .none, token: 1)
        #expect(await late.remove(.surprise, deadline: .milliseconds(1)).report?.deadlinePassed == true)
        #expect(registry.coreFaults == 1)
        driver.answerAll()
        other.close()
        #expect(eventually { heard.withLock { $0.count } == 2 })
    }

    @Test("names each thing that is wrong") func faults() async throws {
        let disk = try await DiskRegistry().add(HeldDriver(), plain("a"))
        let nothing = disk.ledger()
        #expect(await disk.remove().word == "removed")
        func fault(_ adjust: (inout Ledger) -> Void) -> String {
            var ledger = nothing
            adjust(&ledger)
            return ledger.fault ?? "none"
        }
        #expect(fault { _ in } == "none")
        #expect(
            fault {
                ($0.accepted, $0.ok, $0.failed, $0.aborted) = (10, 6, 1, 3)
                ($0.timedOut, $0.expired, $0.late) = (1, 2, 3)
            } == "none")
        #expect(fault { $0.accepted = 11 }.contains("11 accepted are not 0 ok"))
        #expect(
            fault { ($0.accepted, $0.aborted, $0.expired) = (2, 2, 2) }.contains("of 2 aborted 0 came late"))
        #expect(
            fault { ($0.accepted, $0.aborted, $0.late) = (2, 2, 2) }
                .contains("0 timed out and 0 expired, but 2 are aborted"))
        #expect(fault { $0.quarantined = 1 }.contains("1 are still owed"))
        #expect(fault { $0.inFlight = 3 }.contains("3 are in flight"))
    }
}
