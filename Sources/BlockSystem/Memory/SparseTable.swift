// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

/// What is known of one extent: where its memory is, and which of its 512 pages are present. All zero at first.
struct SparseExtent: ~Copyable {
    /// The address of its memory; 0: none yet. Set once, under the extent's lock, and never changed again.
    let address: Atomic<UInt>
    /// A bit for each page, lowest first: present. A page whose bit is 0 reads as zeroes, whatever its memory holds.
    let present: InlineArray<8, Atomic<UInt64>>
    private let padding: InlineArray<7, UInt64>

    static let pageSize = 4096
    static let bytes = 2 << 20
    static let pages = bytes / pageSize
}

/// Finds the record of an extent: a directory of tables, both in address space that costs memory only where it is used.
///
/// Nothing is taken away before the end of its life, so readers need no lock.
struct SparseTable: ~Copyable {
    static let tableLength = 4096
    static let directoryLength = 32768
    /// How many extents there can be: 256 TiB.
    static let limit = tableLength * directoryLength

    private let directory: UnsafeMutablePointer<Atomic<UInt>>
    private let growing = Lock(0)

    private static let directoryBytes = directoryLength * MemoryLayout<Atomic<UInt>>.stride
    private static let tableBytes = tableLength * MemoryLayout<SparseExtent>.stride

    /// - Throws: ENOMEM.
    init() throws(SystemError) {
        guard let memory = platter_reserve(Self.directoryBytes) else { throw SystemError(errno: ENOMEM) }
        // Fresh pages are zero, which is how an atomic that holds 0 looks.
        directory = memory.assumingMemoryBound(to: Atomic<UInt>.self)
    }

    deinit {
        forEachTable { table in
            for index in 0..<Self.tableLength {
                let address = table[index].address.load(ordering: .relaxed)
                if let memory = UnsafeMutableRawPointer(bitPattern: address) { munmap(memory, SparseExtent.bytes) }
            }
            munmap(table, Self.tableBytes)
        }
        munmap(directory, Self.directoryBytes)
    }

    /// The record of an extent; nil if nothing near it was ever written.
    @inline(__always)
    func find(_ index: Int) -> UnsafeMutablePointer<SparseExtent>? {
        // Pairs with the store in `make`: the table's pages are mapped.
        let table = directory[index / Self.tableLength].load(ordering: .acquiring)
        guard let table = UnsafeMutablePointer<SparseExtent>(bitPattern: table) else { return nil }
        return table + index % Self.tableLength
    }

    /// The record of an extent, made if it is not there.
    /// - Throws: ENOMEM.
    func make(_ index: Int) throws(SystemError) -> UnsafeMutablePointer<SparseExtent> {
        if let found = find(index) { return found }
        return try growing.withLock { _ throws(SystemError) in
            if let found = find(index) { return found }
            guard let memory = platter_reserve(Self.tableBytes) else { throw SystemError(errno: ENOMEM) }
            // Pairs with the load in `find`.
            directory[index / Self.tableLength].store(UInt(bitPattern: memory), ordering: .releasing)
            return memory.assumingMemoryBound(to: SparseExtent.self) + index % Self.tableLength
        }
    }

    private func forEachTable(_ body: (UnsafeMutablePointer<SparseExtent>) -> Void) {
        for index in 0..<Self.directoryLength {
            // An entry of a page that was never written reads as zero and costs no memory.
            let table = directory[index].load(ordering: .acquiring)
            if let table = UnsafeMutablePointer<SparseExtent>(bitPattern: table) { body(table) }
        }
    }

    /// Visits the memory of each extent that has some.
    func forEachExtent(_ body: (UnsafeMutableRawPointer) -> Void) {
        forEachTable { table in
            for index in 0..<Self.tableLength {
                let address = table[index].address.load(ordering: .acquiring)
                if let memory = UnsafeMutableRawPointer(bitPattern: address) { body(memory) }
            }
        }
    }
}
