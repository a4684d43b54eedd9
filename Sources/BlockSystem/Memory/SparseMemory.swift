// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

/// A large stretch of zeroes that takes memory only for the 4 KiB pages that were written: what a RAM disk stores in.
///
/// Promises:
/// 1. A byte reads as what was last written there, or zero.
/// 2. A page that a punch covers whole gives its memory back.
/// 3. Any number of threads may read, write and punch at once. Where their bytes do not overlap, none sees the other,
///    also within a page. Where they do, each byte comes from one of them.
///
/// Why no reader ever meets unmapped memory: an extent (2 MiB) keeps its address for the life of the object, and a punch
/// only lets go of the pages behind it. Why a page never shows what was there before a punch: its bit is what counts,
/// and whoever sets the bit has cleared the rest of the page before, under the extent's lock. The lock is needed only
/// to set or clear bits: a transfer within present pages takes none. A writer that was overtaken by a punch may leave
/// its page in memory while the bit says it is not there; the next write or punch of the extent's page mends that.
///
/// Offsets and lengths are in bytes and must lie within ``limit``.
public final class SparseMemory: @unchecked Sendable {
    // SAFETY: the table is safe for concurrent use as said above; everything else is constant or atomic.
    private let table: SparseTable
    private let budget: MemoryBudget
    /// One lock serves every 16th extent: neighbours do not meet, and an extent costs none. The number means nothing:
    /// of an empty state the thread sanitizer takes the object's own head for the address.
    private let locks = (0..<16).map { _ in Lock(0) }
    private let pages = Atomic<Int>(0)

    /// MADV_POPULATE_WRITE; Linux has it since 5.14.
    private static let populateForWriting: Int32 = 23

    /// How many bytes there can be: 256 TiB.
    public static let limit = UInt64(SparseTable.limit) * UInt64(SparseExtent.bytes)
    /// What a hole is a multiple of.
    public static let pageSize = SparseExtent.pageSize

    /// All zeroes.
    /// - Throws: ENOMEM.
    public init(budget: MemoryBudget = .machine) throws(SystemError) {
        table = try SparseTable()
        self.budget = budget
    }

    deinit { budget.giveBack(presentBytes) }

    /// Bytes in pages that are present.
    public var presentBytes: Int { pages.load(ordering: .relaxed) * Self.pageSize }

    // MARK: - Reading

    /// Fills `memory` from `offset`. Absent pages are not touched.
    public func read(at offset: UInt64, into memory: IOMemory) {
        guard var to = memory.address else { return }
        forEachExtent(offset, memory.count) { index, start, count in
            if let extent = table.find(index) {
                Self.read(extent, start, count, to)
            } else {
                memset(to, 0, count)
            }
            to += count
        }
    }

    @inline(__always)
    private static func read(
        _ extent: UnsafeMutablePointer<SparseExtent>, _ start: Int, _ count: Int, _ to: UnsafeMutableRawPointer
    ) {
        // Pairs with the store in `memory(of:)`: the extent is mapped.
        let address = extent.pointee.address.load(ordering: .acquiring)
        guard let from = UnsafeMutableRawPointer(bitPattern: address) else {
            memset(to, 0, count)
            return
        }
        var done = 0
        while done < count {
            let (isPresent, end) = run(extent, at: start + done, limit: start + count)
            let length = end - (start + done)
            if isPresent {
                memcpy(to + done, from + start + done, length)
            } else {
                memset(to + done, 0, length)
            }
            done += length
        }
    }

    // MARK: - Writing

    /// Puts `memory` at `offset`.
    /// - Throws: ENOMEM; what lies before the extent that found none is written.
    public func write(at offset: UInt64, from memory: IOMemory) throws(SystemError) {
        guard let from = memory.address else { return }
        try store(at: offset, count: memory.count, from: from)
    }

    /// Zeroes a range and keeps it, or makes it, present.
    /// - Throws: ENOMEM.
    public func zero(at offset: UInt64, count: Int) throws(SystemError) {
        try store(at: offset, count: count, from: nil)
    }

    private func store(at offset: UInt64, count: Int, from source: UnsafeMutableRawPointer?) throws(SystemError) {
        var source = source
        try forEachExtent(offset, count) { index, start, count throws(SystemError) in
            let end = start + count
            if let extent = table.find(index), Self.run(extent, at: start, limit: end) == (true, end),
                let to = UnsafeMutableRawPointer(bitPattern: extent.pointee.address.load(ordering: .acquiring))
            {
                Self.put(to + start, source, count)
            } else {
                try storeMakingPages(index, start, count, source)
            }
            source = source.map { $0 + count }
        }
    }

    @inline(__always)
    private static func put(_ to: UnsafeMutableRawPointer, _ source: UnsafeMutableRawPointer?, _ count: Int) {
        if let source { memcpy(to, source, count) } else { memset(to, 0, count) }
    }

