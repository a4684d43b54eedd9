// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// Finds drivers whose submit is slower than they declared, and moves their submissions off the event loops.
///
/// A batch of calls that took over a millisecond is counted. Over ten it may still be the machine's fault: the thread had
/// no processor. So the disk's batches are then measured by the scheduler's own counts, and one that really ran or slept
/// for ten milliseconds ends the matter: ``style`` is ``SubmissionStyle/mayBlock`` from then on, and all I/O of the disk
/// goes to its worker threads.
final class SubmitWatch: Sendable {
    /// Nanoseconds from which a batch is counted, and from which its driver is suspected.
    static var slow: UInt64 { 1_000_000 }
    static var tooSlow: UInt64 { 10_000_000 }

    private let declared: SubmissionStyle
    private let isDemoted = Atomic<Bool>(false)
    private let suspected = Atomic<Bool>(false)
    /// Batches of calls that took over a millisecond.
    let slowBatches = Counter()

    init(declared: SubmissionStyle) { self.declared = declared }

    /// How the driver's submit is called now.
    @inline(__always)
    var style: SubmissionStyle { isDemoted.load(ordering: .relaxed) ? .mayBlock : declared }

    /// Whether it was caught.
    var hasDemoted: Bool { isDemoted.load(ordering: .relaxed) }

    /// What the scheduler says of this thread, for disks whose batches are measured; nil for all others.
    @inline(__always)
    func before() -> ThreadUsage? { suspected.load(ordering: .relaxed) ? ThreadUsage.current : nil }

    /// A batch is over; over a millisecond, or the caller would not have asked.
    func after(_ before: ThreadUsage?, took elapsed: UInt64) {
        slowBatches.add()
        guard elapsed > Self.tooSlow, declared != .mayBlock else { return }
        guard let before, let now = ThreadUsage.current else {
            suspected.store(true, ordering: .relaxed)
            return
        }
        // What it waited for a processor is not the driver's.
        let waited = now.waiting &- before.waiting
        if elapsed > waited, elapsed - waited > Self.tooSlow { demote() }
    }

    /// Takes it for a driver that may block from now on.
    func demote() { isDemoted.store(true, ordering: .relaxed) }
}
