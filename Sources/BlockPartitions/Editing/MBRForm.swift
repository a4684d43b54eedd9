// SPDX-License-Identifier: Apache-2.0

/// An MBR that is edited, without its partitions: boot code, and the chain of its extended partition.
struct MBRForm: Equatable {
    /// The boot record of a logical partition, which stands before it.
    struct Record: Equatable {
        var block: UInt64
        /// Its 512 bytes, boot code and all; of a new one only the mark.
        var bytes: [UInt8]
    }

    /// Sector 0 as it was read.
    var record: [UInt8]
    /// The boot records as they were read, in the order of the chain; the first stands where the extended partition does.
    var chain: [Record] = []
    /// Why logical partitions cannot be edited; nil: they can. The chain then stays as it is.
    var oddity: String?
    /// The blocks of logical partitions that cannot be edited, some of which may lie outside of the extended one.
    var reserved: [Range<UInt64>] = []
    /// The partitions as they were read, by number.
    var read: [Int: DraftPartition] = [:]
    /// The blocks of the boot records of the logical partitions, from number 5 on, as they are to be.
    var recordBlocks: [UInt64] = []
    /// Headers of a GPT that are to go once the MBR counts.
    var staleBlocks: [UInt64] = []

    static let blank: [UInt8] = {
        var bytes = [UInt8](repeating: 0, count: 512)
        bytes.put(UInt16(0xAA55), at: 0x1FE)
        return bytes
    }()

    var signature: UInt32 { TableBytes(record[...]).u32(at: 0x1B8) }

    /// An empty table.
    init(
        new record: [UInt8], signature: UInt32?, using generator: inout some RandomNumberGenerator
    ) {
        self.record = record
        self.record.put([UInt8](repeating: 0, count: 66), at: 0x1BE)
        self.record.put(signature ?? UInt32.random(in: 1...UInt32.max, using: &generator), at: 0x1B8)
        self.record.put(UInt16(0xAA55), at: 0x1FE)
    }

    init(_ record: [UInt8]) { self.record = record }

    /// The signature that a text says.
    static func signature(_ identity: String) throws(TableEditError) -> UInt32 {
        let digits = identity.lowercased().hasPrefix("0x") ? identity.dropFirst(2) : identity[...]
        guard let number = UInt32(digits, radix: 16) else {
            throw TableEditError("'\(identity)' is no identity of an MBR: that is 8 hex digits")
        }
        return number
    }

    /// The place of a slot's 16 bytes in a boot record.
    static func slot(_ index: Int) -> Int { 0x1BE + 16 * index }
}

// MARK: - Reading

extension MBRForm {
    /// The partitions of the slots, and those of the chain if it is one that we would write.
    mutating func takePartitions(
        _ shape: DiskShape, record: (UInt64) -> [UInt8]?
    ) -> [DraftPartition] {
        let slots = BootRecord(TableBytes(self.record[...])).slots
        var partitions = slots.enumerated().compactMap { index, slot in
            slot.isUsed ? DraftPartition(slot, number: index + 1, start: UInt64(slot.start)) : nil
        }
        let extended = partitions.filter(\.isExtended)
        if extended.count > 1 {
            oddity = "it has \(extended.count) extended partitions"
        } else if let extended = extended.first {
            partitions += walk(extended, shape, record: record)
        }
        read = Dictionary(uniqueKeysWithValues: partitions.map { ($0.number, $0) })
        return partitions
    }

    private mutating func walk(
        _ extended: DraftPartition, _ shape: DiskShape, record: (UInt64) -> [UInt8]?
    ) -> [DraftPartition] {
        var logicals: [DraftPartition] = []
        var block = extended.start
        do throws(TableEditError) {
            while true {
                guard block >= extended.start, block < extended.end, block > 0, block < shape.blocks,
                    !chain.contains(where: { $0.block == block }), chain.count < PartitionScanLimits.number - 4
                else { throw TableEditError("its chain leads to block \(block)") }
                guard let bytes = record(block) else { throw TableEditError("block \(block) cannot be read") }
                let found = BootRecord(TableBytes(bytes[...]))
                guard found.isMarked else { throw TableEditError("block \(block) is no boot record") }
                let (data, link) = (found.slots[0], found.slots[1])
                guard !data.isExtended || !data.isUsed, link.isExtended || !link.isUsed,
                    found.slots[2...].allSatisfy({ !$0.isUsed })
                else { throw TableEditError("the boot record in block \(block) is laid out in another way") }
                chain.append(Record(block: block, bytes: bytes))
                if data.isUsed {
                    let start = block + UInt64(data.start)
                    logicals.append(DraftPartition(data, number: 5 + logicals.count, start: start))
                    recordBlocks.append(block)
                    guard data.start > 0, start + UInt64(data.count) <= extended.end else {
                        throw TableEditError("partition \(4 + logicals.count) does not lie in it")
                    }
                } else if chain.count > 1 || link.isUsed {
                    throw TableEditError("the boot record in block \(block) has no partition")
                }
                guard link.isUsed else { return logicals }
                block = extended.start + UInt64(link.start)
            }
        } catch {
            oddity = error.reason
            (chain, recordBlocks) = ([], [])
            return []
        }
    }
}

