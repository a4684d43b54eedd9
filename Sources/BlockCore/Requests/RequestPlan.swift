// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What an I/O needs beyond being handed to the driver once and answered. Empty for most I/O.
struct Todo: OptionSet {
    let rawValue: UInt16
    /// It goes in steps, and ``BioSlot/whole`` says what was asked.
    static let planned = Todo(rawValue: 1)
    /// It is a flush, or its present step is one.
    static let flushing = Todo(rawValue: 2)
    /// The driver's flush command is this slot; others wait for it.
    static let leadsFlush = Todo(rawValue: 4)
    /// It has one of the driver's tags.
    static let tag = Todo(rawValue: 8)
    /// A timeout may answer it: who answers is contested even while the gate is open.
    static let timed = Todo(rawValue: 16)
    /// It was let in before, and is handed over by somebody else than its submitter now.
    static let underWay = Todo(rawValue: 32)
    /// It uses the submitter's memory on another thread than the submitter's: a close waits for it.
    static let lent = Todo(rawValue: 64)
    /// Passes a frozen gate: the remover's own flush.
    static let privileged = Todo(rawValue: 128)
    /// Its coming was written down by a trace, so its further steps are, too.
    static let traced = Todo(rawValue: 256)
    /// The statistics leave it out.
    static let uncounted = Todo(rawValue: 512)
}

/// An I/O as it was asked for, while its slot carries one step of it after the other.
struct WholeRequest {
    enum Stage: UInt8 { case before, data, after }

    var operation = BioOperation.read
    var flags: BioFlags = []
    var stage = Stage.data
    /// Durable only by a flush that follows.
    var flushesAfter = false
    /// Zeroes are written from a buffer of them.
    var isZeroes = false
    var sector: UInt64 = 0
    var sectorCount: UInt64 = 0
    /// Sectors whose pieces were answered well.
    var done: UInt64 = 0
    var memory = IOMemory.none
}

/// One I/O in several steps on one slot: a flush before it, pieces, a flush after it.
///
/// ```
///   before ──ok──▶ data ──ok──▶ data ── … ──ok──▶ after ──ok──▶ delivered
///      │             │                               │
///      └── error ────┴──────────── error ────────────┴────────▶ delivered, with that error
/// ```
/// The slot says what the driver is to do now; the whole is put back before anybody is told.
enum RequestPlan {
    /// The most zeroes that one write puts out: what an event loop may be kept with.
    static let zeroBytes = RequestQueue.inlineBytes

    /// Makes a plan of a slot that was filled and checked, and its first step.
    static func begin(_ slot: Stable<BioSlot>, flushesBefore: Bool, flushesAfter: Bool, isZeroes: Bool) {
        keepWhole(slot)
        slot.element.whole.stage = flushesBefore ? .before : .data
        slot.element.whole.flushesAfter = flushesAfter
        slot.element.whole.isZeroes = isZeroes
        setStep(slot)
    }

    /// Shortens the present step to its first `count` sectors; the rest follows in steps of its own.
    static func cut(_ slot: Stable<BioSlot>, to count: UInt64) {
        if !slot.element.todo.contains(.planned) { keepWhole(slot) }
        slot.element.sectorCount = count
        if slot.element.operation.hasData {
            slot.element.memory = slot.element.memory.slice(0, Int(clamping: count) * sectorSize)
        }
    }

    /// Whether none of its sectors is done yet.
    static func isAtStart(_ slot: Stable<BioSlot>) -> Bool {
        !slot.element.todo.contains(.planned) || slot.element.whole.done == 0
    }

    /// A step was answered well. True: the slot holds the next one. False: that was the last.
    static func advance(_ slot: Stable<BioSlot>) -> Bool {
        guard slot.element.todo.contains(.planned) else { return false }
        switch slot.element.whole.stage {
        case .before: slot.element.whole.stage = .data
        case .data:
            slot.element.whole.done += slot.element.sectorCount
            guard slot.element.whole.done == slot.element.whole.sectorCount else { break }
            guard slot.element.whole.flushesAfter else { return false }
            slot.element.whole.stage = .after
        case .after:
            // Durable when it is answered, as if the device had done it.
            slot.element.whole.flags.insert(.fua)
            return false
        }
        setStep(slot)
        return true
    }