    /// The slow way of a write: some of its pages are absent.
    @inline(never)
    private func storeMakingPages(
        _ index: Int, _ start: Int, _ count: Int, _ source: UnsafeMutableRawPointer?
    ) throws(SystemError) {
        let extent = try table.make(index)
        try locks[index % locks.count].withLock { _ throws(SystemError) in
            let to = try memory(of: extent)
            let first = start / Self.pageSize
            let last = (start + count - 1) / Self.pageSize
            let absent = Self.countAbsent(extent, first, last)
            guard absent == 0 || budget.take(absent * Self.pageSize) else { throw SystemError(errno: ENOMEM) }
            // Only the first and the last page can be covered in part, and what is not covered must be zero before
            // the bit is set: the memory may hold what was there before a punch.
            if start % Self.pageSize != 0, !Self.isPresent(extent, first) {
                memset(to + first * Self.pageSize, 0, Self.pageSize)
            }
            if (start + count) % Self.pageSize != 0, !Self.isPresent(extent, last) {
                memset(to + last * Self.pageSize, 0, Self.pageSize)
            }
            // One call for a run of pages costs half of a fault for each; where it is refused, they fault.
            if absent >= 4 {
                _ = madvise(to + first * Self.pageSize, (last - first + 1) * Self.pageSize, Self.populateForWriting)
            }
            // The whole copy happens under the lock: two writers of one absent page would otherwise clear each other's
            // bytes.
            Self.put(to + start, source, count)
            Self.setPresent(extent, first, last, true)
            pages.wrappingAdd(absent, ordering: .relaxed)
        }
    }

    /// The memory of an extent, mapped if it has none. Under the extent's lock.
    private func memory(
        of extent: UnsafeMutablePointer<SparseExtent>
    ) throws(SystemError) -> UnsafeMutableRawPointer {
        // Only those who hold the lock set it.
        let address = extent.pointee.address.load(ordering: .relaxed)
        if let mapped = UnsafeMutableRawPointer(bitPattern: address) { return mapped }
        guard let mapped = platter_reserve(SparseExtent.bytes) else { throw SystemError(errno: ENOMEM) }
        // A huge page would take 2 MiB for the first 4 KiB, and a punch would have to split it.
        _ = madvise(mapped, SparseExtent.bytes, MADV_NOHUGEPAGE)
        // Pairs with the loads in `read` and `store`.
        extent.pointee.address.store(UInt(bitPattern: mapped), ordering: .releasing)
        return mapped
    }

    // MARK: - Giving back

    /// Makes a range read as zeroes: pages that it covers whole are given back, the rest of it is cleared.
    public func punch(at offset: UInt64, count: UInt64) {
        var offset = offset
        let end = offset + count
        while offset < end {
            let index = Int(offset / UInt64(SparseExtent.bytes))
            guard let extent = table.find(index) else {
                // The whole table is missing: go on behind it.
                let behind = (index / SparseTable.tableLength + 1) * SparseTable.tableLength
                offset = min(end, UInt64(behind) * UInt64(SparseExtent.bytes))
                continue
            }
            let start = Int(offset % UInt64(SparseExtent.bytes))
            let length = Int(min(end - offset, UInt64(SparseExtent.bytes - start)))
            punch(extent, index, start, length)
            offset += UInt64(length)
        }
    }

    private func punch(_ extent: UnsafeMutablePointer<SparseExtent>, _ index: Int, _ start: Int, _ count: Int) {
        let address = extent.pointee.address.load(ordering: .acquiring)
        guard let memory = UnsafeMutableRawPointer(bitPattern: address) else { return }
        let end = start + count
        let firstWhole = (start + Self.pageSize - 1) / Self.pageSize
        let endWhole = end / Self.pageSize
        // The parts of pages: only the range's own bytes are touched, so no lock is needed.
        func clear(_ from: Int, _ to: Int) {
            if from < to, Self.isPresent(extent, from / Self.pageSize) { memset(memory + from, 0, to - from) }
        }
        guard firstWhole < endWhole else {
            let border = min(end, firstWhole * Self.pageSize)
            clear(start, border)
            clear(border, end)
            return
        }
        clear(start, firstWhole * Self.pageSize)
        clear(endWhole * Self.pageSize, end)
        locks[index % locks.count].withLock { _ in
            let whole = endWhole - firstWhole
            let absent = Self.countAbsent(extent, firstWhole, endWhole - 1)
            guard absent < whole else { return }
            // The bits go first: from here on readers see zeroes. The pages go before the lock does: after it a
            // writer may set the bits again.
            Self.setPresent(extent, firstWhole, endWhole - 1, false)
            _ = madvise(memory + firstWhole * Self.pageSize, whole * Self.pageSize, MADV_DONTNEED)
            pages.wrappingSubtract(whole - absent, ordering: .relaxed)
            budget.giveBack((whole - absent) * Self.pageSize)
        }
    }

    // MARK: - Looking

