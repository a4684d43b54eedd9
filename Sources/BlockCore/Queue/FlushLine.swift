// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who waits for which flush. Pure; ``WaitingRoom`` keeps it behind its lock.
///
/// At most one flush command is at the driver. One that comes meanwhile may not share it: what was acknowledged since
/// it was submitted would not be covered. It waits for the next, which all who came meanwhile share.
///
/// ```
///          ask: leads                answered, nobody came
///   idle ─────────────▶ running ──────────────────────────▶ idle
///                        ▲   │ answered, some came: the first leads, the others share
///                        └───┘
/// ```
struct FlushLine {
    /// Whether a flush is on its way to the driver or there.
    private(set) var isRunning = false
    /// Those who have their answer from the one that is running.
    private(set) var sharing = SlotList()
    /// Those who came after it was submitted.
    private(set) var next = SlotList()

    init() {}

    /// True: this one is the command. False: it waits for the next.
    mutating func ask(_ slot: Stable<BioSlot>) -> Bool {
        guard isRunning else {
            isRunning = true
            return true
        }
        next.append(slot)
        return false
    }

    /// The command was answered: who shares its answer, and who leads the next.
    mutating func answered() -> (sharing: SlotList, leader: Stable<BioSlot>?) {
        let shared = sharing.takeAll()
        let leader = next.popFirst()
        sharing = next.takeAll()
        isRunning = leader != nil
        return (shared, leader)
    }

    /// Everybody who waits, at the death. The command itself is the driver's to answer.
    mutating func takeAll() -> [SlotList] { [sharing.takeAll(), next.takeAll()] }
}
