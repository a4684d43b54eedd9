// SPDX-License-Identifier: Apache-2.0

/// The header of one copy of a GPT, checked.
struct GPTHeader {
    let ownBlock: UInt64
    let alternateBlock: UInt64
    let firstUsable: UInt64
    let lastUsable: UInt64
    let diskGUID: String
    let entriesBlock: UInt64
    let entryCount: Int
    let entriesChecksum: UInt32

    static let entrySize = 128

    /// The greatest table of entries, in bytes: what Linux can allocate in one piece.
    ///
    /// libblkid would read 4 GiB; to us a copy that announces more than Linux takes is bad by all rules.
    static let greatestTable = 4 << 20

    /// Reads the header in the logical block `bytes`, which came from block `block`.
    init(
        _ bytes: TableBytes, at block: UInt64, lastBlock: UInt64, policy: PartitionPolicy
    ) throws(GPTFault) {
        guard bytes.bytes.starts(with: "EFI PART".utf8) else { throw .noSignature }
        let headerSize = bytes.u32(at: 12)
        guard headerSize >= 92, headerSize <= bytes.count else { throw .headerSize(headerSize) }
        guard Self.checksum(of: bytes.part(at: 0, count: Int(headerSize))) == bytes.u32(at: 16) else {
            throw .headerChecksum
        }
        ownBlock = bytes.u64(at: 24)
        guard ownBlock == block else { throw .ownBlock(ownBlock) }
        alternateBlock = bytes.u64(at: 32)
        firstUsable = bytes.u64(at: 40)
        guard firstUsable <= lastBlock else { throw .firstUsable(firstUsable) }
        lastUsable = bytes.u64(at: 48)
        guard lastUsable <= lastBlock else { throw .lastUsable(lastUsable) }
        guard lastUsable >= firstUsable else { throw .usableOrder }
        if policy == .blkid, firstUsable < block, block < lastUsable { throw .headerInside }
        diskGUID = guidText(bytes.part(at: 56, count: 16))

        let entrySize = bytes.u32(at: 84)
        guard entrySize == Self.entrySize else { throw .entrySize(entrySize) }
        let count = bytes.u32(at: 80)
        guard count > 0, count <= Self.greatestTable / Self.entrySize else { throw .entryCount(count) }
        entryCount = Int(count)
        entriesBlock = bytes.u64(at: 72)
        guard entriesBlock <= lastBlock else { throw .entriesOutside(entriesBlock) }
        entriesChecksum = bytes.u32(at: 88)
    }

    /// The sum of a header, with its checksum field taken as zero.
    private static func checksum(of header: TableBytes) -> UInt32 {
        var sum = CRC32(of: header.part(at: 0, count: 16).bytes)
        sum.update([0, 0, 0, 0])
        sum.update(header.part(at: 20, count: header.count).bytes)
        return sum.value
    }

    /// What this copy and the other one say differently, though they must agree.
    func differences(from other: GPTHeader) -> [String] {
        var fields: [String] = []
        if alternateBlock != other.ownBlock || other.alternateBlock != ownBlock { fields.append("positions") }
        if firstUsable != other.firstUsable || lastUsable != other.lastUsable { fields.append("usable blocks") }
        if diskGUID != other.diskGUID { fields.append("disk GUID") }
        if entryCount != other.entryCount { fields.append("entry count") }
        if entriesChecksum != other.entriesChecksum { fields.append("entries") }
        return fields
    }
}
