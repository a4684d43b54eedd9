// SPDX-License-Identifier: Apache-2.0

public import CPlatter
public import Synchronization

/// How long things took, counted in buckets: a trivial handle to a page of counters in each thread's chunk, which is
/// never unmapped and costs no memory until something is counted there.
///
/// Four histograms a handle, each of 124 buckets: four to each doubling, so that a bucket is at most a quarter as wide as
/// what is in it is long, from 32 ns to 137 s.
@frozen @safe public struct LatencyCells: Sendable {
    /// Of the page in each chunk, from the chunk's start.
    @usableFromInline let offset: UInt
    /// As in ``UsageCells``.
    @usableFromInline let ownMask: UInt

    /// Histograms in one handle.
    public static let groups = 4
    /// Buckets of one histogram.
    public static let buckets = 124
    /// Cells of one histogram: its buckets, and one with the longest.
    @usableFromInline static var stride: Int { 128 }
    @usableFromInline static var longest: Int { 124 }

    /// Takes a page; where all are taken, one that nobody reads.
    public init(kind: UsageKind = .best) {
        let arena = StripeArena.shared
        offset = UInt(StripeArena.stripesBytes + arena.takePage() * StripeArena.pageBytes)
        ownMask = kind == .locked || !arena.hasMembarrier ? 0 : .max
    }

    /// Gives the page back, and its memory. Late counters do no harm: they count for nobody.
    public func giveBack() { StripeArena.shared.giveBack(page: page) }

    private var page: Int { (Int(offset) - StripeArena.stripesBytes) / StripeArena.pageBytes }

    /// Pages in use in the whole process.
    public static var inUse: Int { StripeArena.shared.pagesInUse }

    /// The bucket of a duration.
    @inlinable @inline(__always)
    public static func bucket(_ nanoseconds: UInt64) -> Int {
        let units = nanoseconds &>> 5
        guard units > 3 else { return Int(truncatingIfNeeded: units) }
        let exponent = 63 &- units.leadingZeroBitCount
        let bucket = (exponent &- 1) &* 4 &+ Int(truncatingIfNeeded: units &>> UInt64(exponent &- 2)) & 3
        return min(bucket, buckets - 1)
    }

    /// The least nanoseconds of a bucket; of ``buckets`` itself: the first that is too long.
    public static func lowerBound(of bucket: Int) -> UInt64 {
        bucket < 4 ? UInt64(bucket) << 5 : UInt64(4 + bucket & 3) << UInt64(bucket / 4 - 1 + 5)
    }

    /// Counts `count` that took so long each; on a thread with a chunk of its own without a locked instruction.
    @inlinable @inline(__always)
    public func record(_ nanoseconds: UInt64, group: Int, count: UInt64 = 1) {
        let own = platter_get_stripes() & ownMask
        guard own != 0 else {
            recordShared(nanoseconds, group, count)
            return
        }
        let cells = unsafe UsageCells.cells(own &+ offset) + group &* Self.stride
        let cell = unsafe cells + Self.bucket(nanoseconds)
        unsafe cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ count, ordering: .relaxed)
        let longest = unsafe cells + Self.longest
        if unsafe longest.pointee.load(ordering: .relaxed) < nanoseconds {
            unsafe longest.pointee.store(nanoseconds, ordering: .relaxed)
        }
    }

    @usableFromInline
    func recordShared(_ nanoseconds: UInt64, _ group: Int, _ count: UInt64) {
        let cells = unsafe StripeArena.shared.sharedStripe(offset: offset) + group &* Self.stride
        unsafe (cells + Self.bucket(nanoseconds)).pointee.wrappingAdd(count, ordering: .relaxed)
        unsafe (cells + Self.longest).pointee.max(nanoseconds, ordering: .relaxed)
    }

    /// The sums over all threads: how many in each bucket, and the longest.
    public func totals(group: Int) -> (buckets: [UInt64], longest: UInt64) {
        guard page != 0 else { return ([], 0) }
        var sums = [UInt64](repeating: 0, count: Self.buckets)
        var most: UInt64 = 0
        StripeArena.shared.eachChunk(offset: offset) { cells in
            for bucket in 0..<Self.buckets {
                sums[bucket] &+= unsafe cells[group &* Self.stride &+ bucket].load(ordering: .relaxed)
            }
            most = max(most, unsafe cells[group &* Self.stride &+ Self.longest].load(ordering: .relaxed))
        }
        return (sums, most)
    }
}
