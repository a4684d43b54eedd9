// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A protective MBR")
struct ProtectiveMBRTests {
    private static func scan(_ slots: [Slot], mark: [UInt8] = [0x55, 0xAA]) -> PartitionScan {
        var image = GPTImage()
        image.entries = [1: GPTRow(100, 199)]
        var disk = image.disk()
        disk.write(bootRecord(slots, mark: mark), sector: 0)
        return disk.scan()
    }

    @Test(arguments: 0..<4) func `may be in any slot, with any boot byte and length`(_ index: Int) {
        var slots = Array(repeating: Slot.empty, count: 4)
        slots[index] = Slot(boot: 0x7F, type: 0xEE, start: 1, count: 0)
        #expect(Self.scan(slots).table == .gpt)
    }

    @Test func `that starts elsewhere hides the GPT, and is no MBR either`() {
        for start: UInt32 in [0, 2, .max] {
            let scan = Self.scan([Slot(type: 0xEE, start: start, count: 100), .data(100, 100)])
            #expect(scan.table == nil)
            #expect(scan.entries == [])
            #expect(scan.error == nil)
            #expect(scan.warns("protective MBR", "block \(start) instead of 1"))
        }
    }

    @Test func `may have a second protective slot that starts elsewhere`() {
        #expect(Self.scan([Slot(type: 0xEE, start: 0, count: 1), Slot(type: 0xEE, start: 1, count: 9)]).table == .gpt)
    }

    @Test func `may be a hybrid: the GPT counts`() {
        let scan = Self.scan([.data(100, 100, type: 0x0C), Slot(type: 0xEE, start: 1, count: 33), .data(200, 9)])
        #expect(scan.table == .gpt)
        #expect(scan.places == [[1, 100, 100]])
    }

    @Test func `may be a FAT boot sector too: the GPT is looked for first`() {
        var image = GPTImage()
        image.entries = [1: GPTRow(100, 199)]
        var disk = image.disk()
        disk.write(bootRecord([Slot(boot: 0x65, type: 0xEE, start: 1, count: 9)]), sector: 0)
        disk.write([1, 0, 2], sector: 0, offset: 0x0E)
        disk.write([0xF8], sector: 0, offset: 0x15)
        #expect(disk.scan().table == .gpt)
    }

    @Test func `needs its end mark`() {
        #expect(Self.scan([Slot(type: 0xEE, start: 1, count: 9)], mark: [0xAA, 0x55]).table == nil)
    }

    @Test func `is needed: without one the MBR counts`() {
        #expect(Self.scan([.data(7, 9)]).table == .dos)
        #expect(Self.scan([.empty]).table == .dos)
    }

    @Test func `hides a hybrid's slots when the GPT is bad`() {
        var disk = GPTImage().changing { $0.magic[0] = 0 }.disk()
        disk.write(bootRecord([.data(100, 100), Slot(type: 0xEE, start: 1, count: 33)]), sector: 0)
        for policy in [PartitionPolicy.platter, .kernel] {
            let scan = disk.scan(policy)
            #expect(scan.table == nil)
            #expect(scan.entries == [])
            #expect(scan.error == nil)
        }
    }
}
