// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// The answer to one queued call.
public struct RingCompletion: Sendable {
    /// The number that the call was queued with.
    public let tag: UInt64
    /// A count or zero, or a negative error number; `-ECANCELED` after ``Ring/queueCancel(_:)``.
    public let result: Int
}

/// An io_uring with one issuer: a thread queues calls, lets the kernel have them, and takes the answers.
///
/// Promises:
/// - Each queued call is answered exactly once, whatever becomes of it. Until then the kernel may touch its memory,
///   also after a cancel.
/// - ``wake()`` ends the issuer's sleep, also if it comes just before; several may be answered by one waking.
///
/// It does not keep a file open or memory alive: the caller holds both until the answer.
///
/// - Context: ``enable()`` makes the calling thread the issuer; it alone may call everything but ``wake()``, which is
///   for any thread. Whether the machine has io_uring is found by trying, never by its version.
public final class Ring: @unchecked Sendable {
    // SAFETY: `memory`, `queued` and `wakeIsArmed` belong to the issuer's thread; descriptors never change.
    private let descriptor: Int32
    private let wakeDescriptor: Int32
    private let wakeWord: UnsafeMutablePointer<UInt64>
    private let memory: RingMemory
    /// Calls that the kernel has not been told of. Only the issuer's thread touches it.
    @exclusivity(unchecked) private var queued: UInt32 = 0
    /// Whether a read of the wake counter is under way. Only the issuer's thread touches it.
    @exclusivity(unchecked) private var wakeIsArmed = false

    private static let wakeTag = UInt64.max
    private static let cancelTag = UInt64.max - 1

