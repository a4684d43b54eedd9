// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a dynamic disk.
private enum LDMFault: Error {
    case unreadable(UInt64)
    case broken(String)
}

extension PartitionScanner {
    /// A dynamic disk of Windows behind an MBR of type 42: its partitions stand in a database at the end of the disk.
    ///
    /// With the mark but a broken database it is an error, after which the MBR's slots count.
    mutating func parseLDM() -> Verdict {
        guard let bytes = reader.sector(0) else { return .notMine("sector 0 cannot be read") }
        let record = BootRecord(bytes)
        guard record.isMarked, record.slots.contains(where: { $0.type == 0x42 }) else {
            return .notMine("no slot of type 42 in sector 0")
        }
        do {
            let head = try privateHeader()
            let contents = try contents(of: head)
            let records = try records(of: head, contents)
            return .claimed(try partitions(records, of: head))
        } catch {
            switch error {
            case .unreadable(let sector): return .unreadable(sector: sector)
            case .broken(let reason): return .malformed(reason)
            }
        }
    }

    /// The private header in sector 6, checked against its copies as far as Linux does.
    private mutating func privateHeader() throws(LDMFault) -> LDMPrivateHeader {
        guard let bytes = reader.sector(6) else { throw .unreadable(6) }
        guard let first = LDMPrivateHeader(bytes) else { throw .broken("no private header in sector 6") }
        // A copy that cannot be read ends the checks; a good third one makes the others moot.
        guard let secondBytes = reader.sector(first.configStart &+ 1856) else { return first }
        guard let second = LDMPrivateHeader(secondBytes) else {
            throw .broken("no private header in sector \(first.configStart &+ 1856)")
        }
        guard let thirdBytes = reader.sector(first.configStart &+ 2047) else { return first }
        let differs = first != second || !first.fits(reader.capacity)
        if LDMPrivateHeader(thirdBytes) == nil, differs {
            throw .broken("its private headers do not agree, or do not fit the disk")
        }
        if differs { warnings.add("ldm: the private headers do not agree, or do not fit the disk: the first is used") }
        return first
    }

    /// The table of contents, of which at least one of four copies must be good, and all good ones equal.
    private mutating func contents(of head: LDMPrivateHeader) throws(LDMFault) -> LDMContents {
        var found: LDMContents?
        for offset: UInt64 in [1, 2, 2045, 2046] {
            guard let bytes = reader.sector(head.configStart &+ offset), let contents = LDMContents(bytes) else {
                continue
            }
            guard found == nil || found == contents else { throw .broken("its tables of contents do not agree") }
            found = contents
        }
        guard let found else { throw .broken("no table of contents") }
        guard found.fits(head.configSize) else { throw .broken("its areas do not fit its configuration") }
        return found
    }

    /// All records of the database.
    private mutating func records(
        of head: LDMPrivateHeader, _ contents: LDMContents
    ) throws(LDMFault) -> [LDMRecord] {
        let base = head.configStart &+ 17
        guard let bytes = reader.sector(base) else { throw .unreadable(base) }
        guard let database = LDMDatabase(bytes) else { throw .broken("no database in sector \(base)") }
        let length = database.recordSize.multipliedReportingOverflow(by: database.lastNumber)
        guard !length.overflow, length.partialValue / 512 <= contents.configSize,
            length.partialValue / 512 < contents.configSize || length.partialValue % 512 == 0
        else { throw .broken("its database is larger than its area") }
        let recordSize = Int(database.recordSize)
        var records: [LDMRecord] = []
        var pieces = LDMPieces()
        var position = database.firstOffset >> 9
        while position < length.partialValue >> 9 {
            guard let sector = reader.sector(base &+ position) else { throw .unreadable(base &+ position) }
            for index in 0..<512 / recordSize {
                let record = sector.part(at: index * recordSize, count: recordSize)
                guard record.has("VBLK") else {
                    throw .broken("no record at byte \(index * recordSize) of its sector \(position)")
                }
                switch record.be16(at: 14) {
                case 0: break
                case 1: records.append(try Self.record(record))
                case 2...4:
                    guard pieces.add(record) else { throw .broken("a piece of a record does not fit") }
                default: throw .broken("a record in more than four pieces")
                }
            }
            position += 1
        }
        guard let whole = pieces.records else { throw .broken("a piece of a record is missing") }
        for record in whole { records.append(try Self.record(record)) }
        return records
    }

    private static func record(_ bytes: TableBytes) throws(LDMFault) -> LDMRecord {
        guard let record = LDMRecord(bytes) else { throw .broken("a record of its database is broken") }
        return record
    }

    /// The partitions of this disk, in ascending order as Linux sorts them.
    private mutating func partitions(
        _ records: [LDMRecord], of head: LDMPrivateHeader
    ) throws(LDMFault) -> ParsedTable {
        let disks = records.compactMap { record -> UInt64? in
            if case .disk(let id, let guid) = record, guid == head.disk { id } else { nil }
        }
        guard let own = disks.last else { throw .broken("its database does not know the disk") }
        var list: [PartitionEntry] = []
        for case .partition(own, let start, let size, let name) in records {
            // Order is kept among equals.
            let entry = PartitionEntry(number: 0, start: start, size: size, name: name)
            list.insert(entry, at: list.firstIndex { $0.start > start } ?? list.count)
            guard list.count <= PartitionScanLimits.number * 16 else { throw .broken("too many partitions") }
        }
        var table = ParsedTable(.ldm, policy: policy)
        for (index, var entry) in list.enumerated() {
            entry.number = index + 1
            entry.start &+= head.logicalStart
            table.enter(entry)
        }
        return table
    }
}
