// SPDX-License-Identifier: Apache-2.0

/// A valid copy of a GPT.
struct GPTCopy {
    let header: GPTHeader
    let entries: TableBytes
}

extension PartitionScanner {
    /// Reads the GPT behind a protective MBR, from the copy that the policy allows.
    mutating func parseGPT() -> Verdict {
        guard let sector = reader.sector(0), let lastBlock = reader.lastBlock else { return .notMine }
        guard isProtective(BootRecord(sector)) else { return .notMine }
        let primaryFault: GPTFault
        do {
            let primary = try copy(at: 1, lastBlock: lastBlock)
            if policy == .platter {
                checkBackup(of: primary.header, lastBlock: lastBlock)
            }
            return .claimed(partitions(of: primary, lastBlock: lastBlock))
        } catch {
            primaryFault = error
        }
        let primaryText = "GPT: the primary header at block 1 is bad (\(primaryFault))"
        guard policy == .platter else {
            warnings.add("\(primaryText): refused")
            return .notMine
        }
        do {
            let backup = try copy(at: lastBlock, lastBlock: lastBlock)
            warnings.add("\(primaryText): read from the backup at block \(lastBlock)")
            return .claimed(partitions(of: backup, lastBlock: lastBlock))
        } catch {
            warnings.add("\(primaryText), and so is the backup at block \(lastBlock) (\(error)): refused")
            return .notMine
        }
    }

    /// Whether the MBR announces a GPT: a slot of type EE that starts in block 1. All else in it is free.
    private mutating func isProtective(_ record: BootRecord) -> Bool {
        guard record.isMarked, let protective = record.slots.first(where: \.isProtective) else { return false }
        if record.slots.contains(where: { $0.isProtective && $0.start == 1 }) { return true }
        warnings.add("protective MBR: starts at block \(protective.start) instead of 1: no GPT is looked for")
        return false
    }

    /// The copy whose header is in `block`.
    private mutating func copy(at block: UInt64, lastBlock: UInt64) throws(GPTFault) -> GPTCopy {
        guard block <= lastBlock else { throw .outsideDisk }
        guard let bytes = reader.block(block) else { throw .unreadable }
        let header = try GPTHeader(bytes, at: block, lastBlock: lastBlock)
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
            let backup = try copy(at: block, lastBlock: lastBlock).header
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
        var table = ParsedTable(kind: .gpt, id: copy.header.diskGUID)
        var beyondNumbers = 0
        for index in 0..<copy.header.entryCount {
            let entry = GPTEntry(bytes: copy.entries.part(at: index * GPTHeader.entrySize, count: GPTHeader.entrySize))
            guard entry.isUsed else { continue }
            guard index < PartitionScanLimits.number else {
                beyondNumbers += 1
                continue
            }
            guard let partition = partition(entry, number: index + 1, lastBlock: lastBlock) else { continue }
            if policy == .platter, entry.first < copy.header.firstUsable || entry.last > copy.header.lastUsable {
                warnings.add("partition \(index + 1): lies outside the usable blocks: kept")
            }
            table.slots.enter(ParsedPartition(entry: partition))
        }
        if beyondNumbers > 0 {
            warnings.add("GPT: \(beyondNumbers) entries past number \(PartitionScanLimits.number): dropped")
        }
        return table
    }

    /// The partition of an entry, nil with a warning if it does not lie on the disk or has no blocks.
    private mutating func partition(_ entry: GPTEntry, number: Int, lastBlock: UInt64) -> PartitionEntry? {
        let (first, last) = (entry.first, entry.last)
        guard first <= lastBlock, last <= lastBlock else {
            warnings.add(
                "partition \(number): blocks \(first) to \(last) reach past the last one (\(lastBlock)): dropped")
            return nil
        }
        guard first <= last else {
            warnings.add("partition \(number): ends at block \(last), before it starts at \(first): dropped")
            return nil
        }
        let type = entry.type
        return PartitionEntry(
            number: number, start: first * reader.sectorsPerBlock, size: (last - first + 1) * reader.sectorsPerBlock,
            type: type, uuid: entry.uuid, name: entry.name(policy), attributes: entry.attributes,
            isBootable: entry.attributes & 4 != 0, isRAID: type == "a19d880f-05fc-4d3b-a006-743f0f84911e")
    }
}
