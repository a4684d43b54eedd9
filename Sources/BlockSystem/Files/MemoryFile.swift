// SPDX-License-Identifier: Apache-2.0

internal import CPlatter

/// A file without a name, in memory, for a program that is handed it: sparse, so that a few pieces of something large can
/// stand in it where they stood there.
public final class MemoryFile: Sendable {
    private let number: Int32

    /// A file of this size, all holes.
    public init(name: String, size: UInt64) throws(SystemError) {
        let result = platter_memory_file(name)
        guard result >= 0 else { throw SystemError(errno: -result) }
        number = result
        let sized = platter_file_truncate(result, size)
        guard sized == 0 else {
            platter_file_close(result)
            throw SystemError(errno: -sized)
        }
    }

    deinit { platter_file_close(number) }

    /// Puts bytes at an offset.
    public func write(_ memory: IOMemory, at offset: UInt64) throws(SystemError) {
        var done = 0
        while done < memory.count {
            let rest = memory.slice(done, memory.count - done)
            let count = platter_file_write(number, rest.address, rest.count, offset + UInt64(done), 0)
            guard count > 0 else { throw SystemError(errno: count < 0 ? Int32(-count) : 5) }
            done += Int(count)
        }
    }

    /// By which a child gets it.
    var rawNumber: Int32 { number }
}

extension ChildProcess {
    /// Starts a helper with a file as its descriptor 3, and keeps what it writes.
    public static func helper(
        _ path: String, _ arguments: [String], reading file: MemoryFile
    ) throws(SystemError) -> ChildProcess {
        try helper(path, arguments, .kept(output: true, errors: false), third: file.rawNumber)
    }
}
