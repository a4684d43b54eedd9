// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// Finds drivers whose submit is slower than they declared, so that their I/O can go to worker threads.
///
/// A batch of calls that took over a millisecond is counted. Over ten it may still be the machine's fault: the thread had
/// no processor, or no share of it left. So the next batches are then measured by the kernel's own counts of the thread,
/// and a driver that three times in a row ran for ten milliseconds, or slept, is convicted.
final class SubmitWatch: Sendable {
    /// Nanoseconds from which a batch is counted, and from which its driver is suspected.
    static var slow: UInt64 { 1_000_000 }
    static var tooSlow: UInt64 { 10_000_000 }
    private static let proofs = 3

    private let found = Counter()
    /// Batches of calls that took over a millisecond.
    let slowBatches = Counter()

    enum Verdict { case fine, suspected, cleared, convicted }

    /// A batch is over that took more than a millisecond; `before`: what the kernel counted when it began, if it was asked.
    func judge(_ before: ThreadUsage?, took elapsed: UInt64) -> Verdict {
        slowBatches.add()
        guard elapsed > Self.tooSlow else { return .fine }
        guard let before else { return .suspected }
        let now = ThreadUsage.current
        let ran = now.running &- before.running
        let slept = now.sleeps > before.sleeps && elapsed > ran && elapsed - ran > Self.tooSlow
        guard ran > Self.tooSlow || slept else {
            found.add(-found.value)
            return .cleared
        }
        return found.add() >= Self.proofs ? .convicted : .suspected
    }
}
