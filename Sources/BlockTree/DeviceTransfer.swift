// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// One read, write, flush or zeroing of an open device file.
///
/// One thread at a time has it: whoever made it, then whoever took it out of the file's table.
final class DeviceTransfer: @unchecked Sendable {
    // SAFETY: handed from thread to thread through the lock of the file's table, and by the core's answer.

    enum Kind: Equatable {
        case read
        case write
        /// Not whole blocks: the blocks are read, changed and written back.
        case patch
        case command
        /// A read that asks why there is no size. If nothing is wrong, this error is answered; 0: the end of the file.
        case probe(Int32)
    }

    let unique: UInt64
    let kind: Kind
    let operation: BioOperation
    /// Whole blocks of the device.
    let range: SectorRange
    let flags: BioFlags
    /// Bytes of the first block before those that are asked for.
    let lead: Int
    /// Bytes asked for.
    let count: Int
    /// The data of a write, until it is submitted; of a patch, until it is put into its blocks.
    var payload: IOBuffer?
    /// A patch has read its blocks.
    var isWritingBack = false
    /// Its place in the disk's line; 0: it needs none.
    var ticket: UInt64 = 0

    init(
        _ unique: UInt64, _ kind: Kind, _ operation: BioOperation, _ range: SectorRange, flags: BioFlags = [],
        lead: Int = 0, count: Int = 0, payload: consuming IOBuffer? = nil
    ) {
        self.unique = unique
        self.kind = kind
        self.operation = operation
        self.range = range
        self.flags = flags
        self.lead = lead
        self.count = count
        self.payload = payload
    }

    var bytes: Int { Int(range.count) * sectorSize }

    /// What it keeps in memory of what the kernel has sent, for as long as it is under way: whole pages.
    var kept: Int { operation == .write ? (max(count, 1) + 4095) / 4096 * 4096 : 0 }

    /// Whether its submitter may be let go although the driver has it: nothing depends on whether it is done.
    var mayBeGivenUp: Bool { operation == .read || operation == .flush }
}
