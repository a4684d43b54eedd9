// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// What a trace is to have.
public struct TraceFilter: Sendable, Equatable {
    /// Records with at least one of these.
    public var categories = TraceCategories.all
    /// Records of I/O that begins in these sectors of the disk, the last one included; nil: all.
    public var sectors: ClosedRange<UInt64>?
    /// Records of I/O that this process has submitted; nil: all.
    public var process: Int32?

    /// A filter; without arguments it lets all pass.
    public init(
        categories: TraceCategories = .all, sectors: ClosedRange<UInt64>? = nil, process: Int32? = nil
    ) {
        self.categories = categories
        self.sectors = sectors
        self.process = process
    }
}

/// A disk's I/O written down step by step, in the binary format that `blkparse` and `btt` read: see
/// ``Disk/trace(_:capacity:)``. It ends when this is dropped, too.
///
/// The disk writes into a buffer, the reader takes from it. A buffer that is full makes the disk drop records, never
/// wait; how many is told in the trace itself, by a message where they are missing.
/// - Context: every method is for any thread.
public final class DiskTrace: Sendable {
    private let writer: TraceWriter
    private let disk: Disk

    fileprivate init(_ disk: Disk, _ writer: TraceWriter) {
        self.disk = disk
        self.writer = writer
    }

    deinit { stop() }

    /// What it has.
    public var filter: TraceFilter { writer.filter }
    /// Records of I/O that were written so far.
    public var records: UInt64 { writer.counts.records }
    /// Records that found the buffer full.
    public var dropped: UInt64 { writer.counts.dropped }
    /// Whether nothing more comes: it was stopped, or the disk is gone. What was written is still to be taken.
    public var hasEnded: Bool { writer.hasEnded }

    /// Calls `tell` whenever there is something to take where nothing was, and at the end; outside all locks, on the thread
    /// that submits or answers I/O: return at once. It is called for what is there already.
    public func onData(_ tell: @escaping @Sendable () -> Void) { writer.onData(tell) }

    /// Takes what was written since: whole records, in the order in which they were written. Empty: nothing is there.
    public func take() -> [UInt8] {
        let words = writer.take()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(words.count * 8)
        var index = 0
        while index < words.count {
            // What follows a record is filled up with zeroes to a word here, but not in the format.
            let length = TraceRecord.lengthFollowing(words, at: index)
            let last = index + TraceRecord.words + (length + 7) / 8
            let end = bytes.count + TraceRecord.words * 8 + length
            for word in words[index..<last] {
                for shift in stride(from: UInt64(0), to: 64, by: 8) {
                    bytes.append(UInt8(truncatingIfNeeded: word >> shift))
                }
            }
            bytes.removeLast(bytes.count - end)
            index = last
        }
        return bytes
    }

    /// Ends it. The disk may be traced anew at once.
    public func stop() {
        disk.queue.tracer.withLock { tracer in if tracer === writer { tracer = nil } }
        disk.queue.noteTracer()
        writer.end()
    }
}

extension Disk {
    /// Begins to write down what happens to this disk's I/O, until ``DiskTrace/stop()`` or the end of the disk.
    ///
    /// Costs nothing while no trace runs; while one does, each step of an I/O takes a lock and about 100 ns. What is under
    /// way at the start is left out. I/O that is refused before it is let in (beyond the end, read-only, a dead disk)
    /// does not appear, as it has none of the disk's.
    /// - Parameter capacity: of the buffer, in bytes; at least 32 KiB.
    /// - Throws: EBUSY where one runs, ENODEV where the disk is gone.
    public func trace(_ filter: TraceFilter = TraceFilter(), capacity: Int = 8 << 20) throws(DiskError) -> DiskTrace {
        let writer = TraceWriter(number, filter, capacity: capacity)
        let wasFree = queue.tracer.withLock { tracer in
            guard tracer == nil else { return false }
            tracer = writer
            return true
        }
        guard wasFree else {
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "\(name) is being traced already; 'platter attr \(name) trace/enable=0' ends that")
        }
        let trace = DiskTrace(self, writer)
        queue.noteTracer()
        // Its end may have passed by before the trace was there to be ended.
        if queue.gate.isDead {
            trace.stop()
            throw goneError()
        }
        return trace
    }

    /// Ends the trace that runs, whoever has begun it; false: none did.
    @discardableResult
    public func stopTrace() -> Bool { queue.endTrace() }

    /// What the trace that runs has; nil: none does.
    public var traceFilter: TraceFilter? { queue.tracer.withLock { $0 }?.filter }

    /// Whether a trace runs.
    public var isTraced: Bool { queue.isTraced.load(ordering: .relaxed) }
}