    /// Where a range is present or absent, in order, as runs of bytes; adjacent runs differ. Stops early after
    /// `most` runs, or after having looked at so many extents that the call has taken long; never before the first run.
    public func runs(at offset: UInt64, count: UInt64, most: Int = 1024) -> [(count: UInt64, isPresent: Bool)] {
        var result: [(count: UInt64, isPresent: Bool)] = []
        var offset = offset
        let end = offset + count
        var looks = 0
        func add(_ length: UInt64, _ isPresent: Bool) {
            offset += length
            if let last = result.last, last.isPresent == isPresent {
                result[result.count - 1].count += length
            } else {
                result.append((length, isPresent))
            }
        }
        while offset < end, result.count < most, looks < 4096 {
            looks += 1
            let index = Int(offset / UInt64(SparseExtent.bytes))
            guard let extent = table.find(index) else {
                let behind = (index / SparseTable.tableLength + 1) * SparseTable.tableLength
                add(min(end, UInt64(behind) * UInt64(SparseExtent.bytes)) - offset, false)
                continue
            }
            let start = Int(offset % UInt64(SparseExtent.bytes))
            let limit = start + Int(min(end - offset, UInt64(SparseExtent.bytes - start)))
            let (isPresent, runEnd) = Self.run(extent, at: start, limit: limit)
            add(UInt64(runEnd - start), isPresent)
        }
        return result
    }

    /// Bytes of its extents that are in the machine's memory now. Slow; for tests.
    package func residentBytes() -> Int {
        var resident = 0
        var map = [UInt8](repeating: 0, count: SparseExtent.pages)
        table.forEachExtent { memory in
            if mincore(memory, SparseExtent.bytes, &map) == 0 { resident += map.count { $0 & 1 != 0 } }
        }
        return resident * Self.pageSize
    }

    // MARK: - Extents and bits

    /// Cuts a range at the borders of extents.
    @inline(__always)
    private func forEachExtent<Failure: Error>(
        _ offset: UInt64, _ count: Int, _ body: (_ index: Int, _ start: Int, _ count: Int) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(offset <= Self.limit && UInt64(count) <= Self.limit - offset, "outside the memory")
        var index = Int(offset / UInt64(SparseExtent.bytes))
        var start = Int(offset % UInt64(SparseExtent.bytes))
        var left = count
        while left > 0 {
            let length = min(left, SparseExtent.bytes - start)
            try body(index, start, length)
            left -= length
            index += 1
            start = 0
        }
    }

    private static func isPresent(_ extent: UnsafeMutablePointer<SparseExtent>, _ page: Int) -> Bool {
        extent.pointee.present[page / 64].load(ordering: .acquiring) >> UInt64(page % 64) & 1 != 0
    }

    /// Whether the page at byte `start` is present, and the byte where that ends or `limit`.
    @inline(__always)
    private static func run(
        _ extent: UnsafeMutablePointer<SparseExtent>, at start: Int, limit: Int
    ) -> (isPresent: Bool, end: Int) {
        var page = start / pageSize
        let endPage = (limit + pageSize - 1) / pageSize
        // Pairs with the release in `setPresent`: the page's bytes are what they were when the bit was set, or newer.
        var word = extent.pointee.present[page / 64].load(ordering: .acquiring)
        let isPresent = word >> UInt64(page % 64) & 1 != 0
        while true {
            // Bits that differ from the first one end the run.
            let differing = (isPresent ? ~word : word) >> UInt64(page % 64)
            if differing != 0 {
                page += differing.trailingZeroBitCount
                break
            }
            page = (page / 64 + 1) * 64
            if page >= endPage { break }
            word = extent.pointee.present[page / 64].load(ordering: .acquiring)
        }
        return (isPresent, min(page * pageSize, limit))
    }

    /// The bits of pages `first` to `last` that lie in one word.
    private static func mask(_ word: Int, _ first: Int, _ last: Int) -> UInt64 {
        let low = max(first - word * 64, 0)
        let high = min(last - word * 64, 63)
        return (UInt64.max >> UInt64(63 - high)) & (UInt64.max << UInt64(low))
    }

    private static func countAbsent(_ extent: UnsafeMutablePointer<SparseExtent>, _ first: Int, _ last: Int) -> Int {
        (first / 64...last / 64).reduce(0) { sum, word in
            sum + (~extent.pointee.present[word].load(ordering: .relaxed) & mask(word, first, last)).nonzeroBitCount
        }
    }

    /// Sets or clears the bits of pages. Under the extent's lock.
    private static func setPresent(
        _ extent: UnsafeMutablePointer<SparseExtent>, _ first: Int, _ last: Int, _ value: Bool
    ) {
        for word in first / 64...last / 64 {
            // Pairs with the loads of `present`: what was copied before is seen by whoever sees the bit.
            if value {
                extent.pointee.present[word].bitwiseOr(mask(word, first, last), ordering: .releasing)
            } else {
                extent.pointee.present[word].bitwiseAnd(~mask(word, first, last), ordering: .releasing)
            }
        }
    }
}
