// SPDX-License-Identifier: Apache-2.0

/// Reads sectors the way Linux's page cache does, with a bound on the whole.
///
/// Sectors come in aligned pages of 4096 bytes: one bad sector hides the seven around it. Pages are kept, failed ones
/// too, so that a loop on the disk costs no reads.
///
/// - Invariant: `bytesRead <= PartitionScanLimits.bytes`, `reads <= PartitionScanLimits.reads`; a read that would go
///   past that fails.
struct PageReader<Source: PartitionSource> {
    private(set) var source: Source

    /// The size of the disk in sectors.
    let capacity: UInt64

    /// Sectors in a logical block.
    let sectorsPerBlock: UInt64

    /// What was asked of the source, answered or not.
    private(set) var bytesRead = 0

    /// How often the source was asked.
    private(set) var reads = 0

    /// What was looked at since it was last taken, kept only where a scan is explained.
    private var trail: SectorTrail?

    /// The first sector that could not be read, and the first that is not on the disk.
    private(set) var firstFailure: UInt64?
    private(set) var firstBeyondEnd: UInt64?

    /// Whether a read was refused because of the bound.
    private(set) var isExhausted = false

    /// The sectors of whole logical blocks: the device cannot read the rest. libblkid reads bytes, and can.
    private let readable: UInt64
    private var pages: [UInt64: Page] = [:]

    private enum Page {
        case bytes([UInt8])
        case failed
    }

    init(_ source: Source, isExplained: Bool = false, readsBytes: Bool = false) {
        self.source = source
        trail = isExplained ? SectorTrail() : nil
        capacity = source.capacity
        sectorsPerBlock = UInt64(source.logicalBlockSize / 512)
        readable = readsBytes ? capacity : capacity - capacity % sectorsPerBlock
    }

    /// The last logical block, nil if there is no whole one.
    var lastBlock: UInt64? {
        let blocks = capacity / sectorsPerBlock
        return blocks == 0 ? nil : blocks - 1
    }

    /// The sectors that were looked at since this was last asked.
    mutating func takeTrail() -> [Range<UInt64>] {
        trail?.take() ?? []
    }

    /// `count` bytes at any offset, or nil if not all of them can be read.
    mutating func bytes(at offset: UInt64, count: Int) -> TableBytes? {
        let within = Int(offset % 512)
        return read(sector: offset / 512, byteCount: within + count)?.part(at: within, count: count)
    }

    /// The 512 bytes of a sector, or nil.
    mutating func sector(_ sector: UInt64) -> TableBytes? {
        read(sector: sector, byteCount: 512)
    }

    /// The bytes of a logical block, or nil.
    mutating func block(_ block: UInt64) -> TableBytes? {
        read(block: block, byteCount: Int(sectorsPerBlock) * 512)
    }

    /// `byteCount` bytes from the start of a logical block, or nil if not all of them can be read.
    mutating func read(block: UInt64, byteCount: Int) -> TableBytes? {
        guard let lastBlock, block <= lastBlock else { return nil }
        return read(sector: block * sectorsPerBlock, byteCount: byteCount)
    }

    /// `byteCount` bytes from the start of a sector, or nil if not all of them can be read.
    mutating func read(sector: UInt64, byteCount: Int) -> TableBytes? {
        let count = UInt64((byteCount + 511) / 512)
        trail?.add(sector, count)
        guard sector < capacity, count <= capacity - sector else {
            let beyond = max(sector, capacity)
            firstBeyondEnd = firstBeyondEnd ?? beyond
            return fail(at: beyond)
        }
        guard sector < readable, count <= readable - sector else { return fail(at: max(sector, readable)) }

        var bytes: [UInt8] = []
        let pageRange = sector / 8...(sector + count - 1) / 8
        var page = pageRange.lowerBound
        while page <= pageRange.upperBound {
            guard let run = run(from: page, through: pageRange.upperBound) else {
                return fail(at: max(sector, page * 8))
            }
            bytes.append(contentsOf: run)
            page += UInt64((run.count + 4095) / 4096)
        }
        return TableBytes(bytes[...]).part(at: Int(sector % 8) * 512, count: byteCount)
    }

    /// The page, with as many of those after it as can be read in one go.
    ///
    /// Only single pages are kept: a table of 4 MiB is read once, and its pages are nobody else's.
    private mutating func run(from first: UInt64, through last: UInt64) -> [UInt8]? {
        switch pages[first] {
        case .bytes(let bytes): return bytes
        case .failed: return nil
        case nil: break
        }
        var length: UInt64 = 1
        while length < 16, length <= last - first, pages[first + length] == nil {
            length += 1
        }
        let bytes = readPages(first, length)
        if length == 1 {
            pages[first] = bytes.map { .bytes($0) } ?? .failed
        }
        return bytes
    }

    /// Asks the source, and checks its answer.
    private mutating func readPages(_ first: UInt64, _ length: UInt64) -> [UInt8]? {
        let count = Int(min(length * 8, readable - first * 8))
        guard bytesRead + count * 512 <= PartitionScanLimits.bytes, reads < PartitionScanLimits.reads else {
            isExhausted = true
            return nil
        }
        bytesRead += count * 512
        reads += 1
        assert(bytesRead <= PartitionScanLimits.bytes)
        guard let bytes = source.read(sector: first * 8, count: count), bytes.count == count * 512 else { return nil }
        return bytes
    }

    private mutating func fail(at sector: UInt64) -> TableBytes? {
        firstFailure = firstFailure ?? sector
        return nil
    }
}
