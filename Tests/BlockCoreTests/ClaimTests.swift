// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import TestSupport
import Testing

@Suite("A claim", .serialized) struct ClaimTests {
    private let registry = DiskRegistry()

    private func add(_ driver: DoorDriver, _ name: String = "pl0") async throws -> Disk {
        try await registry.add(driver, plain(name) { $0.scansPartitions = true })
    }

    @Test("waits while another is being made, and goes on when that is taken back (T22)") func waiting() async throws {
        let disk = try await add(DoorDriver())
        let (first, second) = (CountingHolder("one"), CountingHolder("two"))
        let prepared = try await disk.part0.prepareClaim(for: first.holder, delegate: first)
        // Not for somebody who cannot wait.
        #expect(
            thrown { () throws(DiskError) in
                try disk.part0.open([.read, .exclusive], as: tester, sink: CountingSink()).close()
            } == EBUSY)
        // A plain open does not mind claims.
        try disk.part0.open(.readWrite, as: tester, sink: CountingSink()).close()
        let other = Task { try await disk.partitions[0].hold(second).close() }
        #expect(eventually { disk.claimWaiters == 1 })
        _ = consume prepared
        try await other.value
        #expect(disk.claimWaiters == 0 && disk.claimTable.whole == .free && registry.isFlat)
        #expect(await disk.remove().word == "removed")
    }

    @Test("that waited is refused when the other one is finished (T22)") func refusedAfterWaiting() async throws {
        let disk = try await add(DoorDriver())
        let (first, second) = (CountingHolder("one"), CountingHolder("two"))
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        let prepared = try await disk.part0.prepareClaim(for: first.holder, delegate: first)
        let other = Task {
            await thrown { () async throws(DiskError) in try await disk.partitions[0].hold(second).close() }
        }
        #expect(eventually { disk.claimWaiters == 1 })
        try prepared.finish(opener)
        #expect(await other.value == EBUSY)
        #expect(disk.openers.first?.holder == "one" && disk.openers.first?.mode == "rwx")
        opener.close()
        try await disk.partitions[0].hold(second).close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("that is waited for can be given up") func cancelled() async throws {
        let disk = try await add(DoorDriver())
        let (first, second) = (CountingHolder("one"), CountingHolder("two"))
        let prepared = try await disk.part0.prepareClaim(for: first.holder, delegate: first)
        let other = Task { await thrown { () async throws(DiskError) in try await disk.part0.hold(second).close() } }
        #expect(eventually { disk.claimWaiters == 1 })
        other.cancel()
        #expect(await other.value == ECANCELED)
        #expect(disk.claimWaiters == 0)
        _ = consume prepared
        try await disk.part0.hold(second).close()
        // One that was cancelled before it could wait.
        let again = try await disk.part0.prepareClaim(for: first.holder, delegate: first)
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            return await thrown { () async throws(DiskError) in try await disk.part0.hold(second).close() }
        }
        late.cancel()
        #expect(await late.value == ECANCELED)
        _ = consume again
        #expect(await disk.remove().word == "removed")
    }

    @Test("between its steps when the disk dies is worth nothing, and nobody waits for it any more (T21)")
    func death() async throws {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let (first, second) = (CountingHolder("one"), CountingHolder("two"))
        let opener = try disk.part0.open(.readWrite, as: tester, sink: CountingSink())
        let prepared = try await disk.part0.prepareClaim(for: first.holder, delegate: first)
        let other = Task {
            await thrown { () async throws(DiskError) in try await disk.partitions[0].hold(second).close() }
        }
        #expect(eventually { disk.claimWaiters == 1 })
        #expect(await disk.remove(.surprise).word == "removed")
        #expect(await other.value == ENXIO)
        let finished = finish(prepared, opener)
        #expect(finished == ENODEV)
        #expect(!disk.claimTable.isBusy && disk.claimTable.isDead && registry.isFlat)
        #expect(await thrown { () async throws(DiskError) in try await disk.part0.hold(second).close() } == ENXIO)
        opener.close()
        #expect(driver.log.count { $0 == "opened" } == driver.log.count { $0 == "closed" })
    }

    @Test("is taken back when the driver refuses the open, also while a removal waits (T14)") func refusedOpen()
        async throws
    {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let holder = CountingHolder("one")
        driver.refusal.withLock { $0 = .ioError }
        #expect(await thrown { () async throws(DiskError) in try await disk.part0.hold(holder).close() } == 5)
        #expect(!disk.claimTable.isBusy && registry.isFlat && disk.openers.isEmpty)
        // The removal begins while the driver thinks about it.
        let door = Door()
        driver.inOpened.withLock { $0 = { door.pass() } }
        let opening = OnThread {
            thrown { () throws(DiskError) in
                try disk.part0.openBlocking(
                    .readWrite, as: tester, for: holder.holder, sink: CountingSink(), delegate: holder
                )
                .close()
            }
        }
        #expect(door.isReached())
        let removal = BegunRemoval(disk, .surprise)
        #expect(eventually { disk.claimTable.isDead })
        door.open()
        #expect(opening.end() == 5)
        #expect(removal.end()?.word == "removed")
        #expect(!disk.claimTable.isBusy && registry.isFlat)
        #expect(!driver.log.contains("closed"), "what was never opened is not closed")
    }

    @Test("is given back before the close: the next one does not find it in the way (T23)") func yielding() async throws
    {
        let registry = DiskRegistry(allowsWritingToMounted: false)
        let disk = try await registry.add(DoorDriver(), plain("pl0"))
        let (first, second) = (CountingHolder("one"), CountingHolder("two"))
        for _ in 0..<1000 {
            let opener = try await disk.part0.hold(first, [.readWrite, .restrictWrites])
            opener.yieldClaim()
            // Another holder, another writer; the close comes later, and on another thread.
            let other = try await disk.part0.hold(second, [.readWrite, .restrictWrites])
            other.yieldClaim()
            try disk.part0.open(.readWrite, as: tester, sink: CountingSink()).close()
            #expect(disk.openers.allSatisfy { $0.holder == nil && $0.mode == "rw" })
            other.close()
            opener.close()
        }
        #expect(disk.claimTable.whole == .free && registry.isFlat)
        #expect(await disk.remove().word == "removed")
    }

    @Test("of one holder nests, and what it holds tells it of a death once") func nesting() async throws {
        let disk = try await add(DoorDriver())
        let holder = CountingHolder("one")
        let one = try await disk.partitions[0].hold(holder)
        let two = try await disk.partitions[0].hold(holder)
        let three = try await disk.partitions[1].hold(holder)
        let other = CountingHolder("other")
        let busy = await thrown { () async throws(DiskError) in
            try await disk.partitions[0].open(
                .read, as: tester, for: holder.holder, sink: CountingSink(), delegate: other
            ).close()
        }
        #expect(busy == EBUSY, "the same holder with another delegate")
        #expect(disk.uppers.map(\.name) == ["one"] && disk.partitions[0].uppers.count == 1 && disk.part0.uppers.isEmpty)
        two.close()
        #expect(
            await thrown { () async throws(DiskError) in try await disk.partitions[0].hold(other).close() } == EBUSY)
        let four = try await disk.partitions[0].hold(holder)
        #expect(await disk.remove(.surprise).word == "removed")
        #expect(holder.log.sorted() == ["pl0p1 died", "pl0p2 died"])
        #expect(!registry.isFlat, "links end with the handles, after the removal")
        one.close()
        three.close()
        four.close()
        #expect(registry.isFlat)
    }

    @Test("keeps writers off where writing to what is held is not allowed") func restricting() async throws {
        func write(_ device: BlockDevice) -> Int32 {
            thrown { () throws(DiskError) in try device.open(.readWrite, as: tester, sink: CountingSink()).close() }
        }
        for isAllowed in [true, false] {
            let registry = DiskRegistry(allowsWritingToMounted: isAllowed)
            let disk = try await registry.add(DoorDriver(), plain("pl0") { $0.scansPartitions = true })
            let holder = CountingHolder("mount")
            let part = disk.partitions[0]
            #expect(
                thrown { () throws(DiskError) in
                    try part.open([.read, .restrictWrites], as: tester, sink: CountingSink()).close()
                } == EINVAL, "who keeps others off must hold")
            let opener = try await part.hold(holder, [.readWrite, .restrictWrites])
            #expect(write(part) == (isAllowed ? 0 : EBUSY))
            #expect(write(disk.partitions[1]) == 0)
            try part.open(.read, as: tester, sink: CountingSink()).close()
            opener.close()
            #expect(write(part) == 0)
            let writer = try part.open(.readWrite, as: tester, sink: CountingSink())
            let held = await thrown { () async throws(DiskError) in
                try await part.hold(holder, [.read, .restrictWrites]).close()
            }
            #expect(held == (isAllowed ? 0 : EBUSY))
            #expect(!disk.claimTable.isBusy && disk.claimTable.whole == .free)
            writer.close()
            #expect(await disk.remove().word == "removed")
        }
    }

    @Test("names its holder to a removal, and cannot close a circle") func holders() async throws {
        let lower = try await add(DoorDriver(), "low")
        let upper = try await add(DoorDriver(), "up")
        let delegate = CountingHolder("unused")
        let opener = try await lower.part0.open(
            .readWrite, as: tester, for: upper.asHolder, sink: CountingSink(), delegate: delegate)
        #expect(lower.uppers.map(\.name) == ["up"] && upper.lowers.map(\.name) == ["low"])
        #expect(lower.uppers.first?.disk === upper)
        let report = try #require(await lower.remove(.safe).report)
        #expect(report.openers.map(\.holder) == ["up"])
        let circle = await thrown { () async throws(DiskError) in
            try await upper.part0.open(.read, as: tester, for: lower.asHolder, sink: CountingSink(), delegate: delegate)
                .close()
        }
        #expect(circle == EINVAL)
        let itself = await thrown { () async throws(DiskError) in
            try await upper.partitions[0].open(
                .read, as: tester, for: upper.asHolder, sink: CountingSink(), delegate: delegate
            ).close()
        }
        #expect(itself == EINVAL)
        opener.close()
        #expect(await lower.remove(.safe).word == "removed")
        #expect(await upper.remove(.safe).word == "removed")
        #expect(registry.isFlat && registry.disksAlive.value <= 2)
    }

    @Test("links to no disk that dies, and its link ends when that is long gone (T66)") func dyingLower() async throws {
        let driver = DoorDriver()
        let disk = try await add(driver)
        let holder = CountingHolder("up")
        let door = Door()
        driver.inAbort.withLock { $0 = { door.pass() } }
        let opener = try await disk.part0.hold(holder)
        let plainOpener = try disk.part0.open(.read, as: tester, sink: CountingSink())
        opener.yieldClaim()
        let prepared = try await disk.part0.prepareClaim(for: holder.holder, delegate: holder)
        try prepared.finish(plainOpener)
        let removal = BegunRemoval(disk, .surprise)
        #expect(door.isReached())
        // Dying, not dead yet: nobody links to it any more, and the link there is stays.
        #expect(await thrown { () async throws(DiskError) in try await disk.part0.hold(holder).close() } == ENXIO)
        #expect(disk.uppers.map(\.name) == ["up"])
        door.open()
        #expect(removal.end()?.word == "removed")
        #expect(!registry.isFlat)
        plainOpener.close()
        #expect(registry.isFlat)
        opener.close()
    }

    @Test("hears of freezes and thaws in their order, each once") func frozen() async throws {
        let disk = try await add(DoorDriver())
        let holder = CountingHolder("up")
        let whole = try await disk.part0.hold(holder)
        let again = try await disk.part0.hold(holder)
        disk.freeze()
        disk.freeze()
        #expect(holder.log == ["pl0 frozen"])
        try disk.thaw()
        #expect(holder.log == ["pl0 frozen"])
        try disk.thaw()
        #expect(holder.log == ["pl0 frozen", "pl0 thawed"])
        try await disk.freeze(deadline: .seconds(30))
        try disk.thaw()
        let threads = (0..<4).map { _ in
            OnThread {
                for _ in 0..<500 {
                    disk.freeze()
                    try? disk.thaw()
                }
            }
        }
        for thread in threads { #expect(thread.end() != nil) }
        #expect(eventually { holder.log.count.isMultiple(of: 2) })
        let log = holder.log
        #expect(log.enumerated().allSatisfy { $1 == ($0.isMultiple(of: 2) ? "pl0 frozen" : "pl0 thawed") })
        whole.close()
        again.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("ends inside the call that tells of the death (T67)") func closeInDied() async throws {
        let disk = try await add(DoorDriver())
        let holder = CountingHolder("up")
        let handles = HandleBox()
        handles.put(try await disk.part0.hold(holder))
        holder.inDied.withLock { $0 = { _ in handles.close() } }
        #expect(await disk.remove(.surprise).word == "removed")
        #expect(holder.log == ["pl0 died"] && handles.isEmpty && registry.isFlat && disk.openers.isEmpty)
    }
}

private func finish(_ claim: consuming PreparedClaim, _ opener: borrowing Opener) -> Int32 {
    do throws(DiskError) {
        try claim.finish(opener)
        return 0
    } catch {
        return error.errno
    }
}

/// A handle that anybody may close.
final class HandleBox: Sendable {
    private struct Content: ~Copyable { var opener: Opener? }
    private let content = Lock(Content(opener: nil))
    func put(_ opener: consuming Opener) {
        var opener: Opener? = consume opener
        content.withLock { $0.opener = opener.take() }
    }
    func close() {
        let opener = content.withLock { $0.opener.take() }
        _ = consume opener
    }
    var isEmpty: Bool { content.withLock { $0.opener == nil } }
    /// Uses it while nobody closes it; only for what calls nobody back who wants the box.
    func use(_ body: (borrowing Opener) -> Void) {
        let opener = content.withLock { $0.opener.take() }
        guard let opener else { return }
        body(opener)
        put(opener)
    }
}