    /// The slot says again what was asked.
    static func restore(_ slot: Stable<BioSlot>) {
        guard slot.element.todo.contains(.planned) else { return }
        slot.element.todo.remove(.planned)
        slot.element.operation = slot.element.whole.operation
        slot.element.flags = slot.element.whole.flags
        slot.element.sector = slot.element.whole.sector
        slot.element.sectorCount = slot.element.whole.sectorCount
        slot.element.memory = slot.element.whole.memory
    }

    /// Keeps what is asked, before the slot says anything else.
    static func keepWhole(_ slot: Stable<BioSlot>) {
        slot.element.todo.insert(.planned)
        slot.element.whole = WholeRequest(
            operation: slot.element.operation, flags: slot.element.flags, sector: slot.element.sector,
            sectorCount: slot.element.sectorCount, memory: slot.element.memory)
    }

    private static func setStep(_ slot: Stable<BioSlot>) {
        guard slot.element.whole.stage == .data else {
            slot.element.operation = .flush
            slot.element.flags = []
            slot.element.sector = 0
            slot.element.sectorCount = 0
            slot.element.memory = .none
            return
        }
        let done = slot.element.whole.done
        let rest = slot.element.whole.sectorCount - done
        slot.element.sector = slot.element.whole.sector + done
        if slot.element.whole.isZeroes {
            let count = min(rest, UInt64(zeroBytes / sectorSize))
            slot.element.operation = .write
            slot.element.flags = slot.element.whole.flags.subtracting([.noUnmap, .fastZero])
            slot.element.sectorCount = count
            slot.element.memory = ZeroPage.memory.slice(0, Int(count) * sectorSize)
        } else {
            slot.element.operation = slot.element.whole.operation
            slot.element.flags = slot.element.whole.flags
            slot.element.sectorCount = rest
            slot.element.memory =
                slot.element.operation.hasData
                ? slot.element.whole.memory.slice(Int(clamping: done) * sectorSize, Int(clamping: rest) * sectorSize)
                : .none
        }
    }
}

extension BioSlot {
    /// Whether what was asked changes the device, whatever its present step is.
    var isWrite: Bool { todo.contains(.planned) ? whole.operation.isWrite : operation.isWrite }

    /// The sectors that were asked for, whatever its present step is.
    var askedSectors: UInt64 { todo.contains(.planned) ? whole.sectorCount : sectorCount }

    /// What was asked, whatever its present step is.
    var askedOperation: BioOperation { todo.contains(.planned) ? whole.operation : operation }

    /// Whether it may be made to wait. A flush may: others have their answer from it. So may what has begun.
    var mayWait: Bool {
        !flags.contains(.noWait) || operation == .flush || (todo.contains(.planned) && whole.done > 0)
    }

    /// Bytes of ours that the driver may touch as long as it has not answered; borrowed memory it never has then.
    var heldBytes: Int {
        buffer == nil ? 0 : todo.contains(.planned) ? whole.memory.count : byteCount
    }
}

/// Zeroes to write from. Never given back, and read only: whoever still has them after a deadline does no harm.
enum ZeroPage {
    private static let buffer = StablePool<Page>().take(1) { _ in Page() }

    private struct Page: ~Copyable {
        let buffer: IOBuffer

        init() {
            do throws(SystemError) {
                buffer = try IOBuffer(count: RequestPlan.zeroBytes)
            } catch {
                invariantBroken("no memory for a page of zeroes: \(error)")
            }
            buffer.memory.zero()
        }
    }

    static var memory: IOMemory { buffer.element.buffer.memory }
}
