// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Glibc
import Synchronization
import TestSupport
import Testing

/// Keeps a number of I/Os under way on a disk until the disk is gone or it is told to stop, and counts what comes back.
private final class Load: BioSink {
    private struct State: ~Copyable {
        var opener: Opener?
        var submitted = 0
        var statuses: [BlockStatus: Int] = [:]
        var twice = 0
        var isOut: [Bool]
        /// Answered, and to be submitted again.
        var due: [Int]
        var isEnding = false
    }
    private let state: Lock<State>
    private let bell = Bell()
    private let isOver = Parker()
    private let sectors: UInt64

    /// A thread of its own submits; an answer only says which is to be next.
    static func start(_ disk: Disk, depth: Int) throws -> Load {
        let load = Load(disk, depth: depth)
        load.put(try disk.part0.open(.readWrite, as: OpenerIdentity(kind: "load"), depth: depth, sink: load))
        WorkerThread.detach(name: "load") { load.run() }
        return load
    }

    private init(_ disk: Disk, depth: Int) {
        sectors = disk.capacity
        state = Lock(State(isOut: [Bool](repeating: false, count: depth), due: Array(0..<depth)))
    }

    private func put(_ opener: consuming Opener) {
        var opener: Opener? = consume opener
        state.withLock { $0.opener = opener.take() }
    }

    private func run() {
        guard let opener = state.withLock({ $0.opener.take() }) else { return }
        while true {
            let heard = bell.value
            let (tokens, isOver) = state.withLock { state in
                defer { state.due = [] }
                return (state.isEnding ? [] : state.due, state.isEnding && !state.isOut.contains(true))
            }
            if isOver { break }
            if tokens.isEmpty {
                bell.wait(after: heard)
                continue
            }
            opener.beginBatch()
            for token in tokens { submit(opener, token) }
            opener.endBatch()
        }
        opener.close()
        isOver.raise()
    }

    private func submit(_ opener: borrowing Opener, _ token: Int) {
        let number = state.withLock { state in
            state.isOut[token] = true
            state.submitted += 1
            return state.submitted
        }
        let range = SectorRange(start: UInt64(number * 7) % (sectors - 8), count: 8)
        let bytes = 8 * sectorSize
        switch number % 5 {
        case 0: opener.submit(.flush, range, data: .none, token: UInt64(token))
        case 1: opener.submit(.discard, range, data: .none, token: UInt64(token))
        default:
            guard let buffer = try? IOBuffer(count: bytes) else { return }
            buffer.memory.zero()
            opener.submit(
                number % 5 == 2 ? .write : .read, range, data: .owned(buffer, count: bytes), token: UInt64(token))
        }
    }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        state.withLock { state in
            if !state.isOut[Int(token)] { state.twice += 1 }
            state.isOut[Int(token)] = false
            state.statuses[status, default: 0] += 1
            if status != .gone { state.due.append(Int(token)) }
        }
        bell.ringAll()
    }

    var isAllGone: Bool { state.withLock { $0.statuses[.gone] == $0.isOut.count } }
    func count(_ status: BlockStatus) -> Int { state.withLock { $0.statuses[status] ?? 0 } }

    /// Submits no more, waits for what is out, and closes. What was answered twice, and not at all: both must be 0.
    func end() -> (twice: Int, never: Int) {
        state.withLock { $0.isEnding = true }
        bell.ringAll()
        let isOver = isOver.wait(until: Instant.now + .seconds(60))
        return state.withLock { ($0.twice, isOver ? 0 : max($0.isOut.count { $0 }, 1)) }
    }
}

