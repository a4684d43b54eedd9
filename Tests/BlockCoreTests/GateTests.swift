// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import Synchronization
import TestSupport
import Testing

/// The three gates behind one face: the striped one, the locked one, and the single word that they are held against.
enum AnyGate: Sendable {
    case striped(UsageCells)
    case single(SingleWordGate)

    enum Kind: CaseIterable, Sendable { case asymmetric, locked, singleWord }

    init?(_ kind: Kind) {
        switch kind {
        case .asymmetric, .locked:
            guard let cells = UsageCells(kind: kind == .locked ? .locked : .asymmetric) else { return nil }
            cells.setState(0)
            self = .striped(cells)
        case .singleWord: self = .single(SingleWordGate())
        }
    }

    func enter(_ leases: UInt64) -> Bool {
        switch self {
        case .striped(let cells):
            if cells.enter(leases) { return true }
            leave(leases)
            return false
        case .single(let gate): return gate.enter(leases)
        }
    }

    func leave(_ leases: UInt64) {
        switch self {
        case .striped(let cells): if !cells.leave(leases) { cells.wake() }
        case .single(let gate): gate.leave(leases)
        }
    }

    func setShut(_ shut: Bool) {
        switch self {
        case .striped(let cells):
            cells.setState(shut ? 1 : 0)
            if shut { cells.heavyFence() }
        case .single(let gate): gate.setShut(shut)
        }
    }

    var isBalanced: Bool {
        switch self {
        case .striped(let cells): cells.isBalanced
        case .single(let gate): gate.isBalanced
        }
    }

    func giveBack() { if case .striped(let cells) = self { cells.giveBack() } }
}

@Suite("A gate") struct GateTests {
    @Test("lets in while open, counts, and is balanced again after (G1)", arguments: AnyGate.Kind.allCases)
    func counts(_ kind: AnyGate.Kind) throws {
        let gate = try #require(AnyGate(kind))
        #expect(gate.isBalanced)
        #expect(gate.enter(2))
        #expect(!gate.isBalanced)
        gate.leave(1)
        #expect(!gate.isBalanced)
        gate.leave(1)
        #expect(gate.isBalanced)
        gate.giveBack()
    }

    @Test("that is shut admits nobody, and opens again", arguments: AnyGate.Kind.allCases)
    func shut(_ kind: AnyGate.Kind) throws {
        let gate = try #require(AnyGate(kind))
        #expect(gate.enter(1))
        gate.setShut(true)
        #expect(!gate.enter(1))
        #expect(!gate.isBalanced, "the one who was inside still counts")
        gate.leave(1)
        #expect(gate.isBalanced)
        gate.setShut(false)
        #expect(gate.enter(1))
        gate.leave(1)
        gate.giveBack()
    }

    @Test("that has drained has nobody inside, whatever the threads do (R2, G1)", arguments: AnyGate.Kind.allCases)
    func storm(_ kind: AnyGate.Kind) throws {
        let gate = try #require(AnyGate(kind))
        let rounds = isSanitized ? 60 : 300
        let threads = 2
        // What the gate guards: freed (set to 0) after the drain, and never seen freed from inside.
        let guarded = Atomic<Int>(1)
        let violations = Counter()
        let entries = Counter()
        let ends = Atomic<Bool>(false)
        let workers = try (0..<threads).map { _ in
            try WorkerThread.start(name: "storm") {
                while !ends.load(ordering: .relaxed) {
                    guard gate.enter(1) else {
                        yieldThread()
                        continue
                    }
                    if guarded.load(ordering: .relaxed) == 0 { violations.add() }
                    entries.add()
                    gate.leave(1)
                }
            }
        }
        for _ in 0..<rounds {
            // Somebody has been in since the last time: the rounds and the threads do meet.
            let before = entries.value
            #expect(eventually { entries.value > before })
            gate.setShut(true)
            while !gate.isBalanced { yieldThread() }
            guarded.store(0, ordering: .relaxed)
            for _ in 0..<50 where guarded.load(ordering: .relaxed) != 0 { violations.add() }
            guarded.store(1, ordering: .relaxed)
            gate.setShut(false)
        }
        ends.store(true, ordering: .relaxed)
        for worker in workers { worker.join() }
        #expect(violations.value == 0)
        #expect(entries.value > 0)
        #expect(gate.isBalanced)
        gate.giveBack()
    }