    /// A ring for about `depth` calls at a time.
    /// - Throws: ENOSYS, EPERM and others where io_uring is missing or refused: use threads then.
    public init(depth: Int) throws(SystemError) {
        let (descriptor, params) = try Self.setUp(entries: UInt32(max(depth, 8)))
        do throws(SystemError) {
            try Self.probe(descriptor, params)
            memory = try RingMemory(descriptor: descriptor, params)
            let wake = platter_eventfd()
            guard wake >= 0 else { throw SystemError(errno: -wake) }
            wakeDescriptor = wake
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        wakeWord = .allocate(capacity: 1)
        wakeWord.initialize(to: 0)
    }

    deinit {
        // The ring goes first: the kernel drops its read of the counter with it, and only then may the word go.
        Glibc.close(descriptor)
        Glibc.close(wakeDescriptor)
        wakeWord.deallocate()
    }

    /// The best kind of ring that the kernel gives: work done on the issuer's thread, then without interrupts, then any.
    private static func setUp(entries: UInt32) throws(SystemError) -> (Int32, platter_ring_params) {
        let common = PLATTER_RING_SETUP_DISABLED
        let kinds = [
            common | PLATTER_RING_SETUP_SUBMIT_ALL | PLATTER_RING_SETUP_SINGLE_ISSUER
                | PLATTER_RING_SETUP_DEFER_TASKRUN,
            common | PLATTER_RING_SETUP_SUBMIT_ALL | PLATTER_RING_SETUP_COOP_TASKRUN,
            common,
        ]
        var failure: Int32 = ENOSYS
        for kind in kinds {
            var params = platter_ring_params()
            params.flags = UInt32(kind)
            let result = platter_ring_setup(entries, &params)
            if result >= 0 { return (result, params) }
            failure = -result
            // Anything else is a refusal, which no other kind of ring gets round.
            if failure != EINVAL { break }
        }
        throw SystemError(errno: failure)
    }

    /// Checks that what ``FileCall`` needs is there.
    private static func probe(_ descriptor: Int32, _ params: platter_ring_params) throws(SystemError) {
        let features = UInt32(PLATTER_RING_FEATURE_SINGLE_MMAP | PLATTER_RING_FEATURE_NODROP)
        guard params.features & features == features else { throw SystemError(errno: ENOSYS) }
        var probe = platter_ring_probe()
        let result = platter_ring_register(descriptor, UInt32(PLATTER_RING_REGISTER_PROBE), &probe, 64)
        // ENOENT and EINVAL come from kernels that are too old to be asked.
        guard result >= 0 else { throw SystemError(errno: -result) }
        let newest = [
            PLATTER_RING_OP_WRITE, PLATTER_RING_OP_READ, PLATTER_RING_OP_FALLOCATE, PLATTER_RING_OP_ASYNC_CANCEL,
        ]
        guard newest.allSatisfy({ Int($0) <= Int(probe.last_op) }) else { throw SystemError(errno: ENOSYS) }
    }

    /// Makes the calling thread the issuer. Once, before anything else.
    public func enable() throws(SystemError) {
        let result = platter_ring_register(descriptor, UInt32(PLATTER_RING_REGISTER_ENABLE), nil, 0)
        if result < 0 { throw SystemError(errno: -result) }
    }

    /// Ends the issuer's present or next sleep in ``submit(wait:)``.
    /// - Context: any thread, as long as the ring lives; never blocks.
    public func wake() { _ = platter_eventfd_signal(wakeDescriptor) }

    /// Queues a call; the kernel has it after the next ``submit(wait:)``. Returns whether there was room: if not, submit.
    /// - Parameter tag: comes back with the answer; the two highest numbers are the ring's own.
    public func queue(_ call: FileCall, on file: DiskFile, tag: UInt64) -> Bool {
        var entry = platter_sqe()
        entry.fd = file.number
        entry.user_data = tag
        switch call {
        case .read(let offset, let memory):
            entry.opcode = UInt8(PLATTER_RING_OP_READ)
            entry.setTransfer(memory, offset)
        case .write(let offset, let memory, let durable):
            entry.opcode = UInt8(PLATTER_RING_OP_WRITE)
            entry.setTransfer(memory, offset)
            entry.op_flags = durable ? UInt32(PLATTER_RWF_DSYNC) : 0
            if durable { file.durabilityCalls.add() }
        case .sync:
            entry.opcode = UInt8(PLATTER_RING_OP_FSYNC)
            entry.op_flags = UInt32(PLATTER_RING_FSYNC_DATASYNC)
            file.durabilityCalls.add()
        case .space(let space, let offset, let count):
            entry.opcode = UInt8(PLATTER_RING_OP_FALLOCATE)
            entry.off = offset
            entry.addr = count  // the kernel's choice of field: fallocate has no memory
            entry.len = UInt32(space.mode)
        }
        return push(entry)
    }

    /// Asks the kernel to give up the call with this tag if it can. It is answered all the same, this request is not.
    public func queueCancel(_ tag: UInt64) -> Bool {
        var entry = platter_sqe()
        entry.opcode = UInt8(PLATTER_RING_OP_ASYNC_CANCEL)
        entry.fd = -1
        entry.addr = tag
        entry.user_data = Self.cancelTag
        return push(entry)
    }

    private func push(_ entry: platter_sqe) -> Bool {
        let tail = memory.submitTail.pointee
        // Pairs with the kernel's release of the head: the entry it frees is ours to fill.
        guard tail &- platter_ring_load(memory.submitHead) < memory.entryCount else { return false }
        let index = tail & memory.submitMask
        memory.entries[Int(index)] = entry
        memory.submitArray[Int(index)] = index
        // Pairs with the kernel's acquire of the tail: it sees the whole entry.
        platter_ring_store(memory.submitTail, tail &+ 1)
        queued &+= 1
        return true
    }

    /// Lets the kernel have what is queued, and with `wait` sleeps until there is an answer or a waking.
    ///
    /// Returns early when interrupted or when the kernel is short of memory; what was not taken stays queued.
    public func submit(wait: Bool) {
        if wait, !wakeIsArmed {
            var entry = platter_sqe()
            entry.opcode = UInt8(PLATTER_RING_OP_READ)
            entry.fd = wakeDescriptor
            entry.addr = UInt64(UInt(bitPattern: wakeWord))
            entry.len = 8
            entry.off = .max  // a counter has no offset
            entry.user_data = Self.wakeTag
            wakeIsArmed = push(entry)
        }
        // Without a read of the counter a sleep could miss a waking: then only submit, and come again.
        let sleep = wait && wakeIsArmed && !hasCompletion
        let result = platter_ring_enter(
            descriptor, queued, sleep ? 1 : 0, UInt32(PLATTER_RING_ENTER_GETEVENTS))
        if result >= 0 {
            queued &-= UInt32(result)
            return
        }
        invariant(
            [EINTR, EAGAIN, EBUSY, ENOMEM].contains(-result), "io_uring_enter: \(SystemError(errno: -result))")
    }

    private var hasCompletion: Bool {
        memory.completeHead.pointee != platter_ring_load(memory.completeTail)
    }

    /// The next answer, if one has come.
    public func popCompletion() -> RingCompletion? {
        while true {
            let head = memory.completeHead.pointee
            // Pairs with the kernel's release of the tail: the answer is whole.
            guard head != platter_ring_load(memory.completeTail) else { return nil }
            let entry = memory.completions[Int(head & memory.completeMask)]
            // Pairs with the kernel's acquire of the head: it may overwrite what was read.
            platter_ring_store(memory.completeHead, head &+ 1)
            switch entry.user_data {
            case Self.wakeTag: wakeIsArmed = false
            case Self.cancelTag: break
            default: return RingCompletion(tag: entry.user_data, result: Int(entry.res))
            }
        }
    }
}

extension platter_sqe {
    fileprivate mutating func setTransfer(_ memory: IOMemory, _ offset: UInt64) {
        off = offset
        addr = UInt64(UInt(bitPattern: memory.address))
        len = UInt32(memory.count)
    }
}
