// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The places at a device: how many I/Os its driver has at once. One disk's, or shared by several that are one device
/// beneath.
///
/// Who finds no place waits, and is served in turn: among the disks that wait, and among the openers of each, first
/// come first served within one opener. I/O that may not wait is answered ``BlockStatus/again``.
///
/// A disk that dies takes what waits out at once; the places that its driver still has are free when it answers, and
/// not before: a driver that never does holds those, and no others (R7).
public final class TagSet: Sendable {
    /// How many places there are.
    public let depth: Int
    private let line: Lock<TagLine>

    /// A set of `depth` places, at least one.
    public init(depth: Int) {
        self.depth = max(depth, 1)
        line = Lock(TagLine(depth: max(depth, 1)))
    }

    /// Places that are taken.
    public var inUse: Int { line.withLock { $0.inUse } }
    /// I/Os that wait for one.
    public var waiting: Int { line.withLock { $0.waiting } }

    /// I/Os of one disk that wait for one.
    func waiting(of queue: RequestQueue) -> Int { line.withLock { $0.waiting(of: Unretained(queue).bits) } }

    /// A place, or a turn to wait for. The death is looked at under the lock, under which it also takes out who waits.
    func take(_ slot: Stable<BioSlot>, for queue: RequestQueue) -> WaitingRoom.Answer {
        let opener = slot.element.core?.bits ?? 0
        return line.withLock { line in
            guard !queue.gate.isDead else { return .dead }
            if line.take() {
                slot.element.todo.insert(.tag)
                return .goes
            }
            guard slot.element.mayWait else { return .again }
            line.append(slot, disk: Unretained(queue).bits, opener: opener)
            return .waits
        }
    }

    /// Gives a place back; the next in turn has it then.
    func giveBack() -> Stable<BioSlot>? {
        line.withLock { line in
            let next = line.giveBack()
            next?.element.todo.insert(.tag)
            return next
        }
    }

    /// Takes out what waits of a disk that is dead.
    func takeWaiting(of queue: RequestQueue) -> SlotList {
        line.withLock { $0.takeAll(of: Unretained(queue).bits) }
    }
}

/// Who has a place and whose turn is next. Pure; ``TagSet`` keeps it behind its lock.
///
/// Two rings of turns: of the disks that wait, and within each of its openers. Who was served goes to the end.
struct TagLine {
    private struct OpenerLine {
        let opener: UInt
        var slots = SlotList()
    }
    private struct DiskLine {
        let disk: UInt
        var openers: [OpenerLine] = []
    }
    private let depth: Int
    private(set) var inUse = 0
    private(set) var waiting = 0
    private var disks: [DiskLine] = []

    init(depth: Int) { self.depth = depth }

    /// A place at once; nobody overtakes who waits, for places are handed on while anybody does.
    mutating func take() -> Bool {
        guard inUse < depth else { return false }
        inUse += 1
        return true
    }

    mutating func append(_ slot: Stable<BioSlot>, disk: UInt, opener: UInt) {
        waiting += 1
        let at = disks.firstIndex { $0.disk == disk } ?? disks.endIndex
        if at == disks.endIndex { disks.append(DiskLine(disk: disk)) }
        let place = disks[at].openers.firstIndex { $0.opener == opener } ?? disks[at].openers.endIndex
        if place == disks[at].openers.endIndex { disks[at].openers.append(OpenerLine(opener: opener)) }
        disks[at].openers[place].slots.append(slot)
    }

    /// The place goes to whose turn it is; nil: it is free.
    mutating func giveBack() -> Stable<BioSlot>? {
        guard !disks.isEmpty else {
            inUse -= 1
            return nil
        }
        var disk = disks.removeFirst()
        var opener = disk.openers.removeFirst()
        let slot = opener.slots.popFirst()
        waiting -= 1
        if !opener.slots.isEmpty { disk.openers.append(opener) }
        if !disk.openers.isEmpty { disks.append(disk) }
        return slot
    }

    func waiting(of disk: UInt) -> Int {
        disks.first { $0.disk == disk }?.openers.reduce(0) { $0 + $1.slots.count } ?? 0
    }

    mutating func takeAll(of disk: UInt) -> SlotList {
        guard let at = disks.firstIndex(where: { $0.disk == disk }) else { return SlotList() }
        var all = SlotList()
        for var opener in disks.remove(at: at).openers {
            while let slot = opener.slots.popFirst() { all.append(slot) }
        }
        waiting -= all.count
        return all
    }
}
