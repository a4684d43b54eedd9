// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Where a disk is in its life.
public enum DiskState: Sendable, Equatable {
    /// Reserved, not visible.
    case adding
    /// In use.
    case live
    /// Waiting for its openers to leave.
    case leaving(RemovalMode)
    /// Being flushed before it goes.
    case flushing(RemovalMode)
    /// The gate is shut for good; the driver's answers are awaited.
    case cut(RemovalMode)
    /// Removed, but the driver has not answered everything.
    case owing
    /// The end.
    case gone

    /// One word for listings.
    public var word: String {
        switch self {
        case .adding: "adding"
        case .live: "live"
        case .leaving, .flushing, .cut: "removing"
        case .owing: "owing"
        case .gone: "gone"
        }
    }
}

/// The life of a disk as a pure machine; ``Disk`` asks it under its lock and acts after unlocking.
///
/// ```
///   adding ──published──▶ live ──remove──▶ leaving ──last close──▶ flushing ──ok──▶ cut ──drained──▶ gone
///      │                   │ ▲                │ ▲                   │    │           │ ▲               ▲
///      │ add failed        │ └────cancel──────┘ └──(raise)          │    │failed     │ │           late answers
///      ▼                   │                                        │    ▼           │deadline         │
///     gone                 └────────────surprise───────────────────────▶cut         └──────────▶ owing ┘
/// ```
package struct DiskLifecycle: Sendable, Equatable {
    package private(set) var state: DiskState = .adding
    /// It goes by itself, with its last opener; whoever comes too late finds nothing, as after any end.
    package private(set) var isClearing = false

    package init() {}

    /// What a caller of `remove` has to do.
    package enum RemoveDecision: Equatable {
        /// The add under way is cancelled and rolls back.
        case cancelAdd
        /// Somebody has it open (or a pending removal waits for them).
        case busy(pending: RemovalMode?)
        /// Wait for the openers; tell them if the mode asks them to go.
        case leave
        /// Flush; frozen for `hard`.
        case flush(frozen: Bool)
        /// Shut the gate for good.
        case cut
        /// Another removal is under way; get its report.
        case join
        /// It is gone already.
        case noSuchDisk
    }

    package mutating func remove(_ mode: RemovalMode, hasOpeners: Bool) -> RemoveDecision {
        switch state {
        case .adding:
            return .cancelAdd
        case .live:
            switch mode {
            case .surprise: return shut(mode)
            case .hard: return flush(mode)
            case .safe: return hasOpeners ? .busy(pending: nil) : flush(mode)
            case .deferred, .hide, .soft:
                guard hasOpeners else { return flush(mode) }
                state = .leaving(mode)
                return .leave
            }
        case .leaving(let pending):
            switch mode {
            case .surprise: return shut(mode)
            case .hard: return flush(mode)
            case .safe: return .busy(pending: pending)
            case .deferred, .hide, .soft:
                guard mode > pending else { return .join }
                state = .leaving(mode)
                return .leave
            }
        case .flushing(let running):
            if mode == .surprise { return shut(mode) }
            // A flush is a flush; what changes is what follows if it fails.
            if mode > running { state = .flushing(mode) }
            return .join
        case .cut: return .join
        case .owing, .gone: return .noSuchDisk
        }
    }

    private mutating func shut(_ mode: RemovalMode) -> RemoveDecision {
        state = .cut(mode)
        return .cut
    }

    private mutating func flush(_ mode: RemovalMode) -> RemoveDecision {
        state = .flushing(mode)
        return .flush(frozen: mode == .hard)
    }

    /// The add is done. False: a removal came first and the add has to roll back.
    package mutating func published() -> Bool {
        guard state == .adding else { return false }
        state = .live
        return true
    }

    /// The add did not come to its end.
    package mutating func addFailed() {
        invariant(state == .adding, "only an add that is under way can fail")
        state = .gone
    }

    /// Why an open is refused; nil: it is let in.
    package func refusesOpen() -> OpenRefusal? {
        switch state {
        case .live, .leaving(.deferred): nil
        case .flushing: isClearing ? .noSuchDevice : .busy
        case .adding, .leaving, .cut, .owing, .gone: .noSuchDevice
        }
    }
    /// Whether the name is free again, or was never taken.
    package var isOver: Bool { state == .owing || state == .gone }
    /// Whether it is told of as a disk that is there: from its publication to the cut.
    package var isAnnounced: Bool {
        switch state {
        case .live, .leaving, .flushing: true
        case .adding, .cut, .owing, .gone: false
        }
    }
    package enum OpenRefusal: Equatable { case busy, noSuchDevice }

    /// The last opener has closed. True: the flush begins, in the same critical section.
    ///
    /// - Parameter autoclear: a live disk goes with its last opener.
    package mutating func lastClosed(autoclear: Bool = false) -> Bool {
        switch state {
        case .leaving(let mode):
            state = .flushing(mode)
            return true
        case .live where autoclear:
            isClearing = true
            state = .flushing(.deferred)
            return true
        case .live, .adding, .flushing, .cut, .owing, .gone: return false
        }
    }

    /// One of the openers wants the disk to go with the last of them; the only one keeps everybody else out. False: the
    /// disk is not live.
    package mutating func clear(openers: Int) -> Bool {
        guard state == .live else { return false }
        if openers <= 1 {
            isClearing = true
            state = .leaving(.hide)
        }
        return true
    }

    /// Takes a waiting removal back. False: there is none that can be.
    package mutating func cancel() -> Bool {
        guard case .leaving(let mode) = state, mode == .deferred || mode == .hide else { return false }
        state = .live
        isClearing = false
        return true
    }

    package enum FlushDecision: Equatable {
        case cut
        /// The disk lives on.
        case live
        /// Somebody else has moved on.
        case stale
    }

    package mutating func flushed(ok: Bool) -> FlushDecision {
        guard case .flushing(let mode) = state else { return .stale }
        guard ok || mode >= .hard else {
            state = .live
            isClearing = false
            return .live
        }
        state = .cut(mode)
        return .cut
    }

    /// The deadline of a cut has passed. True: the removal ends now, owing.
    package mutating func deadlinePassed() -> Bool {
        guard case .cut = state else { return false }
        state = .owing
        return true
    }

    /// Nobody is inside and the driver was let go. True: the removal ends now.
    package mutating func released() -> Bool {
        defer { state = .gone }
        if case .cut = state { return true }
        invariant(state == .owing, "a driver is let go only after a cut")
        return false
    }
}
