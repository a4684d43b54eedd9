// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// The memory that a ring shares with the kernel, and the places in it. Unmapped at the end of its life.
struct RingMemory: ~Copyable {
    private let queues: UnsafeMutableRawPointer
    private let queueBytes: Int
    private let entryBytes: Int

    let entries: UnsafeMutablePointer<platter_sqe>
    let entryCount: UInt32
    let submitHead: UnsafeMutablePointer<UInt32>
    let submitTail: UnsafeMutablePointer<UInt32>
    let submitMask: UInt32
    let submitArray: UnsafeMutablePointer<UInt32>

    let completions: UnsafeMutablePointer<platter_cqe>
    let completeHead: UnsafeMutablePointer<UInt32>
    let completeTail: UnsafeMutablePointer<UInt32>
    let completeMask: UInt32

    /// Maps what `descriptor` was set up with.
    init(descriptor: Int32, _ params: platter_ring_params) throws(SystemError) {
        entryCount = params.sq_entries
        queueBytes = max(
            Int(params.sq.array) + Int(params.sq_entries) * MemoryLayout<UInt32>.stride,
            Int(params.cq.cqes) + Int(params.cq_entries) * MemoryLayout<platter_cqe>.stride)
        entryBytes = Int(params.sq_entries) * MemoryLayout<platter_sqe>.stride
        guard let queues = platter_ring_map_queues(descriptor, queueBytes) else { throw SystemError.last }
        guard let area = platter_ring_map_entries(descriptor, entryBytes) else {
            let error = SystemError.last
            munmap(queues, queueBytes)
            throw error
        }
        func word(_ offset: UInt32) -> UnsafeMutablePointer<UInt32> {
            (queues + Int(offset)).assumingMemoryBound(to: UInt32.self)
        }
        self.queues = queues
        entries = area.assumingMemoryBound(to: platter_sqe.self)
        submitHead = word(params.sq.head)
        submitTail = word(params.sq.tail)
        submitMask = word(params.sq.ring_mask).pointee
        submitArray = word(params.sq.array)
        completions = (queues + Int(params.cq.cqes)).assumingMemoryBound(to: platter_cqe.self)
        completeHead = word(params.cq.head)
        completeTail = word(params.cq.tail)
        completeMask = word(params.cq.ring_mask).pointee
    }

    deinit {
        munmap(entries, entryBytes)
        munmap(queues, queueBytes)
    }
}
