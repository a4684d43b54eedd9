// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

/// Where all counters of all gates live: chunks of address space, one for each registered thread and a few that the
/// other threads share, each with a stripe of 128 bytes for every index, and behind the stripes a page of histograms for
/// every disk.
///
/// - A stripe is never unmapped and never reset, only reused: a late access finds memory of the same kind.
/// - Pages come into being when they are first written, so an idle disk costs none.
final class StripeArena: @unchecked Sendable {
    // SAFETY: `chunks` and `states` are raw memory reached by atomic operations only; the lists are behind the lock.

    /// The one arena; it lives as long as the process.
    static let shared = StripeArena()

    static let stripeBytes = 128
    /// How many gates and partitions can count at a time.
    static let indexLimit = 65536
    static let stripesBytes = indexLimit * stripeBytes
    /// How many disks can have histograms at a time; page 0 is for those beyond.
    static let pageLimit = 16384
    static let pageBytes = 4096
    static let sharedChunks = 4
    static let chunkLimit = 256

    private struct Lists {
        var nextIndex = 1
        var freeIndexes: [Int] = []
        var freeChunks: [UInt] = []
        var nextPage = 1
        var freePages: [Int] = []
    }

    private let chunks: UnsafeMutablePointer<Atomic<UInt>>
    private let chunkCount = Atomic<Int>(0)
    private let states: UnsafeMutableRawPointer
    private let lists = Lock(Lists())
    /// What the reaper sleeps on: immortal, so that the last leaver may wake it without owning anything.
    let wakeWord: UnsafeMutablePointer<Atomic<UInt32>>
    /// Whether the closer can make all other threads pass a memory barrier.
    let hasMembarrier: Bool

    private init() {
        chunks = .allocate(capacity: Self.chunkLimit)
        for slot in 0..<Self.chunkLimit { (chunks + slot).initialize(to: Atomic(0)) }
        wakeWord = .allocate(capacity: 16)
        wakeWord.initialize(to: Atomic(0))
        guard let states = platter_reserve(Self.indexLimit * 64) else {
            invariantBroken("no address space for the gates")
        }
        self.states = states
        hasMembarrier =
            platter_under_thread_sanitizer() == 0
            && platter_membarrier(Int32(PLATTER_MEMBARRIER_REGISTER_EXPEDITED)) == 0
            && platter_membarrier(Int32(PLATTER_MEMBARRIER_EXPEDITED)) == 0
        for _ in 0..<Self.sharedChunks where newChunk() == 0 {
            invariantBroken("no address space for the gates' counters")
        }
    }

    private func newChunk() -> UInt {
        guard let memory = platter_reserve(Self.stripesBytes + Self.pageLimit * Self.pageBytes) else { return 0 }
        let address = UInt(bitPattern: memory)
        return lists.withLock { _ in
            let count = chunkCount.load(ordering: .relaxed)
            guard count < Self.chunkLimit else { return 0 }
            chunks[count].store(address, ordering: .relaxed)
            // Pairs with the load in `sum`: whoever sees the count sees the address.
            chunkCount.store(count + 1, ordering: .releasing)
            return address
        }
    }

    /// Gives the calling thread a chunk of its own; without one left it goes on sharing.
    func adoptThread() {
        guard hasMembarrier, platter_get_stripes() == 0 else { return }
        // The lock hands the chunk's plain stores from its last owner to this thread.
        var chunk = lists.withLock { $0.freeChunks.popLast() ?? 0 }
        if chunk == 0, chunkCount.load(ordering: .relaxed) < Self.chunkLimit { chunk = newChunk() }
        platter_set_stripes(chunk)
    }

    /// Takes the chunk back; from now on the thread shares.
    func releaseThread() {
        let chunk = platter_get_stripes()
        guard chunk != 0 else { return }
        platter_set_stripes(0)
        lists.withLock { $0.freeChunks.append(chunk) }
    }

    /// An index that nobody counts under; nil when all are taken.
    func takeIndex() -> Int? {
        lists.withLock { lists in
            if let index = lists.freeIndexes.popLast() { return index }
            guard lists.nextIndex < Self.indexLimit else { return nil }
            defer { lists.nextIndex += 1 }
            return lists.nextIndex
        }
    }

    func giveBack(index: Int) { lists.withLock { $0.freeIndexes.append(index) } }

    /// Indexes in use: what the tests hold against a baseline.
    var indexesInUse: Int { lists.withLock { $0.nextIndex - 1 - $0.freeIndexes.count } }

    // MARK: Pages of histograms

    /// A page that nobody counts in; 0 when all are taken.
    func takePage() -> Int {
        lists.withLock { lists in
            if let page = lists.freePages.popLast() { return page }
            guard lists.nextPage < Self.pageLimit else { return 0 }
            defer { lists.nextPage += 1 }
            return lists.nextPage
        }
    }

    /// The memory goes back to the system, so the page starts at zero with its next owner.
    func giveBack(page: Int) {
        guard page != 0 else { return }
        for slot in 0..<chunkCount.load(ordering: .acquiring) {
            let address = chunks[slot].load(ordering: .relaxed) + UInt(Self.stripesBytes + page * Self.pageBytes)
            madvise(UnsafeMutableRawPointer(bitPattern: address), Self.pageBytes, MADV_DONTNEED)
        }
        lists.withLock { $0.freePages.append(page) }
    }

    /// Pages in use.
    var pagesInUse: Int { lists.withLock { $0.nextPage - 1 - $0.freePages.count } }

    /// The cells at an offset in each chunk.
    func eachChunk(offset: UInt, _ body: (UnsafeMutablePointer<Atomic<UInt64>>) -> Void) {
        for slot in 0..<chunkCount.load(ordering: .acquiring) {
            body(Self.cells(chunks[slot].load(ordering: .relaxed) + offset))
        }
    }

    func state(index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (states + index * 64).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The stripe that the calling thread shares with others.
    func sharedStripe(offset: UInt) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let chunk = chunks[Int(platter_thread_hash() % UInt(Self.sharedChunks))].load(ordering: .relaxed)
        return Self.cells(chunk + offset)
    }

    /// The sum of one cell over all threads, each read with acquire.
    func sum(offset: UInt, cell: Int, sequentially: Bool) -> UInt64 {
        var total: UInt64 = 0
        for slot in 0..<chunkCount.load(ordering: .acquiring) {
            let cells = Self.cells(chunks[slot].load(ordering: .relaxed) + offset)
            total &+=
                sequentially
                ? cells[cell].load(ordering: .sequentiallyConsistent) : cells[cell].load(ordering: .acquiring)
        }
        return total
    }

    private static func cells(_ address: UInt) -> UnsafeMutablePointer<Atomic<UInt64>> {
        guard let pointer = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address) else {
            invariantBroken("a stripe without an address")
        }
        return pointer
    }
}
