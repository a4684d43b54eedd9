// SPDX-License-Identifier: Apache-2.0

public import BlockSystem

/// Counts who is inside a disk's queue, and can be shut: for a while (frozen) or for good (dead).
///
/// Promises, which the tests cite:
/// - G1 Whoever was let in is waited for by a drain; whoever was not never reaches the driver. There is no third case.
/// - G2 A dead gate never opens again.
/// - G3 Freeze depth, thaw and kill change as one: after any mix of them the gate is open exactly if the depth is zero
///   and nobody killed it.
/// - G4 What is parked at a frozen gate is handed back exactly once: to the thaw, or to the kill.
///
/// Its counters live in memory that is never unmapped, so the last one out may leave after everything else is gone.
public final class Gate: Sendable {
    /// The counters and the state word: what the data path uses.
    @usableFromInline let cells: UsageCells

    private struct Control {
        var machine = GateStateMachine()
        var parked = SlotList()
    }
    private let control = Lock(Control())

    /// A gate that is open; nil when the process has 65,535 of them.
    public init?(kind: UsageKind = .best) {
        guard let cells = UsageCells(kind: kind) else { return nil }
        self.cells = cells
        // The index may have had another owner, who left it dead.
        cells.setState(GateStateMachine().word)
    }

    deinit {
        // Nobody can be inside: a ticket or a slot inside keeps its disk, and the disk keeps the gate.
        cells.giveBack()
    }

    /// Goes in; nil when it is not open. Never blocks.
    public func enter() -> Ticket? {
        if cells.enter(1) { return Ticket(gate: self) }
        leave(1)
        return nil
    }

    /// Goes in though it is frozen, but not when it is dead: the lane of the remover's flush.
    func enterPrivileged(_ leases: UInt64) -> Bool {
        if cells.enter(leases) || !isDead { return true }
        leave(leases)
        return false
    }

    /// Gives leases back; wakes the drainer if there may be one.
    @inlinable @inline(__always)
    func leave(_ leases: UInt64) {
        if !cells.leave(leases) { cells.wake() }
    }

    /// Whether it is dead.
    public var isDead: Bool { cells.stateWord & 3 == GateStateMachine.State.dead.rawValue }
    /// Whether it is open.
    public var isOpen: Bool { cells.stateWord & 3 == GateStateMachine.State.open.rawValue }

    /// Shuts it until as many thaws have come. Does not wait for those inside. Returns the generation that it is shut
    /// in: with the next opening comes another.
    @discardableResult
    public func freeze() -> UInt64 {
        control.withLock { control in
            control.machine.freeze()
            cells.setState(control.machine.word)
            return control.machine.generation
        }
    }

    /// Takes one freeze back; returns what was parked if that opened the gate.
    func thaw() -> SlotList {
        let (opened, parked) = control.withLock { control in
            let opened = control.machine.thaw()
            cells.setState(control.machine.word)
            return (opened, opened ? control.parked.takeAll() : SlotList())
        }
        // Who waits for it to be empty hears that it is open.
        if opened { cells.wake() }
        return parked
    }

    /// Shuts it for good. Returns nil if it was dead before, else what was parked.
    func kill() -> SlotList? {
        control.withLock { control in
            guard control.machine.kill() else { return nil }
            cells.setState(control.machine.word)
            return control.parked.takeAll()
        }
    }

    /// What became of a slot that found the gate shut.
    enum ParkResult { case retry, dead, parked }

    /// Parks a slot at a frozen gate. Reads the state again under the lock, so that no thaw or kill is missed.
    func park(_ slot: Stable<BioSlot>) -> ParkResult {
        control.withLock { control in
            switch control.machine.state {
            case .open: return .retry
            case .dead: return .dead
            case .frozen:
                control.parked.append(slot)
                return .parked
            }
        }
    }

    /// How many are parked now.
    var parkedCount: Int { control.withLock { $0.parked.count } }

    /// How deep it is frozen.
    public var freezeDepth: Int { control.withLock { $0.machine.depth } }
}

/// The right to be inside a gate; given back when it ends. Giving it back twice does not compile.
public struct Ticket: ~Copyable {
    private let gate: Gate

    fileprivate init(gate: Gate) { self.gate = gate }

    deinit { gate.leave(1) }
}
