// SPDX-License-Identifier: Apache-2.0

/// How an open file gives up or sets to zero a part of itself.
public enum FileSpace: Sendable, Equatable {
    /// The range becomes a hole: its blocks go back to the file system, and it reads as zeroes.
    case punchHole
    /// The range reads as zeroes and stays allocated.
    case zeroRange
}

/// One system call on a ``DiskFile``: made at once by ``DiskFile/perform(_:)``, or queued by ``Ring``.
///
/// The result is the system call's: a count or zero, or a negative error number. A transfer may be short.
public enum FileCall: Sendable {
    /// Fills the memory from the offset.
    case read(at: UInt64, into: IOMemory)
    /// Puts the memory at the offset; `durable`: this write is on the medium when it is answered.
    case write(at: UInt64, from: IOMemory, durable: Bool)
    /// Makes durable what was written so far, and of the metadata what is needed to read it back.
    case sync
    /// Gives up or zeroes a range. Never changes the size of the file.
    case space(FileSpace, at: UInt64, count: UInt64)
}
