// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension SparseMemory {
    /// Copies a file in, from its first byte to its last. Holes and pages of zeroes stay absent.
    ///
    /// - Context: blocks; for the time before the memory is anybody's disk.
    /// - Throws: the file's error, ENOMEM, or EIO when the file ends before `size`.
    public func load(_ file: DiskFile, size: UInt64) throws(SystemError) {
        let buffer = try IOBuffer(count: 1 << 20)
        var offset: UInt64 = 0
        while offset < size {
            let extent = file.extent(at: offset, end: size)
            if !extent.isHole { try loadData(file, extent, through: buffer.memory) }
            offset += extent.count
        }
    }

    private func loadData(_ file: DiskFile, _ extent: FileExtent, through memory: IOMemory) throws(SystemError) {
        var offset = extent.offset
        let end = extent.offset + extent.count
        while offset < end {
            let want = memory.slice(0, Int(min(UInt64(memory.count), end - offset)))
            let got = file.perform(.read(at: offset, into: want))
            guard got > 0 else { throw SystemError(errno: got < 0 ? Int32(-got) : EIO) }
            try storeNonZero(want.slice(0, got), at: offset)
            offset += UInt64(got)
        }
    }

    /// Writes the pieces that are not all zero, cut at the borders of pages.
    private func storeNonZero(_ memory: IOMemory, at offset: UInt64) throws(SystemError) {
        var done = 0
        while done < memory.count {
            let intoPage = Int((offset + UInt64(done)) % UInt64(Self.pageSize))
            let piece = memory.slice(done, min(Self.pageSize - intoPage, memory.count - done))
            if !piece.isZero { try write(at: offset + UInt64(done), from: piece) }
            done += piece.count
        }
    }
}
