// SPDX-License-Identifier: Apache-2.0

import BlockCore
import Testing

@Suite("The gate's machine") struct GateMachineTests {
    @Test("is open exactly if nobody freezes it and nobody killed it, after any mix of events (T46, T47, G2, G3)")
    func everyMix() {
        // Every sequence of up to eight events: thaw is only legal while frozen.
        func explore(_ machine: GateStateMachine, depth: Int, killed: Bool, left: Int) {
            #expect(machine.isDead == killed)
            #expect(machine.state == (killed ? .dead : depth > 0 ? .frozen : .open))
            #expect((machine.word & 3 == 0) == (!killed && depth == 0))
            guard left > 0 else { return }
            var frozen = machine
            frozen.freeze()
            explore(frozen, depth: depth + 1, killed: killed, left: left - 1)
            if depth > 0 {
                var thawed = machine
                let opened = thawed.thaw()
                #expect(opened == (depth == 1 && !killed))
                explore(thawed, depth: depth - 1, killed: killed, left: left - 1)
            }
            var dead = machine
            #expect(dead.kill() == !killed)
            explore(dead, depth: depth, killed: true, left: left - 1)
        }
        explore(GateStateMachine(), depth: 0, killed: false, left: 8)
    }
}

@Suite("The disk's machine") struct DiskMachineTests {
    /// A machine in each state, by the way that leads there.
    static func machine(in state: DiskState) -> DiskLifecycle {
        var machine = DiskLifecycle()
        if state == .adding { return machine }
        _ = machine.published()
        switch state {
        case .adding, .live: break
        case .leaving(let mode): _ = machine.remove(mode, hasOpeners: true)
        case .flushing(let mode): _ = machine.remove(mode, hasOpeners: false)
        case .cut(let mode):
            _ = machine.remove(mode, hasOpeners: false)
            if mode != .surprise { _ = machine.flushed(ok: true) }
        case .owing:
            _ = machine.remove(.surprise, hasOpeners: true)
            _ = machine.deadlinePassed()
        case .gone:
            _ = machine.remove(.surprise, hasOpeners: true)
            _ = machine.released()
        }
        return machine
    }

    static let waiting: [RemovalMode] = [.deferred, .hide, .soft]
    static let states: [DiskState] =
        [.adding, .live, .owing, .gone] + waiting.map { .leaving($0) }
        + ([.safe, .deferred, .hide, .soft, .hard] as [RemovalMode]).map { .flushing($0) }
        + RemovalMode.allCases.map { .cut($0) }

    /// The table of the removal: what each request meets in each state.
    static func expected(
        _ state: DiskState, _ mode: RemovalMode, _ hasOpeners: Bool
    ) -> (DiskLifecycle.RemoveDecision, DiskState) {
        switch state {
        case .adding: return (.cancelAdd, .adding)
        case .owing, .gone: return (.noSuchDisk, state)
        case .cut: return (.join, state)
        case .flushing(let running):
            if mode == .surprise { return (.cut, .cut(.surprise)) }
            return (.join, .flushing(max(running, mode)))
        case .live:
            if mode == .surprise { return (.cut, .cut(.surprise)) }
            if mode == .hard { return (.flush(frozen: true), .flushing(.hard)) }
            if !hasOpeners { return (.flush(frozen: false), .flushing(mode)) }
            return mode == .safe ? (.busy(pending: nil), .live) : (.leave, .leaving(mode))
        case .leaving(let pending):
            if mode == .surprise { return (.cut, .cut(.surprise)) }
            if mode == .hard { return (.flush(frozen: true), .flushing(.hard)) }
            if mode == .safe { return (.busy(pending: pending), state) }
            return mode > pending ? (.leave, .leaving(mode)) : (.join, state)
        }
    }

    @Test("answers every removal in every state as the table says (R10, T06)")
    func removalTable() {
        for state in Self.states {
            for mode in RemovalMode.allCases {
                for hasOpeners in [false, true] {
                    var machine = Self.machine(in: state)
                    #expect(machine.state == state)
                    let (decision, next) = Self.expected(state, mode, hasOpeners)
                    #expect(machine.remove(mode, hasOpeners: hasOpeners) == decision, "\(mode) in \(state)")
                    #expect(machine.state == next, "\(mode) in \(state)")
                }
            }
        }
    }

    @Test("lets openers in while it lives or waits deferred, and nowhere else")
    func opens() {
        for state in Self.states {
            let refusal = Self.machine(in: state).refusesOpen()
            switch state {
            case .live, .leaving(.deferred): #expect(refusal == nil)
            case .flushing: #expect(refusal == .busy)
            default: #expect(refusal == .noSuchDevice, "\(state)")
            }
        }
    }

    @Test("takes back what only waits politely, and nothing else (T75)")
    func cancels() {
        for state in Self.states {
            var machine = Self.machine(in: state)
            let can = state == .leaving(.deferred) || state == .leaving(.hide)
            #expect(machine.cancel() == can, "\(state)")
            #expect(machine.state == (can ? .live : state))
        }
    }

    @Test("goes from every flush to the cut, or back to life, as its mode has it")
    func flushes() {
        for state in Self.states {
            for isGood in [true, false] {
                var machine = Self.machine(in: state)
                let decision = machine.flushed(ok: isGood)
                if case .flushing(let mode) = state {
                    let isCut = isGood || mode >= .hard
                    #expect(decision == (isCut ? .cut : .live), "\(state)")
                    #expect(machine.state == (isCut ? .cut(mode) : .live))
                } else {
                    #expect(decision == .stale, "\(state)")
                    #expect(machine.state == state)
                }
            }
        }
    }

    @Test("begins the flush with the last close only where one is waited for")
    func lastClose() {
        for state in Self.states {
            var machine = Self.machine(in: state)
            if case .leaving(let mode) = state {
                let endsMachine = machine.lastClosed()
                #expect(endsMachine)
                #expect(machine.state == .flushing(mode))
            } else {
                let endsMachine = machine.lastClosed()
                #expect(!endsMachine, "\(state)")
                #expect(machine.state == state)
            }
        }
    }

    @Test("owes after a deadline only from the cut, and publishes only what nobody removed")
    func deadlines() {
        for state in Self.states {
            var machine = Self.machine(in: state)
            if case .cut = state {
                let endsMachine = machine.deadlinePassed()
                #expect(endsMachine)
                #expect(machine.state == .owing)
            } else {
                let endsMachine = machine.deadlinePassed()
                #expect(!endsMachine, "\(state)")
                #expect(machine.state == state)
            }
            var adding = Self.machine(in: state)
            #expect(adding.published() == (state == .adding), "\(state)")
        }
    }

    @Test("ends once: from the cut with a report, from owing without") func ends() {
        var cut = Self.machine(in: .cut(.surprise))
        let endsCut = cut.released()
        #expect(endsCut)
        #expect(cut.state == .gone)
        var owing = Self.machine(in: .owing)
        let endsOwing = owing.released()
        #expect(!endsOwing)
        #expect(owing.state == .gone)
    }
}
