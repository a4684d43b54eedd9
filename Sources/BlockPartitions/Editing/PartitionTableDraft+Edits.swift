// SPDX-License-Identifier: Apache-2.0

/// A partition to be made. What is nil is chosen: the lowest free number, the first place that is large enough, all of
/// the largest place, Linux' type, a new identity.
public struct NewPartition: Sendable, Equatable {
    /// Its number.
    public var number: Int?
    /// Its first logical block.
    public var start: UInt64?
    /// Its size in logical blocks.
    public var count: UInt64?
    /// Its type: a word of sfdisk's, a GUID, two hex digits.
    public var type: String?
    /// Its identity; for a GPT.
    public var uuid: String?
    /// Its name; for a GPT.
    public var name: String?
    /// The attribute bits; for a GPT.
    public var attributes: UInt64 = 0
    /// The boot flag of an MBR; of a GPT the attribute bit 2.
    public var isBootable = false

    /// A partition of which everything is chosen.
    public init() {}
}

extension PartitionTableDraft {
    // MARK: Making

    /// Makes a partition, and gives its number.
    @discardableResult
    public mutating func create(
        _ wish: NewPartition, using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> Int {
        // What is wrong with the wish comes before what is wrong with the place.
        let type = try PartitionTypes.type(wish.type ?? "linux", label)
        let uuid = label == .gpt ? try identity(wish.uuid, using: &generator) : nil
        let name = label == .gpt ? try checked(name: wish.name ?? "") : ""
        guard label == .gpt || wish.uuid == nil && wish.name == nil && wish.attributes == 0 else {
            throw TableEditError("a partition of an MBR has no identity, name or attributes of its own")
        }
        let number = try number(for: wish, type)
        let isLogical = label == .dos && number > 4
        let place = try place(for: wish, isLogical: isLogical)
        var made = DraftPartition(number: number, start: place.lowerBound, count: UInt64(place.count), type: type)
        switch label {
        case .gpt:
            made.uuid = uuid
            made.name = name
            made.attributes = wish.attributes | (wish.isBootable ? 4 : 0)
        case .dos:
            made.isBootable = wish.isBootable
            guard !made.isExtended || !partitions.contains(where: \.isExtended) else {
                throw TableEditError("it has an extended partition, and may have one")
            }
            guard made.start <= UInt64(UInt32.max) else {
                throw TableEditError("a partition of an MBR cannot begin past \(text(1 << 32))", isNoRoom: true)
            }
            if isLogical { try addRecord(before: made) }
        }
        if made.start % shape.grain != 0, wish.start != nil {
            notes.append("partition \(number) does not begin at a multiple of \(text(shape.grain))")
        }
        partitions.append(made)
        partitions.sort { $0.number < $1.number }
        return number
    }

    private func number(for wish: NewPartition, _ type: String) throws(TableEditError) -> Int {
        switch form {
        case .gpt(let form):
            let used = form.opaque.union(partitions.map(\.number))
            let greatest = min(form.entryCount, PartitionScanLimits.number)
            if let number = wish.number {
                guard (1...greatest).contains(number) else {
                    throw TableEditError("\(number) is no number: this table has room for 1 to \(greatest)")
                }
                guard !used.contains(number) else { throw TableEditError("there is a partition \(number) already") }
                return number
            }
            guard let free = (1...greatest).first(where: { !used.contains($0) }) else {
                throw TableEditError("all \(greatest) entries of the table are in use", isNoRoom: true)
            }
            return free
        case .dos(let form):
            return try dosNumber(for: wish, type, form)
        }
    }

    /// Of an MBR: a primary number, or the next of the logical ones.
    private func dosNumber(
        for wish: NewPartition, _ type: String, _ form: MBRForm
    ) throws(TableEditError) -> Int {
        let used = Set(partitions.map(\.number))
        let next = max(5, (used.max() ?? 4) + 1)
        let hasExtended = partitions.contains(where: \.isExtended)
        let free = (1...4).first { !used.contains($0) }
        let isExtended = DraftPartition(number: 0, start: 0, count: 0, type: type).isExtended
        var number = wish.number ?? 0
        if wish.number == nil {
            // What begins inside the extended partition is a logical one; so is what finds no primary number or place.
            let isInside = partitions.contains { extended in
                extended.isExtended && wish.start.map { extended.start <= $0 && $0 < extended.end } == true
            }
            let hasRoom = wish.start != nil || (try? place(wish.count, isLogical: false)) != nil
            number = !isExtended && hasExtended && (isInside || free == nil || !hasRoom) ? next : free ?? 0
        }
        guard number > 0 else {
            throw TableEditError(
                "the four primary partitions are in use: make one of them extended, or convert the table to a GPT",
                isNoRoom: true)
        }
        guard !used.contains(number) else { throw TableEditError("there is a partition \(number) already") }
        guard number > 4 else { return number }
        if let oddity = form.oddity { throw Self.oddChain(oddity) }
        guard hasExtended, !isExtended else {
            throw TableEditError("partition \(number) would be a logical one: make an extended one first, of type 5")
        }
        guard number == next, number <= PartitionScanLimits.number else {
            throw TableEditError("the next logical partition is number \(next), not \(number)")
        }
        return number
    }

    private func place(for wish: NewPartition, isLogical: Bool) throws(TableEditError) -> Range<UInt64> {
        if let count = wish.count {
            guard count > 0 else { throw TableEditError("a partition has at least one block") }
            guard count <= greatestCount else {
                throw TableEditError("an MBR has partitions up to \(text(greatestCount))", isNoRoom: true)
            }
        }
        // No sum of what follows can overflow.
        if let count = wish.count, count > shape.blocks {
            throw TableEditError(
                "there is no room for \(text(count)): the disk has \(text(shape.blocks))", isNoRoom: true)
        }
        if let start = wish.start, start > shape.blocks {
            throw TableEditError(
                "block \(start) does not lie on the disk, which has \(shape.blocks)", isNoRoom: true)
        }
        guard let start = wish.start else { return try place(wish.count, isLogical: isLogical) }
        guard let gap = gaps(isLogical: isLogical).first(where: { $0.contains(start) }) else {
            let usable = usable(isLogical: isLogical)
            throw TableEditError(
                "block \(start) is not free: it is in use, or not among the blocks \(usable.lowerBound) to "
                    + "\(max(usable.upperBound, 1) - 1)")
        }
        let room = min(gap.upperBound - start, greatestCount)
        let count = wish.count ?? wholeEnd(start..<gap.upperBound) - start
        guard count <= room else {
            throw TableEditError(
                "at block \(start) there is room for \(text(room)), not for \(text(count))", isNoRoom: true)
        }
        return start..<start + count
    }

    private func identity(
        _ wish: String?, using generator: inout some RandomNumberGenerator
    ) throws(TableEditError) -> String {
        guard let wish else { return randomGUID(using: &generator) }
        guard guidBytes(wish) != nil else { throw TableEditError("the uuid '\(wish)' is no GUID") }
        guard !partitions.contains(where: { $0.uuid == wish.lowercased() }) else {
            throw TableEditError("another partition has the identity \(wish) already")
        }
        return wish.lowercased()
    }

    private func checked(name: String) throws(TableEditError) -> String {
        guard name.utf16.count <= 36 else {
            throw TableEditError("the name '\(name)' has \(name.utf16.count) units of UTF-16, 36 are possible")
        }
        guard !name.utf16.contains(0) else { throw TableEditError("a name cannot hold a zero") }
        return name
    }

    /// The boot record of a new logical partition: where the extended one begins if it is the first, else before it.
    private mutating func addRecord(before made: DraftPartition) throws(TableEditError) {
        guard case .dos(var form) = form, let extended = partitions.first(where: \.isExtended) else { return }
        var block = extended.start
        if !isFirstLogical {
            let gap = gaps(isLogical: true).first { $0.contains(made.start) }
            guard let gap, gap.lowerBound < made.start else {
                throw TableEditError(
                    "no block is free before block \(made.start) for the boot record of partition \(made.number)",
                    isNoRoom: true)
            }
            block = max(gap.lowerBound, made.start - min(shape.grain, made.start))
        }
        form.recordBlocks.append(block)
        self.form = .dos(form)
    }

    // MARK: Changing

    /// Takes partitions out; of an MBR's logical ones those behind move up by one number each.
    public mutating func delete(_ numbers: [Int]) throws(TableEditError) {
        for number in Set(numbers).sorted(by: >) {
            if case .gpt(var gpt) = form, gpt.opaque.contains(number) {
                gpt.opaque.remove(number)
                gpt.reserved[number] = nil
                let size = GPTHeader.entrySize
                gpt.entries.put([UInt8](repeating: 0, count: size), at: (number - 1) * size)
                form = .gpt(gpt)
                continue
            }
            let one = try partition(number)
            if one.isExtended {
                if case .dos(let form) = form, let oddity = form.oddity { throw Self.oddChain(oddity) }
                guard isFirstLogical else {
                    throw TableEditError("partition \(number) is extended and holds others: delete those first")
                }
            }
            partitions.removeAll { $0.number == number }
            guard label == .dos, number > 4 else { continue }
            renumber(after: number)
        }
    }

    private mutating func renumber(after number: Int) {
        guard case .dos(var form) = form, let extended = partitions.first(where: \.isExtended) else { return }
        form.recordBlocks.remove(at: number - 5)
        // The chain begins where the extended partition does: the record there is the next one's now.
        if number == 5, !form.recordBlocks.isEmpty { form.recordBlocks[0] = extended.start }
        self.form = .dos(form)
        for index in partitions.indices where partitions[index].number > number {
            notes.append("partition \(partitions[index].number) is number \(partitions[index].number - 1) from now on")
            partitions[index].number -= 1
        }
    }

    /// Gives a partition another size; nil: as much as there is behind it. What is in it is not looked at.
    public mutating func resize(_ number: Int, to count: UInt64?) throws(TableEditError) {
        let one = try partition(number)
        let isLogical = label == .dos && number > 4
        guard let gap = gaps(isLogical: isLogical, but: number).first(where: { $0.contains(one.start) }) else {
            throw TableEditError("partition \(number) overlaps another one or lies outside of what may be used")
        }
        let room = min(gap.upperBound - one.start, greatestCount)
        let count = count ?? max(wholeEnd(one.start..<gap.upperBound) - one.start, one.count)
        guard count > 0 else { throw TableEditError("a partition has at least one block: delete it instead") }
        guard count <= room else {
            throw TableEditError(
                "partition \(number) can have up to \(text(room)), not \(text(count))", isNoRoom: true)
        }
        if one.isExtended {
            if case .dos(let form) = form, let oddity = form.oddity { throw Self.oddChain(oddity) }
            if let last = partitions.last(where: { $0.number > 4 && $0.end > one.start + count }) {
                throw TableEditError("partition \(last.number) would no longer lie in the extended one")
            }
        }
        guard let index = partitions.firstIndex(where: { $0.number == number }) else { return }
        partitions[index].count = count
    }

    /// Names a partition of a GPT; an empty name takes it away.
    public mutating func rename(_ number: Int, to name: String) throws(TableEditError) {
        _ = try partition(number)
        guard label == .gpt else { throw TableEditError("partitions of an MBR have no names; a GPT's have") }
        guard let index = partitions.firstIndex(where: { $0.number == number }) else { return }
        partitions[index].name = try checked(name: name)
    }

    // MARK: Converting

    /// Makes a GPT of an MBR: same places, same numbers, no extended partition. A GPT gets its backup to the disk's end.
    public mutating func convertToGPT(using generator: inout some RandomNumberGenerator) throws(TableEditError) {
        if case .gpt(var gpt) = form {
            try gpt.moveBackup(shape)
            form = .gpt(gpt)
            notes.removeAll { $0.hasPrefix("the backup GPT is at block") }
            return
        }
        guard case .dos(let mbr) = form else { return }
        if let oddity = mbr.oddity { throw Self.oddChain(oddity) }
        let nested = BootRecord(TableBytes(mbr.record[...])).slots.filter(\.isUsed)
        if let slot = nested.firstIndex(where: { [0xA5, 0xA6, 0xA9, 0x63, 0x81, 0xBF].contains($0.type) }) {
            notes.append("what the table inside partition \(partitions[slot].number) says is not converted")
        }
        let kept = partitions.filter { !$0.isExtended }
        // Logical partitions may have numbers past the 128th: as many entries as whole blocks hold.
        let perBlock = shape.blockSize / GPTHeader.entrySize
        let count = max(128, ((kept.map(\.number).max() ?? 0) + perBlock - 1) / perBlock * perBlock)
        let gpt = try GPTForm(new: shape, identity: nil, entryCount: count, record: mbr.record, using: &generator)
        if let first = kept.min(by: { $0.start < $1.start }), first.start < gpt.firstUsable {
            throw TableEditError(
                "a GPT needs the first \(gpt.firstUsable) blocks, and partition \(first.number) begins at block "
                    + "\(first.start)", isNoRoom: true)
        }
        if let last = kept.max(by: { $0.end < $1.end }), last.end > gpt.lastUsable + 1 {
            throw TableEditError(
                "a GPT needs the last \(shape.blocks - gpt.lastUsable - 1) blocks, and partition \(last.number) ends at "
                    + "block \(last.end - 1): make it \(text(last.end - gpt.lastUsable - 1)) smaller first",
                isNoRoom: true)
        }
        form = .gpt(gpt)
        partitions = kept.map { old in
            var one = old
            one.type = PartitionTypes.converted(old.type)
            one.uuid = randomGUID(using: &generator)
            // What an MBR's active partition is to a BIOS.
            one.attributes = old.isBootable ? 4 : 0
            one.isBootable = false
            return one
        }
    }
}