@Suite("A stack three deep", .serialized) struct StackTests {
    /// Bottom to top: `d0`, `l1`, `s2`, `l3`.
    private func build(
        _ disks: TestRegistry, _ driver: BottomDriver, orphaned: String, delay: String = "0ms"
    ) async throws -> [Disk] {
        var options = DiskOptions()
        options.name = "d0"
        options.scansPartitions = false
        let bottom = try await disks.registry.add(driver, options)
        let l1 = try await disks.add(
            "linear", "name=l1", "lower=d0,size=1M", "lower=d0,offset=1M", "orphaned=\(orphaned)")
        let s2 = try await disks.add("delay", "name=s2", "lower=l1", "write=\(delay)", "orphaned=\(orphaned)")
        let l3 = try await disks.add(
            "linear", "name=l3", "lower=s2,offset=4k,size=512k", "lower=s2,offset=1020k", "orphaned=\(orphaned)")
        return [bottom, l1, s2, l3]
    }

    private static let orders = permutations([0, 1, 2, 3])

    private static func permutations(_ items: [Int]) -> [[Int]] {
        guard items.count > 1 else { return [items] }
        return items.flatMap { first in permutations(items.filter { $0 != first }).map { [first] + $0 } }
    }

    @Test("is removed in every order under load: each I/O is answered once, and nothing is left (T65, T69)")
    func everyOrder() async throws {
        let before = Baseline.now
        for order in Self.orders {
            let disks = TestRegistry()
            let driver = BottomDriver(capacity: 8192) { $0.hasWriteCache = true }
            let stack = try await build(disks, driver, orphaned: "stay", delay: "1ms")
            let loads = try [Load.start(stack[3], depth: 32), Load.start(stack[3], depth: 7)]
            #expect(eventually { loads.allSatisfy { $0.count(.ok) > 50 } })
            for index in order {
                let outcome = await stack[index].remove(.surprise, deadline: .seconds(30))
                #expect(outcome.isRemoved, "\(stack[index].name) in \(order): \(outcome)")
                #expect(disks.registry.disk(named: stack[index].name) == nil)
            }
            for load in loads {
                // Whoever goes on hears that it is gone, each of its I/Os.
                #expect(eventually { load.isAllGone })
                let (twice, never) = load.end()
                #expect(twice == 0 && never == 0, "\(order)")
            }
            #expect(disks.registry.isFlat && disks.registry.namesInUse == 0 && disks.registry.quarantine().isEmpty)
            for disk in stack {
                let ledger = disk.ledger()
                #expect(
                    ledger.accepted == ledger.ok + ledger.failed && ledger.inFlight == 0, "\(disk.name) in \(order)")
            }
        }
        #expect(eventually { before.isBack }, "\(Baseline.now) after \(before)")
    }

    @Test("whose bottom is pulled goes with it, from below to above, each told once (R6)") func chainOfDeaths()
        async throws
    {
        let before = Baseline.now
        for _ in 0..<50 {
            let disks = TestRegistry()
            let stack = try await build(disks, BottomDriver(capacity: 8192), orphaned: "remove")
            let offline = Lock<[String]>([])
            let observer = disks.registry.events.observe { delivery in
                if case .event(let event) = delivery, event.action == .offline {
                    offline.withLock { $0.append(event.device) }
                }
            }
            let load = try Load.start(stack[3], depth: 32)
            #expect(eventually { load.count(.ok) > 50 })
            #expect(await stack[0].remove(.surprise).isRemoved)
            #expect(eventually { stack.allSatisfy { $0.lifeState == .gone } })
            let (twice, never) = load.end()
            #expect(twice == 0 && never == 0)
            #expect(eventually { offline.withLock { $0.count } == 4 })
            #expect(offline.withLock { $0 } == ["d0", "l1", "s2", "l3"])
            observer.cancel()
            #expect(disks.registry.isFlat && disks.registry.namesInUse == 0)
        }
        #expect(eventually { before.isBack }, "\(Baseline.now) after \(before)")
    }

    @Test("whose bottom holds everything: counted at each level, and each order ends as it must (T65, T69, R4)")
    func heldBelow() async throws {
        let before = Baseline.now
        for order in Self.orders {
            let disks = TestRegistry()
            let driver = BottomDriver(capacity: 8192, holds: true)
            let stack = try await build(disks, driver, orphaned: "stay")
            let client = try DiskClient(stack[3])
            // Within one window of each level: one piece for each.
            let tokens = try (0..<100).map { try client.send(.writeZeroes, UInt64($0), 1) }
            #expect(driver.held == 100)
            for disk in stack { #expect(disk.ledger().inFlight == 100, "\(disk.name)") }
            var bottomIsCut = false
            for index in order {
                bottomIsCut = bottomIsCut || index == 0
                let inFlight = stack[index].ledger().inFlight
                // What stands above a bottom that holds everything has nobody to answer it: its deadline does, and with
                // that everything above has its answers.
                let isOwed = !bottomIsCut && inFlight > 0
                #expect(inFlight == 0 || inFlight == 100)
                let outcome = await stack[index].remove(.surprise, deadline: isOwed ? .milliseconds(5) : .seconds(30))
                let report = try #require(outcome.report)
                #expect(report.deadlinePassed == isOwed, "\(stack[index].name) in \(order)")
                #expect(report.quarantined == (isOwed ? 100 : 0))
            }
            for token in tokens { _ = client.answers.wait(token) }
            #expect(client.answers.isOnceEach && client.answers.count == 100)
            #expect(eventually { stack.allSatisfy { $0.lifeState == .gone } }, "\(order)")
            #expect(eventually { disks.registry.isFlat && disks.registry.quarantine().isEmpty })
        }
        #expect(eventually { before.isBack }, "\(Baseline.now) after \(before)")
    }

    @Test("frozen in the middle lets no removal above or below hang (T46, R3)") func frozenMiddle() async throws {
        for order in [[3, 2, 1, 0], [0, 1, 2, 3], [1, 3, 0, 2]] {
            let disks = TestRegistry()
            let stack = try await build(disks, BottomDriver(capacity: 8192), orphaned: "stay")
            let client = try DiskClient(stack[3])
            stack[1].freeze()
            let tokens = try (0..<50).map { try client.send(.discard, UInt64($0), 1) }
            #expect(client.answers.count == 0)
            for index in order {
                #expect(await stack[index].remove(.surprise, deadline: .milliseconds(20)).report != nil)
            }
            // The middle that dies is to the top a part that fails; only its own death makes it gone.
            let expected: BlockStatus = order[0] == 3 ? .gone : .ioError
            for token in tokens { #expect(client.answers.wait(token).status == expected, "\(order)") }
            #expect(eventually { stack.allSatisfy { $0.lifeState == .gone } })
            #expect(client.answers.isOnceEach)
            #expect(throws: Never.self) { try stack[1].thaw() }
        }
    }

    @Test(
        "ten deep keeps the thread's stack flat, however long the chain (T68)",
        .disabled(
            if: getenv("PLATTER_SANITIZER").map { String(cString: $0) } == "address",
            "the address sanitizer keeps locals elsewhere than on the stack"))
    func tenDeep() async throws {
        let disks = TestRegistry()
        _ = try await disks.add("ram", "name=r0", "size=1M")
        for level in 1...10 { _ = try await disks.add("linear", "name=r\(level)", "lower=r\(level - 1)") }
        let top = try #require(disks.registry.disk(named: "r10"))
        let depths = try [100, 10_000].map { length in
            let chain = ChainSink(length: length, sectors: 2000)
            chain.start(try top.part0.open(.readWrite, as: OpenerIdentity(kind: "test"), depth: 4, sink: chain))
            #expect(chain.done.wait(until: Instant.now + .seconds(60)))
            chain.close()
            return chain.deepest
        }
        #expect(depths[1] <= depths[0] + 1024, "\(depths): it grows with the chain")
        // Ten answers one inside the other, and no more.
        #expect(depths[1] < 64 * 1024, "\(depths)")
        for level in (0...10).reversed() {
            let disk = try #require(disks.registry.disk(named: "r\(level)"))
            #expect(await disk.remove(.safe).isRemoved)
        }
    }
}
