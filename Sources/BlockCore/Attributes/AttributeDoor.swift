// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who is inside the attributes of a disk. Pure; ``AttributeDoor`` keeps it behind its lock.
///
/// ```
///   open ── enter, leave ──▶ open ── shut ──▶ shut, n inside ── leave, or break of a protection ──▶ over
/// ```
package struct AttributeDoorMachine: Sendable, Equatable {
    /// Handlers that run and that a removal waits for.
    package private(set) var inside = 0
    package private(set) var isShut = false

    package init() {}

    /// Nobody is inside and nobody gets in.
    package var isOver: Bool { isShut && inside == 0 }

    /// A handler begins. False: the disk is gone.
    package mutating func enter() -> Bool {
        guard !isShut else { return false }
        inside += 1
        return true
    }

    /// A handler has ended, or gives up its protection because what it does next ends the disk itself.
    package mutating func leave() {
        invariant(inside > 0, "only a handler that is inside can leave")
        inside -= 1
    }

    /// No handler begins any more.
    package mutating func shut() { isShut = true }
}

/// The one door to the attributes of a disk: it is shut with the cut, and the removal lets the driver go only when those
/// inside have come out. Whoever merely has an attribute open is not inside.
final class AttributeDoor: Sendable {
    private struct State {
        var machine = AttributeDoorMachine()
        var waiter: Parker?
    }
    private let state = Lock(State())

    /// False: shut, the disk is gone.
    func enter() -> Bool { state.withLock { $0.machine.enter() } }

    func leave() {
        let waiter = state.withLock { state in
            state.machine.leave()
            return state.machine.isOver ? state.waiter : nil
        }
        waiter?.raise()
    }

    /// No handler begins any more. Under the lock of the disk, in the critical section of the cut.
    func shut() { state.withLock { $0.machine.shut() } }

    /// Waits until those inside have come out. On a thread of the control side, after ``shut()``.
    func waitUntilEmpty() {
        let waiter = state.withLock { state -> Parker? in
            guard !state.machine.isOver else { return nil }
            let waiter = state.waiter ?? Parker()
            state.waiter = waiter
            return waiter
        }
        waiter?.wait()
    }

    /// How many handlers run: what the tests look at.
    var inside: Int { state.withLock { $0.machine.inside } }
}

/// One handler at work; belongs to the thread that runs it.
final class AttributeVisit {
    private let door: AttributeDoor
    private var isProtected = true

    /// nil: the disk is gone.
    init?(_ door: AttributeDoor) {
        guard door.enter() else { return nil }
        self.door = door
    }

    deinit { breakProtection() }

    /// From here on no removal waits for this handler, which may then wait for a removal (T28): whoever waited for the
    /// removal that waits for him would wait until its deadline. Nothing that ends with the disk may be touched any more.
    func breakProtection() {
        if isProtected { door.leave() }
        isProtected = false
    }
}
