// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// One removal under way: who waits for it, until when, and what it has found out. Reached under the disk's lock only.
final class RemovalRun: @unchecked Sendable {
    // SAFETY: every access is under the lock of its disk, except the constants.
    typealias Waiter = @Sendable (RemovalOutcome) -> Void

    let id: UInt64
    /// Under which the reaper has the timers of waiting and flushing: they end with the cut.
    let waitingTag = Reaper.shared.newTag()
    /// Under which it has those of the cut: they end with the disk.
    let cutTag = Reaper.shared.newTag()
    let started = Instant.now
    /// How long it may take once its openers have left.
    var timeout: Duration
    /// Until when it is over: set when the flush begins, or the cut where there is none, and from then on only brought
    /// forward.
    var deadline = Instant.never
    var waiters: [UInt64: Waiter] = [:]
    var nextWaiter: UInt64 = 1
    /// The gate was frozen for the flush and must be thawed if the disk lives on.
    var isFrozen = false
    /// The deadline's walk is under way; another timer need not begin one.
    var isExpiring = false
    var report = RemovalReport()
    var failedBefore = 0
    var refusedBefore = 0
    var abortReturned = Parker()

    init(id: UInt64, timeout: Duration) {
        self.id = id
        self.timeout = timeout
    }

    deinit { cancelTimers() }

    /// The removal is over, or taken back: its timers keep nobody alive any longer.
    func cancelTimers() {
        Reaper.shared.cancel(tag: waitingTag)
        Reaper.shared.cancel(tag: cutTag)
    }

    func takeWaiters() -> [Waiter] {
        defer { waiters = [:] }
        return waiters.sorted { $0.key < $1.key }.map(\.value)
    }
}
