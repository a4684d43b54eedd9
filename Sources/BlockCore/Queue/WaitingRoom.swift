// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// Where I/O waits that was let in and is not at the driver: for the end of a pause, for a flush, for its next try.
///
/// What waits here holds its lease, so that a drain waits for it; the death takes everything out (R3). Its lock is a
/// leaf; the gate's is taken inside it.
final class WaitingRoom: Sendable {
    private struct State {
        /// Pauses that were not resumed.
        var pauses = 0
        var paused = SlotList()
        var flushes = FlushLine()
        /// What the driver gave back, with when it is to be tried again.
        var later: [(slot: Stable<BioSlot>, due: Instant)] = []
        /// Freezes of users, which alone a user may take back.
        var userFreezes = 0
        /// A change of the limits is under way.
        var isUpdating = false
    }
    private let state = Lock(State())
    /// Read by every careful submission; a pause waits for those that have read it before.
    private let pausedFlag = Atomic<Bool>(false)

    /// Whether submissions wait.
    var isPaused: Bool { pausedFlag.load(ordering: .acquiring) }

    /// What became of a slot that asked to wait or to go.
    enum Answer { case goes, waits, dead, again }

    // MARK: Pauses

    func pause() {
        state.withLock { state in
            state.pauses += 1
            pausedFlag.store(true, ordering: .sequentiallyConsistent)
        }
    }

    /// What was waiting, if this was the last pause; nil: there is none to end.
    func resume() -> SlotList? {
        state.withLock { state in
            guard state.pauses > 0 else { return nil }
            state.pauses -= 1
            guard state.pauses == 0 else { return SlotList() }
            pausedFlag.store(false, ordering: .sequentiallyConsistent)
            return state.paused.takeAll()
        }
    }

    var pauseDepth: Int { state.withLock { $0.pauses } }

    /// Lets a slot wait while there is a pause. Looks at both again under the lock, so that no resume and no death is
    /// missed.
    func waitForResume(_ slot: Stable<BioSlot>, _ gate: Gate) -> Answer {
        state.withLock { state in
            guard !gate.isDead else { return .dead }
            guard state.pauses > 0 else { return .goes }
            guard slot.element.mayWait else { return .again }
            state.paused.append(slot)
            return .waits
        }
    }

    // MARK: Flushes

    /// Goes as the flush command, or waits for the next.
    func askForFlush(_ slot: Stable<BioSlot>, _ gate: Gate) -> Answer {
        state.withLock { state in
            guard !gate.isDead else { return .dead }
            return state.flushes.ask(slot) ? .goes : .waits
        }
    }

    func flushAnswered() -> (sharing: SlotList, leader: Stable<BioSlot>?) {
        state.withLock { $0.flushes.answered() }
    }

    // MARK: What is tried again

    /// False: the disk is dead, and nothing is tried again (T40).
    func keep(_ slot: Stable<BioSlot>, until due: Instant, _ gate: Gate) -> Bool {
        state.withLock { state in
            guard !gate.isDead else { return false }
            state.later.append((slot, due))
            return true
        }
    }

    func takeDue(_ now: Instant) -> [Stable<BioSlot>] {
        state.withLock { state in
            let due = state.later.filter { $0.due <= now }.map(\.slot)
            if !due.isEmpty { state.later.removeAll { $0.due <= now } }
            return due
        }
    }

    // MARK: Freezes

    /// The generation that it is frozen in.
    func freezeForUser(_ gate: Gate) -> UInt64 {
        state.withLock { state in
            state.userFreezes += 1
            return gate.freeze()
        }
    }

    /// What was parked; nil: no user has it frozen.
    func thawForUser(_ gate: Gate) -> SlotList? {
        state.withLock { state in
            guard state.userFreezes > 0 else { return nil }
            state.userFreezes -= 1
            return gate.thaw()
        }
    }

    var userFreezes: Int { state.withLock { $0.userFreezes } }

    // MARK: Changes of the limits

    /// False: another one is under way.
    func beginUpdate() -> Bool {
        state.withLock { state in
            defer { state.isUpdating = true }
            return !state.isUpdating
        }
    }

    func endUpdate() { state.withLock { $0.isUpdating = false } }

    // MARK: The death

    /// Everything that waits here.
    func takeAll() -> [SlotList] {
        state.withLock { state in
            var later = SlotList()
            for (slot, _) in state.later { later.append(slot) }
            state.later = []
            return [state.paused.takeAll(), later] + state.flushes.takeAll()
        }
    }

    /// How many wait.
    var count: Int {
        state.withLock { $0.paused.count + $0.later.count + $0.flushes.sharing.count + $0.flushes.next.count }
    }
}
