// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import BlockSystem

/// An image file or a block device as something a partition table can be read from.
struct FilePartitionSource: PartitionSource {
    let capacity: UInt64
    let logicalBlockSize: Int
    private let file: DiskFile

    /// - Throws: ``SystemError`` where it cannot be opened or is neither.
    init(path: String, blockSize: Int?) throws(SystemError) {
        file = try DiskFile.open(path, [])
        let facts = try file.facts()
        switch facts.kind {
        case .regular, .blockDevice: break
        case .directory: throw SystemError(errno: 21)  // EISDIR
        case .other: throw SystemError(errno: 15)  // ENOTBLK
        }
        capacity = facts.size / 512
        logicalBlockSize = blockSize ?? facts.logicalBlockSize
    }

    mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        guard let buffer = try? IOBuffer(count: count * 512) else { return nil }
        var done = 0
        while done < buffer.count {
            let result = file.perform(
                .read(at: sector * 512 + UInt64(done), into: buffer.memory.slice(done, buffer.count - done)))
            guard result > 0 else { return nil }
            done += result
        }
        return buffer.memory.array
    }

    /// All bytes of a small file.
    /// - Throws: ``SystemError`` where it cannot be read, EFBIG where it is larger than that.
    static func contents(of path: String, atMost limit: UInt64) throws(SystemError) -> [UInt8] {
        let file = try DiskFile.open(path, [])
        let size = try file.facts().size
        guard size <= limit else { throw SystemError(errno: 27) }  // EFBIG
        let buffer = try IOBuffer(count: Int(size))
        var done = 0
        while done < buffer.count {
            let result = file.perform(.read(at: UInt64(done), into: buffer.memory.slice(done, buffer.count - done)))
            guard result > 0 else { throw SystemError(errno: 5) }  // EIO
            done += result
        }
        return buffer.memory.array
    }
}
