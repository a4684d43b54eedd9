// SPDX-License-Identifier: Apache-2.0

import Testing

/// Who answers a slot, as a model that is explored in every order of its steps: the answers over three lives of a slot, the look of a timeout, and the deadline of a removal. Each step is one access of a word that they share; the
/// names are those of the core.
@Suite("The claim of an answer, in every order") struct ClaimOfAnswerModelTests {
    /// What may be left out, to see that it is needed.
    enum Flaw: CaseIterable {
        case none
        /// A timed slot is answered without contest while the gate is open.
        case uncontested
        /// The look of a timeout trusts the time that it saw before it had the slot.
        case oldTime
        /// The look gives the slot back without seeing whether it still has it.
        case blindReturn
        /// An answer that meets a look takes itself for late.
        case impatient
        /// The deadline does not look whether an answer was announced.
        case deaf
    }

    enum Owner: UInt8 { case nobody, driver, deadline, claiming, timing }

    struct Slot: Hashable {
        var mine = false
        var owner = Owner.nobody
        var dispatched = 0
        var isEntered = false
        /// Whose token it has.
        var life = 0
        var isDead = false
    }

    struct State: Hashable {
        var slot = Slot()
        var driver = 0
        var sawOpen = false
        var life = 1
        var timer = 0
        var since = 0
        var killer = 0
        var answers = [0, 0, 0, 0]
        var entered = [false, false, false, false]
        /// The timeout has failed what was not late.
        var isEarly = false
    }

    /// The second life never gets to the driver, so that no clock runs: it is answered while it waits in the core.
    static let untimed = 2
    static let lives = 3

    /// The driver's side: enters, has the slot for a moment, answers; and again.
    func driverStep(_ state: State, _ flaw: Flaw) -> State? {
        var next = state
        next.driver += 1
        switch state.driver {
        case 0:
            guard state.life <= Self.lives, !state.slot.isDead else { return nil }
            next.slot.life = state.life
            next.slot.mine = false
        case 1: next.slot.owner = .nobody
        case 2:
            next.slot.isEntered = true
            next.entered[state.life] = true
        case 3: if state.life != Self.untimed { next.slot.dispatched = state.life }
        case 4: next.slot.mine = true
        case 5: next.sawOpen = !state.slot.isDead
        case 6:
            if state.sawOpen, flaw == .uncontested || state.life == Self.untimed { break }
            if state.slot.owner == .nobody {
                next.slot.owner = .driver
            } else if state.slot.owner == .timing, flaw != .impatient {
                return nil
            } else {
                next.driver = 10
            }
        case 7: next.slot.dispatched = 0
        case 8: next.answers[state.slot.life] += 1
        case 9:
            next.slot.isEntered = false
            next.driver = 0
            next.life += 1
        case 10:
            // Late: waits until the claimer has read the slot, then frees it.
            guard state.slot.owner != .claiming else { return nil }
            next.slot.dispatched = 0
            next.driver = 9
        default: return nil
        }
        return next
    }

    /// One look at what takes too long.
    func timerStep(_ state: State, _ flaw: Flaw) -> State? {
        var next = state
        next.timer += 1
        switch state.timer {
        case 0:
            guard state.slot.dispatched != 0 else { return nil }
            next.since = state.slot.dispatched
        case 1:
            guard state.slot.owner == .nobody else {
                next.timer = 9
                return next
            }
            next.slot.owner = .timing
        case 2:
            if state.slot.dispatched != state.since, flaw != .oldTime { next.timer = 5 }
        case 3:
            next.slot.dispatched = 0
            next.answers[state.slot.life] += 1
            next.isEarly = state.slot.life != state.since
        case 4:
            next.slot.owner = .deadline
            next.timer = 9
        case 5:
            if state.slot.owner == .timing || flaw == .blindReturn { next.slot.owner = .nobody }
            next.timer = 9
        default: return nil
        }
        return next
    }

    /// The kill, its barrier, and the walk of the deadline.
    func killerStep(_ state: State, _ flaw: Flaw) -> State? {
        var next = state
        next.killer += 1
        switch state.killer {
        case 0: next.slot.isDead = true
        case 1: if !state.slot.isEntered { return nil }
        case 2: if state.slot.mine, flaw != .deaf { next.killer = 9 }
        case 3:
            guard state.slot.owner != .timing else { return nil }
            if state.slot.owner == .nobody { next.slot.owner = .claiming } else { next.killer = 9 }
        case 4: next.answers[state.slot.life] += 1
        case 5:
            next.slot.owner = .deadline
            next.killer = 9
        default: return nil
        }
        return next
    }

    /// What ever goes wrong, in any order; nil: nothing.
    func explore(_ flaw: Flaw) -> (wrong: String?, states: Int) {
        var seen: Set<State> = [State()]
        var open = [State()]
        while let state = open.popLast() {
            if state.answers.contains(where: { $0 > 1 }) { return ("answered twice: \(state)", seen.count) }
            if state.isEarly { return ("failed what was not late: \(state)", seen.count) }
            let following = [driverStep(state, flaw), timerStep(state, flaw), killerStep(state, flaw)].compactMap(
                \.self)
            if following.isEmpty, (1...Self.lives).contains(where: { state.entered[$0] && state.answers[$0] != 1 }) {
                return ("never answered: \(state)", seen.count)
            }
            for next in following where seen.insert(next).inserted { open.append(next) }
        }
        return (nil, seen.count)
    }

    @Test("answers every life of the slot exactly once (R1, R4, T35)") func sound() {
        let (wrong, states) = explore(.none)
        #expect(wrong == nil)
        #expect(states > 500, "there is something to explore")
    }

    @Test("needs each of its steps", arguments: Flaw.allCases.filter { $0 != .none }) func flaws(flaw: Flaw) {
        #expect(explore(flaw).wrong != nil)
    }
}