extension DraftPartition {
    fileprivate init(_ slot: BootSlot, number: Int, start: UInt64) {
        self.init(
            number: number, start: start, count: UInt64(slot.count), type: "0x" + hex(slot.type),
            isBootable: slot.bootByte == 0x80)
    }
}

// MARK: - Writing

extension MBRForm {
    /// The 16 bytes of a slot; those that were there, if they say the same.
    private static func slot(_ one: DraftPartition, from base: UInt64, was: ArraySlice<UInt8>?) -> [UInt8] {
        let start = UInt32(clamping: one.start - base)
        let code = UInt8(one.type.dropFirst(2), radix: 16) ?? 0
        if let was {
            let old = BootSlot(TableBytes(was))
            let boots = (old.bootByte == 0x80) == one.isBootable
            if old.type == code, old.start == start, UInt64(old.count) == one.count, boots { return Array(was) }
        }
        var bytes = [UInt8](repeating: 0, count: 16)
        bytes[0] = one.isBootable ? 0x80 : 0
        bytes.put(cylinders(one.start), at: 1)
        bytes[4] = code
        bytes.put(cylinders(one.end - 1), at: 5)
        bytes.put(start, at: 8)
        bytes.put(UInt32(clamping: one.count), at: 12)
        return bytes
    }

    /// Head, sector and cylinder as a BIOS counts a disk of 255 heads and 63 sectors; the greatest where that ends.
    private static func cylinders(_ block: UInt64) -> [UInt8] {
        let (cylinder, within) = (block / 16065, block % 16065)
        guard cylinder < 1024 else { return [0xFE, 0xFF, 0xFF] }
        return [
            UInt8(within / 63), UInt8(within % 63 + 1) | UInt8(cylinder >> 8) << 6,
            UInt8(truncatingIfNeeded: cylinder),
        ]
    }

    private func sector0(_ partitions: [DraftPartition]) -> [UInt8] {
        var bytes = record
        for index in 0..<4 {
            let place = Self.slot(index)
            guard let one = partitions.first(where: { $0.number == index + 1 }) else {
                if read[index + 1] != nil { bytes.put([UInt8](repeating: 0, count: 16), at: place) }
                continue
            }
            bytes.put(Self.slot(one, from: 0, was: record[place..<place + 16]), at: place)
        }
        return bytes
    }

    /// The boot records of the chain as they are to be.
    private func records(_ partitions: [DraftPartition]) -> [Record] {
        guard oddity == nil, let extended = partitions.first(where: \.isExtended) else { return [] }
        let logicals = partitions.filter { $0.number > 4 }
        guard !logicals.isEmpty else {
            var bytes = chain.first { $0.block == extended.start }?.bytes ?? Self.blank
            bytes.put([UInt8](repeating: 0, count: 32), at: Self.slot(0))
            return [Record(block: extended.start, bytes: bytes)]
        }
        return logicals.enumerated().map { index, one in
            let block = recordBlocks[index]
            let old = chain.first { $0.block == block }?.bytes
            var bytes = old ?? Self.blank
            let data = Self.slot(0)
            bytes.put(Self.slot(one, from: block, was: old?[data..<data + 16]), at: data)
            let place = Self.slot(1)
            guard index + 1 < logicals.count else {
                bytes.put([UInt8](repeating: 0, count: 16), at: place)
                return Record(block: block, bytes: bytes)
            }
            let next = logicals[index + 1]
            let from = recordBlocks[index + 1]
            var link = DraftPartition(number: 0, start: from, count: next.end - from, type: "0x5")
            if let old, case let was = BootSlot(TableBytes(old[place..<place + 16])), was.isExtended {
                link.type = "0x" + hex(was.type)
                // To what did not change it keeps the length that it had.
                let isSame = read.values.contains { $0.start == next.start && $0.count == next.count && $0.number > 4 }
                if isSame { link.count = UInt64(was.count) }
            }
            bytes.put(Self.slot(link, from: extended.start, was: old?[place..<place + 16]), at: place)
            return Record(block: block, bytes: bytes)
        }
    }

    /// The writes in their order: boot records that nothing leads to yet, then those of the chain from its end, then
    /// sector 0, which is one write that counts as a whole.
    func groups(_ partitions: [DraftPartition], _ shape: DiskShape) -> [[TableWrite]] {
        let size = UInt64(shape.blockSize)
        let wanted = records(partitions)
        let isOld = { (record: Record) in chain.contains { $0.block == record.block } }
        func write(_ record: Record) -> TableWrite {
            TableWrite(offset: record.block * size, bytes: record.bytes, what: "boot record in block \(record.block)")
        }
        var groups = [wanted.filter { !isOld($0) }.map(write)]
        groups += wanted.filter(isOld).reversed().map { [write($0)] }
        groups.append([TableWrite(offset: 0, bytes: sector0(partitions), what: "master boot record")])
        let isFree = { (block: UInt64) in !partitions.contains { $0.start <= block && block < $0.end } }
        groups += staleBlocks.filter(isFree).map { block in
            [
                TableWrite(
                    offset: block * size, bytes: [UInt8](repeating: 0, count: shape.blockSize), what: "old GPT header")
            ]
        }
        return groups
    }
}
