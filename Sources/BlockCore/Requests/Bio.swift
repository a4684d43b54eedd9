// SPDX-License-Identifier: Apache-2.0

public import BlockSystem
internal import Synchronization

/// One ranged operation, answered exactly once (R1).
///
/// A bio cannot be copied, so it cannot be answered twice; one that is dropped is failed with
/// ``BlockStatus/dropped`` and counted as a fault of the driver. One word in size.
public struct Bio: ~Copyable {
    let slot: Stable<BioSlot>

    init(_ slot: Stable<BioSlot>) { self.slot = slot }

    /// What is asked.
    public var operation: BioOperation { slot.element.operation }
    /// How it is to be done.
    public var flags: BioFlags { slot.element.flags }
    /// The first 512-byte sector, counted from the start of the disk.
    public var sector: UInt64 { slot.element.sector }
    /// How many sectors; 0 for a flush.
    public var sectorCount: UInt64 { slot.element.sectorCount }
    /// The sectors it is about.
    public var range: SectorRange { SectorRange(start: sector, count: sectorCount) }
    /// How many bytes of memory it carries; 0 for what carries none.
    public var byteCount: Int { slot.element.byteCount }
    /// The memory to fill or to take from. Valid until the bio is answered; for an inline driver, until `submit` returns.
    public var memory: IOMemory { slot.element.memory }

    /// Answers it.
    ///
    /// When this returns the submitter has its answer, and the disk may be gone: touch nothing of it that you do not
    /// own. Any thread may answer; a driver that answers after the removal's deadline is counted and nothing else happens.
    public consuming func complete(_ status: BlockStatus) {
        let slot = slot
        discard self
        Completion.answer(slot, status)
    }

    /// Gives it back unanswered; the core submits it again after `delay`, on a thread of the disk's workers.
    ///
    /// What waits like this is answered ``BlockStatus/gone`` at the disk's death. Like ``complete(_:)``, any thread may
    /// call it, and the bio is no longer the driver's. Nothing wakes up while nothing waits.
    public consuming func requeue(after delay: Duration = .zero) {
        let slot = slot
        discard self
        Completion.requeue(slot, after: delay)
    }

    /// Turns it into a number, for the user data of a ring. It is then owed through ``fromToken(_:)``.
    public consuming func intoToken() -> UInt64 {
        let slot = slot
        discard self
        // 48 bits of address, 16 of generation.
        let generation = UInt64(slot.element.generation.load(ordering: .relaxed) & 0xffff)
        return UInt64(slot.bits) << 16 | generation
    }

    /// The bio of a number; nil where it was taken back before (a driver that answers twice is caught here).
    public static func fromToken(_ token: UInt64) -> Bio? {
        guard let slot = Stable<BioSlot>(bits: UInt(token >> 16)) else { return nil }
        let generation = UInt32(token & 0xffff)
        let current = slot.element.generation.load(ordering: .relaxed)
        guard current & 0xffff == generation,
            slot.element.generation.compareExchange(
                expected: current, desired: current &+ 1, ordering: .relaxed
            ).exchanged
        else {
            Completion.staleTokens.add()
            return nil
        }
        return Bio(slot)
    }

    deinit { Completion.answer(slot, .dropped) }
}

/// Bios in the order they came; what a driver keeps them in. Dropping it fails what it holds.
public struct BioQueue: ~Copyable {
    private var list = SlotList()

    /// An empty queue.
    public init() {}

    /// Puts one at the end.
    public mutating func append(_ bio: consuming Bio) {
        let slot = bio.slot
        bio.forget()
        list.append(slot)
    }

    /// Takes the first.
    public mutating func popFirst() -> Bio? {
        guard let slot = list.popFirst() else { return nil }
        return Bio(slot)
    }

    /// Takes everything out, into a queue of its own.
    public mutating func takeAll() -> BioQueue {
        var all = BioQueue()
        all.list = list.takeAll()
        return all
    }

    /// Whether it holds none.
    public var isEmpty: Bool { list.isEmpty }
    /// How many it holds.
    public var count: Int { list.count }

    deinit {
        var rest = list
        while let slot = rest.popFirst() { Completion.answer(slot, .dropped) }
    }
}

extension Bio {
    /// Lets go without an answer: the slot was put somewhere else.
    fileprivate consuming func forget() { discard self }
}

/// What an I/O brings along.
public enum BioData: ~Copyable {
    /// No memory: flush, discard, write zeroes.
    case none
    /// Memory of the submitter, valid until the answer. Lent to the driver only while it runs inline, else copied.
    case borrowed(IOMemory)
    /// A buffer, moved in, of which the first `count` bytes are meant; it comes back with the answer.
    case owned(IOBuffer, count: Int)
}

/// Where answers go.
public protocol BioSink: AnyObject, Sendable {
    /// The I/O submitted with this token is answered.
    ///
    /// - Parameter buffer: the owned buffer, back; nil if there was none, or if the driver did not answer before the
    ///   deadline of a removal: it may still touch the memory, which stays in quarantine until it has answered.
    /// - Context: any thread, possibly inside `submit`. It must not block; it appends, and leaves.
    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?)
}
