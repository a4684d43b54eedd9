// SPDX-License-Identifier: Apache-2.0

@testable import BlockPartitions
import TestSupport
import Testing

/// A disk whose table is edited, with numbers that a seed decides.
struct EditedDisk {
    var disk: TestDisk
    var generator: SeededGenerator
    var physicalBlockSize = 0
    var optimalIO = 0

    init(_ disk: TestDisk, seed: UInt64 = 1) {
        self.disk = disk
        generator = SeededGenerator(seed: seed)
    }

    init(capacity: UInt64 = 204_800, logicalBlockSize: Int = 512) {
        self.init(TestDisk(capacity: capacity, logicalBlockSize: logicalBlockSize))
    }

    var shape: DiskShape {
        DiskShape(
            sectors: disk.capacity, blockSize: disk.logicalBlockSize, physicalBlockSize: physicalBlockSize,
            optimalIO: optimalIO)
    }

    /// What an edit would write.
    mutating func plan(_ edit: TableEdit) throws -> TableChange {
        try edit.change(on: &disk, shape: shape, using: &generator)
    }

    /// Writes what an edit says, and expects to find what it promises.
    @discardableResult mutating func edit(_ edit: TableEdit) throws -> TableChange {
        let change = try plan(edit)
        for write in change.groups.joined() {
            #expect(write.bytes.count % disk.logicalBlockSize == 0)
            disk.write(write.bytes, sector: write.offset / 512)
        }
        #expect(disk.scan() == change.scan)
        return change
    }

    /// Makes partitions; sizes and starts in logical blocks.
    mutating func create(_ count: UInt64?, at start: UInt64? = nil, type: String? = nil, number: Int? = nil) throws {
        var wish = NewPartition()
        (wish.count, wish.start, wish.type, wish.number) = (count, start, type, number)
        try edit(.create(wish, nil))
    }

    /// Why an edit is refused; nil if it is not.
    mutating func refusal(_ edit: TableEdit) -> String? {
        do {
            _ = try plan(edit)
            return nil
        } catch {
            return "\(error)"
        }
    }

    var places: [[UInt64]] { disk.scan().places }

    /// The table's kind, places and names.
    static func summary(_ scan: PartitionScan) -> String {
        "\(scan.table.map(\.rawValue) ?? "none") "
            + scan.entries.map {
                "\($0.number):\($0.start)+\($0.size) \($0.type ?? "") \($0.name ?? "") \($0.uuid ?? "")"
            }
            .joined(separator: ", ")
    }

    /// After each sector of the writes of an edit, in their order, the disk has the old table or the new one.
    mutating func survives(_ edit: TableEdit, atomic unit: Int = 512) throws {
        let old = Self.summary(disk.scan())
        let change = try plan(edit)
        let new = Self.summary(change.scan)
        var torn = disk
        for write in change.groups.joined() {
            for offset in stride(from: 0, to: write.bytes.count, by: unit) {
                torn.write(
                    Array(write.bytes[offset..<offset + unit]), sector: write.offset / 512 + UInt64(offset / 512))
                let found = Self.summary(torn.scan())
                #expect(found == old || found == new, "after \(write.what), byte \(offset)")
            }
        }
        #expect(Self.summary(torn.scan()) == new)
        disk = torn
    }
}
