// SPDX-License-Identifier: Apache-2.0

import BlockPartitions

// What is read from any bytes can be edited and written, and is read again as it was meant.

extension FuzzTarget {
    /// Reads the table of a disk, edits it as the last bytes of the input say, writes it and reads it again.
    ///
    /// What the library promises is checked where it is made: a change whose scan is not what was meant is refused. Here
    /// the disk with the writes is scanned anew, by others' rules, too, and every prefix of a GPT's writes is.
    static func edit(_ input: [UInt8]) {
        guard var disk = FuzzDisk(input), disk.capacity > 0, disk.capacity < 1 << 40 else { return }
        if disk.mendsSums { disk.mend(.gpt) }
        let shape = DiskShape(sectors: disk.capacity, blockSize: disk.logicalBlockSize)
        guard shape.blocks > 0 else { return }
        var generator = FuzzNumbers(state: input.reduce(7) { $0 &* 31 &+ UInt64($1) })
        guard let draft = try? PartitionTableDraft.read(&disk, shape: shape) else { return }
        let before = scanPartitions(&disk)
        // Without an edit nothing that is read changes, whatever has to be mended.
        if let same = try? draft.change(on: &disk) {
            var after = disk
            for write in same.groups.joined() { after.write(write.bytes, sector: write.offset / 512, offset: 0) }
            let scan = scanPartitions(&after)
            precondition(scan.entries == before.entries && scan.table == before.table, "changed by itself")
            let again = try? PartitionTableDraft.read(&after, shape: shape)?.change(on: &after)
            precondition(again?.groups.isEmpty == true, "not what was written")
        }
        let edits = edits(input, draft)
        let edit = edits[(input.count + Int(input[4])) % edits.count]
        guard let change = try? edit.change(on: &disk, shape: shape, using: &generator) else { return }
        check(change, disk, before)
    }

    private static func edits(_ input: [UInt8], _ draft: PartitionTableDraft) -> [TableEdit] {
        let number = draft.partitions.isEmpty ? 1 : draft.partitions[Int(input[4]) % draft.partitions.count].number
        var wish = NewPartition()
        if input[3] & 1 == 1 { wish.count = UInt64(input.last ?? 1) * 8 + 1 }
        if input[3] & 2 == 2 { wish.start = UInt64(input.last ?? 1) * 64 }
        return [
            .create(wish, nil), .delete([number]), .resize(number, nil), .resize(number, UInt64(input[2]) + 1),
            .rename(number, "fuzz"), .convertToGPT, .make(.dos, isForced: true), .make(.gpt, isForced: true),
        ]
    }

    /// The change is read as it says; of a GPT every prefix has the old table or the new one.
    private static func check(_ change: TableChange, _ disk: FuzzDisk, _ before: PartitionScan) {
        var torn = disk
        let isGPT = before.table == .gpt && change.scan.table == .gpt
        for write in change.groups.joined() {
            torn.write(write.bytes, sector: write.offset / 512, offset: 0)
            guard isGPT else { continue }
            let scan = scanPartitions(&torn)
            precondition(
                scan.entries == before.entries || scan.entries == change.scan.entries, "neither the old nor the new")
        }
        let scan = scanPartitions(&torn)
        precondition(scan == change.scan, "read as something else")
    }

    /// Any text as a script of sfdisk's, on an empty disk and on what is there.
    static func script(_ input: [UInt8]) {
        guard input.count > 2 else { return }
        let text = String(decoding: input.dropFirst(2), as: UTF8.self)
        let blockSize = [512, 4096, 1024, 2048][Int(input[0] & 3)]
        var source = MemoryPartitionSource(
            [UInt8](repeating: 0, count: (64 << 10) + Int(input[1] & 7) << 14), logicalBlockSize: blockSize)
        let shape = DiskShape(sectors: source.capacity, blockSize: blockSize)
        var generator = FuzzNumbers(state: 1)
        guard let change = try? TableEdit.apply(text).change(on: &source, shape: shape, using: &generator) else {
            return
        }
        precondition(change.scan.table == .gpt || change.scan.table == .dos)
    }
}

/// Numbers that an input decides.
struct FuzzNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}
