// SPDX-License-Identifier: Apache-2.0

internal import CPlatter

/// A part of a file: data, or a hole that reads as zeroes and takes no room. In bytes.
public struct FileExtent: Sendable, Equatable {
    /// Where it begins.
    public var offset: UInt64
    /// How long it is; never zero.
    public var count: UInt64
    /// Whether it is a hole.
    public var isHole: Bool

    /// A part of a file.
    public init(offset: UInt64, count: UInt64, isHole: Bool) {
        self.offset = offset
        self.count = count
        self.isHole = isHole
    }
}

extension DiskFile {
    /// The part of the file that begins at `offset`, at most up to `end`: it is all data or all hole.
    ///
    /// What lies past the end of the file, or on a file system that does not tell, is data: reading it says the truth.
    /// - Context: may block.
    public func extent(at offset: UInt64, end: UInt64) -> FileExtent {
        let data = platter_file_seek(number, offset, 0)
        if data == Int64(-ENXIO) {
            // No data from here on: a hole up to the end of the file, if the offset still lies in it.
            let hole = platter_file_seek(number, offset, 1)
            guard hole >= 0, let size = try? facts().size, size > offset else {
                return FileExtent(offset: offset, count: end - offset, isHole: false)
            }
            return FileExtent(offset: offset, count: min(end, size) - offset, isHole: true)
        }
        guard data >= 0 else { return FileExtent(offset: offset, count: end - offset, isHole: false) }
        if UInt64(data) > offset {
            return FileExtent(offset: offset, count: min(end, UInt64(data)) - offset, isHole: true)
        }
        let hole = platter_file_seek(number, offset, 1)
        guard hole > 0, UInt64(hole) > offset else {
            return FileExtent(offset: offset, count: end - offset, isHole: false)
        }
        return FileExtent(offset: offset, count: min(end, UInt64(hole)) - offset, isHole: false)
    }
}
