// SPDX-License-Identifier: Apache-2.0

public import CPlatter
internal import Glibc

/// A point on the monotonic clock. The only reader of clocks in the library targets.
@frozen public struct Instant: Comparable, Hashable, Sendable {
    /// Nanoseconds since an arbitrary start.
    public let nanoseconds: UInt64

    /// The instant `nanoseconds` after the clock's start.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Now. About 25 ns: the data path reads it once for a batch.
    @inlinable public static var now: Instant { Instant(nanoseconds: platter_clock(1)) }

    /// Later than anything: no deadline.
    @inlinable public static var never: Instant { Instant(nanoseconds: .max) }

    /// Seconds since 1970, for records that people read; jumps with the machine's clock.
    public static var wallClock: Double { Double(platter_clock(0)) / 1e9 }

    /// Whether one instant comes before another.
    @inlinable public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant `duration` later; ``never`` where that does not fit, and the instant itself for a negative one.
    public static func + (left: Instant, duration: Duration) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(duration.nanoseconds)
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// How long from `right` to `left`; zero if `right` is later.
    public static func - (left: Instant, right: Instant) -> Duration {
        left <= right ? .zero : .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds))
    }
}

extension Duration {
    /// The whole nanoseconds, clamped to 0 ... 2^64-1.
    public var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflow2) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return overflow || overflow2 ? .max : sum
    }
}