    @Test("counts leases that are given back on another thread", arguments: AnyGate.Kind.allCases)
    func crossThread(_ kind: AnyGate.Kind) throws {
        let gate = try #require(AnyGate(kind))
        let entered = Parker()
        let first = try WorkerThread.start(name: "in") {
            for _ in 0..<1000 { _ = gate.enter(2) }
            entered.raise()
        }
        let second = try WorkerThread.start(name: "out") {
            entered.wait()
            for _ in 0..<1000 { gate.leave(2) }
        }
        first.join()
        second.join()
        gate.setShut(true)
        #expect(gate.isBalanced)
        gate.giveBack()
    }

    @Test("keeps its counts when the threads that made them are gone (T76)")
    func deadThreads() throws {
        let gate = try #require(AnyGate(.asymmetric))
        for _ in 0..<20 {
            try WorkerThread.start(name: "brief") { _ = gate.enter(1) }.join()
        }
        gate.setShut(true)
        #expect(!gate.isBalanced)
        for _ in 0..<20 { gate.leave(1) }
        #expect(gate.isBalanced)
        gate.giveBack()
    }

    #if DEBUG
        @Test(
            "waits for a thread that stands between its count and its look at the state, or refuses it (T29, R2)",
            arguments: [UsageKind.asymmetric, .locked])
        func gap(_ kind: UsageKind) throws {
            let cells = try #require(UsageCells(kind: kind))
            cells.setState(0)
            let inTheGap = Parker()
            let goOn = Parker()
            let outcome = Atomic<Int>(0)
            GapHook.install { counted in
                guard counted.isSame(as: cells) else { return }
                inTheGap.raise()
                goOn.wait()
            }
            defer { GapHook.remove() }
            let thread = try WorkerThread.start(name: "gap") {
                let entered = cells.enter(1)
                outcome.store(entered ? 1 : 2, ordering: .relaxed)
                if !cells.leave(1) { cells.wake() }
            }
            inTheGap.wait()
            // The closer shuts while the thread has counted but not looked: it must be seen.
            cells.setState(2)
            cells.heavyFence()
            #expect(!cells.isBalanced, "the thread in the gap is counted")
            goOn.raise()
            thread.join()
            #expect(outcome.load(ordering: .relaxed) == 2, "and it was refused, because the gate was shut by then")
            #expect(cells.isBalanced)
            cells.giveBack()
        }
    #endif
}

#if DEBUG
    /// One hook for all tests: they take turns.
    enum GapHook {
        private static let turn = Lock(false)
        static func install(_ body: @escaping @Sendable (UsageCells) -> Void) {
            while turn.withLock({ taken -> Bool in
                defer { taken = true }
                return taken
            }) { yieldThread() }
            UsageHooks.set(body)
        }
        static func remove() {
            UsageHooks.set(nil)
            turn.withLock { $0 = false }
        }
    }
#endif

/// Whether a sanitizer watches: loops are shorter then.
let isSanitized = UsageKind.best == .locked || getenv("PLATTER_SANITIZER") != nil

@Suite("The reaper") struct ReaperTests {
    @Test("keeps nothing for a tag that was cancelled before: a timer that is armed late holds no dead disk")
    func lateTimer() {
        let tag = Reaper.shared.newTag()
        let fired = Counter()
        Reaper.shared.cancel(tag: tag)
        weak var kept: CountingSink?
        do {
            let object = CountingSink()
            kept = object
            Reaper.shared.watch(nil, until: Instant.now + .seconds(30), tag: tag) { _ in
                fired.add(object.total + 1)
            }
        }
        #expect(kept == nil)
        let live = Reaper.shared.newTag()
        Reaper.shared.watch(nil, until: Instant.now, tag: live) { _ in fired.add() }
        #expect(eventually { fired.value == 1 })
        Reaper.shared.cancel(tag: live)
    }
}
