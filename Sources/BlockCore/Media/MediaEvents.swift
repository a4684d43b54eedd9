// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What may happen to a removable medium.
public struct MediaEventSet: OptionSet, Sendable, Codable, Hashable {
    /// The bits.
    public let rawValue: UInt8
    /// A set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Another medium is in, or none any more.
    public static let change = MediaEventSet(rawValue: 1)
    /// Somebody has pressed the button.
    public static let ejectRequest = MediaEventSet(rawValue: 2)

    /// The words of the kernel's `events` attribute.
    public var words: [String] {
        (contains(.change) ? ["media_change"] : []) + (contains(.ejectRequest) ? ["eject_request"] : [])
    }
}

/// What a device with a removable medium declares; a value, asked once, at add.
public struct MediaProfile: Sendable {
    /// The events that it can tell of.
    public var events: MediaEventSet = [.change, .ejectRequest]
    /// It has to be asked: the registry's interval holds for it where the disk has none of its own.
    public var polls = false
    /// Its events are for listeners, too.
    public var tells = true
    /// It is not asked while somebody holds the disk for writing alone.
    public var blocksOnExclusiveWrite = false

    /// Both events, never asked by itself.
    public init() {}
}

/// The medium in a device, at one moment.
public struct Medium: Sendable, Equatable {
    /// Counts insertions: never the same for another medium, nor for the same one put in again. 0: there is none.
    public var number: UInt64
    /// 512-byte sectors.
    public var capacity: UInt64

    /// A medium.
    public init(number: UInt64, capacity: UInt64) {
        self.number = number
        self.capacity = capacity
    }

    /// An empty device.
    public static let none = Medium(number: 0, capacity: 0)
}

/// A medium that does not go in or come out.
public struct MediumError: Error, Sendable {
    /// The error number of Linux, positive.
    public let errno: Int32
    /// One line: why, and what to do.
    public let reason: String

    /// An error with its line.
    public init(errno: Int32, _ reason: String) {
        self.errno = errno
        self.reason = reason
    }
}

/// When a device is asked for events of its medium, and what of them is news, as a pure machine.
///
/// It begins blocked; the end of the add unblocks it. Only one check runs at a time. An event that was told stays
/// pending until somebody fetches it, and is no news again before that.
package struct MediaEvents: Sendable {
    /// What the caller does next.
    package enum Next: Equatable, Sendable {
        case nothing
        /// A check, on a thread that may wait for the driver.
        case check
        /// A check, after so many milliseconds.
        case wait(Int)
    }

    private let profile: MediaProfile
    /// How many keep checks away. The first waits for the check that runs, and so does everybody after.
    package private(set) var depth = 1
    /// Known and not fetched.
    package private(set) var pending: MediaEventSet = []
    /// What the next check is to tell the driver that it has been heard.
    package private(set) var clearing: MediaEventSet = []
    /// Milliseconds; -1: the default, 0: never.
    package private(set) var interval = -1
    package private(set) var isChecking = false
    /// A check was wanted while none could begin.
    private var isWanted = false

    package init(_ profile: MediaProfile) { self.profile = profile }

    /// How often the device is asked, in milliseconds; 0: it is not.
    package func period(_ standard: Int) -> Int { interval >= 0 ? interval : profile.polls ? standard : 0 }

    /// No check begins from here on. True: one runs, and is to be waited for.
    package mutating func block() -> Bool {
        depth += 1
        return isChecking
    }

    /// Takes one block back.
    package mutating func unblock(checkNow: Bool, standard: Int) -> Next {
        invariant(depth > 0, "an unblock without its block")
        depth -= 1
        isWanted = isWanted || checkNow
        return next(standard)
    }

    /// A check is to begin: what it tells the driver as heard. nil: not now.
    ///
    /// - Parameter isSynchronous: by one who blocks; then only a check that runs is in its way, and it is to wait. Otherwise
    ///   it must be wanted still: who comes when another check has seen to it finds nothing to do.
    package mutating func begin(isSynchronous: Bool) -> MediaEventSet? {
        guard !isChecking, isSynchronous || (depth == 0 && isWanted) else { return nil }
        isChecking = true
        isWanted = false
        return clearing
    }

    /// A check is over. Returns what is news.
    package mutating func end(found: MediaEventSet, cleared: MediaEventSet) -> MediaEventSet {
        invariant(isChecking, "a check that has not begun is over")
        isChecking = false
        clearing.subtract(cleared)
        let news = found.subtracting(pending)
        pending.formUnion(found)
        return news
    }

    /// What is to be done when nothing else is.
    package mutating func next(_ standard: Int) -> Next {
        guard depth == 0, !isChecking else { return .nothing }
        if isWanted { return .check }
        let period = period(standard)
        return period > 0 ? .wait(period) : .nothing
    }

    /// A check is wanted: the driver has news, or (with a mask) something may have happened that it is to be asked about.
    package mutating func want(clearing mask: MediaEventSet = [], standard: Int) -> Next {
        clearing.formUnion(mask)
        isWanted = true
        return next(standard)
    }

    /// Takes what is pending of these: seen to from here on, and news if it happens again.
    package mutating func fetch(_ mask: MediaEventSet) -> MediaEventSet {
        defer { pending.subtract(mask) }
        return pending.intersection(mask)
    }

    /// Sets how often the device is asked; it is asked at once.
    package mutating func setInterval(_ milliseconds: Int, standard: Int) -> Next {
        invariant(milliseconds >= -1, "there is no interval of \(milliseconds)")
        interval = milliseconds
        isWanted = isWanted || period(standard) > 0
        return next(standard)
    }
}
