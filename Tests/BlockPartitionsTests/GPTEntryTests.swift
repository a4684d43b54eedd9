// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("A GPT entry")
struct GPTEntryTests {
    private static func scan(_ rows: [Int: GPTRow], _ policy: PartitionPolicy = .platter) -> PartitionScan {
        var image = GPTImage()
        image.entries = rows
        return image.disk().scan(policy)
    }

    @Test func `shows type, identity, name and attributes`() throws {
        var row = GPTRow(100, 199, name: "Größe 日本 🥁")
        row.attributes = 1 << 60 | 4
        let entry = try #require(Self.scan([7: row]).entries.first)
        #expect(
            entry
                == PartitionEntry(
                    number: 7, start: 100, size: 100, type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
                    uuid: "04030201-0605-0807-090a-0b0c0d0e0f10", name: "Größe 日本 🥁", attributes: 1 << 60 | 4,
                    isBootable: true, isRAID: false))
    }

    @Test func `of the RAID type is marked`() throws {
        var row = GPTRow(100, 199)
        row.type = [0x0F, 0x88, 0x9D, 0xA1, 0xFC, 0x05, 0x3B, 0x4D, 0xA0, 0x06, 0x74, 0x3F, 0x0F, 0x84, 0x91, 0x1E]
        let entry = try #require(Self.scan([1: row]).entries.first)
        #expect(entry.isRAID)
        #expect(entry.type == "a19d880f-05fc-4d3b-a006-743f0f84911e")
        #expect(!entry.isBootable)
    }

    @Test func `of zero type is unused, one bit is enough to use it`() {
        var unused = GPTRow(100, 199)
        unused.type = Array(repeating: 0, count: 16)
        var used = unused
        used.type[15] = 1
        #expect(Self.scan([1: unused, 2: used]).places == [[2, 100, 100]])
        #expect(Self.scan([1: unused]).table == .gpt)
    }

    @Test func `with a zero identity shows zeros`() {
        var row = GPTRow(100, 199)
        row.guid = Array(repeating: 0, count: 16)
        #expect(Self.scan([1: row]).entries.first?.uuid == "00000000-0000-0000-0000-000000000000")
    }

    @Test func `that reaches past the last block is dropped, not cut`() {
        let scan = Self.scan([
            1: GPTRow(100, 2047), 2: GPTRow(100, 2048), 3: GPTRow(2048, 2048), 4: GPTRow(.max, .max),
            5: GPTRow(100, .max), 6: GPTRow(0, .max), 7: GPTRow(2047, 2047),
        ])
        #expect(scan.places == [[1, 100, 1948], [7, 2047, 1]])
        for number in 2...6 {
            #expect(scan.warns("partition \(number):", "reach past the last one (2047): dropped"))
        }
    }

    @Test func `that ends before it starts is dropped`() {
        let rows = [1: GPTRow(100, 99), 2: GPTRow(100, 98), 3: GPTRow(2047, 0), 4: GPTRow(5, 5)]
        let scan = Self.scan(rows)
        #expect(scan.places == [[4, 5, 1]])
        for number in 1...3 {
            #expect(scan.warns("partition \(number):", "before it starts", "dropped"))
        }
        // In Linux the length of the first is 0, and the sums of the others wrap and seem to fit.
        let wrapped = [[2, 100, UInt64.max], [3, 2047, UInt64.max - 2045], [4, 5, 1]]
        #expect(Self.scan(rows, .kernel).places == wrapped)
    }

    @Test func `outside the usable blocks is no partition to libblkid`() {
        let rows = [1: GPTRow(0, 33), 2: GPTRow(100, 199), 3: GPTRow(2010, 2047)]
        #expect(Self.scan(rows, .blkid).places == [[2, 100, 100]])
        // Its first block is held against nothing, and wraps where blocks are scaled.
        var image = GPTImage(blocks: 2048, blockSize: 4096)
        image.entries = [1: GPTRow(1 << 61 | 100, 200)]
        #expect(image.disk().scan(.blkid).places == [[1, 800, 808]])
    }

    @Test func `outside the usable blocks is kept with a warning`() {
        let rows = [1: GPTRow(0, 33), 2: GPTRow(2010, 2047)]
        #expect(Self.scan(rows).places == [[1, 0, 34], [2, 2010, 38]])
        #expect(Self.scan(rows).warns("partition 1: lies outside the usable blocks: kept"))
        #expect(Self.scan(rows).warns("partition 2: lies outside the usable blocks: kept"))
        #expect(Self.scan(rows, .kernel).warnings == [])
        #expect(Self.scan(rows, .kernel).places == [[1, 0, 34], [2, 2010, 38]])
    }

    @Test func `that overlaps another is kept with a warning`() {
        let rows = [1: GPTRow(100, 199), 2: GPTRow(150, 160), 3: GPTRow(199, 300), 4: GPTRow(301, 302)]
        #expect(Self.scan(rows).places.count == 4)
        #expect(
            Self.scan(rows).warnings == ["partition 2: overlaps partition 1", "partition 3: overlaps partition 1"])
        #expect(Self.scan(rows, .kernel).warnings == [])
    }

    @Test func `has a name of all 36 units without an end mark`() {
        let name = String(repeating: "x", count: 36)
        for policy in PartitionPolicy.allCases {
            #expect(Self.scan([1: GPTRow(100, 199, name: name)], policy).entries.first?.name == name)
            #expect(Self.scan([1: GPTRow(100, 199)], policy).entries.first?.name == .some(nil))
        }
    }

    @Test func `has a name that ends at the first zero`() {
        var row = GPTRow(100, 199)
        row.name = [0x61, 0, 0x62]
        for policy in PartitionPolicy.allCases {
            #expect(Self.scan([1: row], policy).entries.first?.name == "a")
        }
    }

    @Test func `has a name squeezed to seven bits by Linux`() {
        var row = GPTRow(100, 199)
        row.name = [0x61, 0x00E9, 0x0A, 0x7F, 0x20AC, 0x0141, 0x0100, 0x62]
        #expect(Self.scan([1: row], .kernel).entries.first?.name == "ai!!,A")
        #expect(Self.scan([1: row]).entries.first?.name == "aé\n\u{7F}€ŁĀb")
    }

    @Test func `has a name with broken surrogates repaired`() {
        var row = GPTRow(100, 199)
        row.name = [0xD800, 0x61, 0xDC00]
        #expect(Self.scan([1: row]).entries.first?.name == "\u{FFFD}a\u{FFFD}")
    }
}
