// SPDX-License-Identifier: Apache-2.0

/// A valid copy of a GPT.
struct GPTCopy {
    let header: GPTHeader
    let entries: TableBytes
}

extension PartitionScanner {
    /// Reads the GPT behind a protective MBR, from the copy that the policy allows.
    mutating func parseGPT() -> Verdict {
        guard let sector = reader.sector(0) else {
            return policy == .blkid ? .unreadable(sector: 0) : .notMine("sector 0 cannot be read")
        }
        guard let lastBlock = reader.lastBlock else { return .notMine("the disk is smaller than a block") }
        guard isProtective(BootRecord(sector)) else { return .notMine("no protective MBR in sector 0") }
        var alternates: [UInt64] = []
        let primaryFault: GPTFault
        do {
            let primary = try copy(at: 1, lastBlock: lastBlock, alternates: &alternates)
            if policy == .platter {
                checkBackup(of: primary.header, lastBlock: lastBlock)
            }
            return .claimed(partitions(of: primary, lastBlock: lastBlock))
        } catch {
            primaryFault = error
        }
        let primaryText = "GPT: the primary header at block 1 is bad (\(primaryFault))"
        switch policy {
        case .kernel:
            warnings.add("\(primaryText): refused")
            return .notMine("the primary header at block 1 is bad: \(primaryFault)")
        case .blkid where primaryFault.isUnreadable && reader.firstFailure.map { $0 < reader.capacity } == true:
            return .unreadable(sector: reader.sectorsPerBlock)
        case .blkid: alternates = [lastBlock]
        case .platter: alternates.append(lastBlock)
        }
        return parseBackup(in: alternates, primaryText, lastBlock: lastBlock)
    }

    /// Reads the first valid copy in one of these blocks: where the primary header says, and at the end of the disk.
    private mutating func parseBackup(in blocks: [UInt64], _ primaryText: String, lastBlock: UInt64) -> Verdict {
        var faults: [String] = []
        for (index, block) in blocks.enumerated() where blocks.firstIndex(of: block) == index && block != 1 {
            do {
                var ignored: [UInt64] = []
                let backup = try copy(at: block, lastBlock: lastBlock, alternates: &ignored)
                warnings.add("\(primaryText): read from the backup at block \(block)")
                return .claimed(partitions(of: backup, lastBlock: lastBlock))
            } catch {
                faults.append("the backup at block \(block) (\(error))")
            }
        }
        let text = faults.isEmpty ? primaryText : "\(primaryText), and so is \(faults.joined(separator: " and "))"
        warnings.add("\(text): refused")
        return .notMine(text)
    }

    /// Whether the MBR announces a GPT: a slot of type EE that starts in block 1. All else in it is free.
    private mutating func isProtective(_ record: BootRecord) -> Bool {
        guard record.isMarked, let protective = record.slots.first(where: \.isProtective) else { return false }
        if policy == .blkid || record.slots.contains(where: { $0.isProtective && $0.start == 1 }) { return true }
        warnings.add("protective MBR: starts at block \(protective.start) instead of 1: no GPT is looked for")
        return false
    }

    /// The copy whose header is in `block`. Where only its entries are bad, the header's word for the other copy is kept.
    private mutating func copy(
        at block: UInt64, lastBlock: UInt64, alternates: inout [UInt64]
    ) throws(GPTFault) -> GPTCopy {
        guard block <= lastBlock else { throw .outsideDisk }
        guard let bytes = reader.block(block) else { throw .unreadable }
        let header = try GPTHeader(bytes, at: block, lastBlock: lastBlock, policy: policy)
        alternates.append(header.alternateBlock)
        let length = header.entryCount * GPTHeader.entrySize
        guard let entries = reader.read(block: header.entriesBlock, byteCount: length) else {
            throw .entriesUnreadable
        }
        guard CRC32(of: entries.bytes).value == header.entriesChecksum else { throw .entriesChecksum }
        return GPTCopy(header: header, entries: entries)
    }

    /// Warns if the backup would not serve when the primary is lost.
    private mutating func checkBackup(of primary: GPTHeader, lastBlock: UInt64) {
        let block = primary.alternateBlock
        guard block != primary.ownBlock else {
            warnings.add("GPT: the primary header names itself as its backup")
            return
        }
        do {
            var ignored: [UInt64] = []
            let backup = try copy(at: block, lastBlock: lastBlock, alternates: &ignored).header
            if block != lastBlock {
                warnings.add("GPT: the backup header is at block \(block), not at the last one (\(lastBlock))")
            }
            let differences = primary.differences(from: backup)
            if !differences.isEmpty {
                warnings.add(
                    "GPT: the backup header at block \(block) differs (\(differences.joined(separator: ", "))): "
                        + "the primary is used")
            }
        } catch {
            warnings.add("GPT: the backup header at block \(block) is bad (\(error)): the primary is used")
        }
    }

    private mutating func partitions(of copy: GPTCopy, lastBlock: UInt64) -> ParsedTable {
        var table = ParsedTable(.gpt, id: copy.header.diskGUID, policy: policy)
        var beyondNumbers = 0
        for index in 0..<copy.header.entryCount {
            let entry = GPTEntry(bytes: copy.entries.part(at: index * GPTHeader.entrySize, count: GPTHeader.entrySize))
            guard entry.isUsed else { continue }
            guard index < table.slots.limit else {
                beyondNumbers += 1
                continue
            }
            let isOutside = entry.first < copy.header.firstUsable || entry.last > copy.header.lastUsable
            if policy == .blkid, isOutside { continue }
            guard let partition = partition(entry, number: index + 1, lastBlock: lastBlock) else { continue }
            if policy == .platter, isOutside {
                warnings.add("partition \(index + 1): lies outside the usable blocks: kept")
            }
            table.enter(partition)
        }
        if beyondNumbers > 0 {
            warnings.add("GPT: \(beyondNumbers) entries past number \(PartitionScanLimits.number): dropped")
        }
        return table
    }

    /// The partition of an entry, nil with a warning if it does not lie on the disk or has no blocks.
    private mutating func partition(_ entry: GPTEntry, number: Int, lastBlock: UInt64) -> PartitionEntry? {
        let (first, last) = (entry.first, entry.last)
        guard first <= lastBlock && last <= lastBlock || policy == .blkid else {
            warnings.add(
                "partition \(number): blocks \(first) to \(last) reach past the last one (\(lastBlock)): dropped")
            return nil
        }
        // To Linux and libblkid the size wraps; with a length of 0 there is no partition.
        guard first <= last || policy != .platter else {
            warnings.add("partition \(number): ends at block \(last), before it starts at \(first): dropped")
            return nil
        }
        let type = entry.type
        return PartitionEntry(
            number: number, start: first &* reader.sectorsPerBlock,
            size: (last &- first &+ 1) &* reader.sectorsPerBlock,
            type: type, uuid: entry.uuid, name: entry.name(policy), attributes: entry.attributes,
            isBootable: entry.attributes & 4 != 0, isRAID: type == "a19d880f-05fc-4d3b-a006-743f0f84911e")
    }
}
