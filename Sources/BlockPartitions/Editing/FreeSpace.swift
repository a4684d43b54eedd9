// SPDX-License-Identifier: Apache-2.0

extension PartitionTableDraft {
    /// The blocks where partitions may be: what the GPT says, or what an MBR can count; of logical ones the extended one.
    func usable(isLogical: Bool) -> Range<UInt64> {
        switch form {
        case .gpt(let form):
            return form.firstUsable..<max(min(form.lastUsable + 1, shape.blocks), form.firstUsable)
        case .dos:
            if isLogical, let extended = partitions.first(where: \.isExtended) {
                return extended.start + 1..<max(min(extended.end, shape.blocks), extended.start + 1)
            }
            // A start and a count of 32 bits each.
            return 1..<max(min(shape.blocks, 1 << 33 - 2), 1)
        }
    }

    /// What is in use without being a partition of the draft.
    var reserved: [Range<UInt64>] {
        switch form {
        case .gpt(let form): Array(form.reserved.values)
        case .dos(let form): form.reserved
        }
    }

    /// What is taken, by ascending start: partitions of the same rank, boot records of logical ones, and what is kept
    /// without being understood.
    func taken(isLogical: Bool, but number: Int? = nil) -> [Range<UInt64>] {
        var ranges = reserved
        for one in partitions where one.number != number {
            guard label == .gpt || (one.number > 4) == isLogical else { continue }
            ranges.append(one.start..<one.end)
        }
        if isLogical, case .dos(let form) = form {
            for (index, block) in form.recordBlocks.enumerated() where 5 + index != number {
                ranges.append(block..<block + 1)
            }
        }
        return ranges.sorted { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
    }

    /// The stretches that are free, by ascending start.
    func gaps(isLogical: Bool, but number: Int? = nil) -> [Range<UInt64>] {
        let usable = usable(isLogical: isLogical)
        var free: [Range<UInt64>] = []
        var from = usable.lowerBound
        for range in taken(isLogical: isLogical, but: number) {
            if range.lowerBound > from { free.append(from..<min(range.lowerBound, usable.upperBound)) }
            from = max(from, range.upperBound)
            if from >= usable.upperBound { return free.filter { !$0.isEmpty } }
        }
        free.append(from..<usable.upperBound)
        return free.filter { !$0.isEmpty }
    }

    /// The aligned place for a new partition: the first gap that is large enough, or the largest if there is no size.
    func place(_ count: UInt64?, isLogical: Bool) throws(TableEditError) -> Range<UInt64> {
        let wide = rooms(isLogical: isLogical, before: shape.grain)
        let narrow = isLogical ? rooms(isLogical: true, before: 1) : []
        let rooms = wide.isEmpty ? narrow : count == nil ? wide : wide + narrow
        guard let largest = rooms.max(by: { $0.count < $1.count }) else {
            throw TableEditError(
                isLogical ? "the extended partition has no room left" : "the disk has no room left for a partition",
                isNoRoom: true)
        }
        guard let count else { return largest.lowerBound..<wholeEnd(largest) }
        guard let room = rooms.first(where: { UInt64($0.count) >= count }) else {
            throw TableEditError(
                "there is no room for \(text(count)): the largest free place has \(text(UInt64(largest.count)))",
                isNoRoom: true)
        }
        return room.lowerBound..<room.lowerBound + count
    }

    /// The free stretches from their first aligned block on. Before a logical partition its boot record stands, alone in
    /// so many blocks.
    private func rooms(isLogical: Bool, before record: UInt64) -> [Range<UInt64>] {
        let usable = usable(isLogical: isLogical)
        return gaps(isLogical: isLogical).compactMap { gap in
            var start = gap.lowerBound
            // The first record of a chain stands where the extended partition begins, outside of the gap.
            if isLogical { start += record - (start == usable.lowerBound ? 1 : 0) }
            start = shape.aligned(start)
            return start < gap.upperBound ? start..<gap.upperBound : nil
        }
    }

    /// Where a partition over all of a stretch ends: in a GPT at a multiple of the grain, as tools want it; an MBR's
    /// goes to the end, as sfdisk's do.
    func wholeEnd(_ gap: Range<UInt64>) -> UInt64 {
        let end = min(gap.upperBound, gap.lowerBound + greatestCount)
        let aligned = end / shape.grain * shape.grain
        return label == .gpt && aligned > gap.lowerBound ? aligned : end
    }

    var isFirstLogical: Bool { !partitions.contains { $0.number > 4 } }

    /// The greatest size that the table can say.
    var greatestCount: UInt64 { label == .dos ? UInt64(UInt32.max) : .max >> 1 }

    /// A number of blocks as a size.
    func text(_ blocks: UInt64) -> String {
        let (product, overflow) = blocks.multipliedReportingOverflow(by: UInt64(shape.blockSize))
        let bytes = overflow ? .max : product
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] as [(UInt64, String)]
        where bytes >= 1 << shift && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift) \(unit)"
        }
        return "\(bytes) bytes"
    }
}
