// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// A dynamic disk: its configuration of 2048 sectors is at the end of 100,000.
private struct LDMImage {
    static let base: UInt64 = 97_952
    static let guid = "12345678-9abc-def0-1234-56789abcdef0"

    var logicalStart: UInt64 = 63
    var configSize: UInt64 = 2048
    var records: [[UInt8]] = []
    var recordSize = 128
    /// Records from the start of the database to the first one.
    var lastNumber: UInt32?
    var secondGUID = guid
    var omitted: Set<UInt64> = []

    static func header(_ guid: String, logicalStart: UInt64, configSize: UInt64) -> [UInt8] {
        sector(
            (0, text("PRIVHEAD")), (12, big(UInt16(2)) + big(UInt16(12))), (0x30, text(guid)),
            (0x11B, big(logicalStart) + big(UInt64(90_000)) + big(base) + big(configSize)))
    }

    var disk: TestDisk {
        var disk = TestDisk([.data(63, 99_000, type: 0x42)])
        func write(_ bytes: [UInt8], _ sector: UInt64) {
            if !omitted.contains(sector) { disk.write(bytes, sector: sector) }
        }
        write(Self.header(Self.guid, logicalStart: logicalStart, configSize: configSize), 6)
        for (offset, guid) in [(1856, secondGUID), (2047, Self.guid)] as [(UInt64, String)] {
            write(Self.header(guid, logicalStart: logicalStart, configSize: configSize), Self.base + offset)
        }
        let contents = sector(
            (0, text("TOCBLOCK")), (0x24, text("config")), (0x2E, big(UInt64(17)) + big(UInt64(100))),
            (0x46, text("log")), (0x50, big(UInt64(1500)) + big(UInt64(100))))
        for offset: UInt64 in [1, 2, 2045, 2046] { write(contents, Self.base + offset) }
        let perSector = 512 / recordSize
        // The head takes up the first sector; whole sectors of records follow.
        let count = UInt32((records.count + perSector - 1) / perSector * perSector + perSector)
        write(
            sector(
                (0, text("VMDB") + big(lastNumber ?? count) + big(UInt32(recordSize)) + big(UInt32(512))),
                (16, big(UInt16(1)) + big(UInt16(4)) + big(UInt16(10)))), Self.base + 17)
        for index in 0..<(Int(count) - perSector) {
            let bytes = index < records.count ? records[index] : text("VBLK")
            disk.write(
                bytes, sector: Self.base + 18 + UInt64(index / perSector), offset: index % perSector * recordSize)
        }
        return disk
    }

    static func field(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }
    static func number(_ value: UInt32) -> [UInt8] { field(big(value)) }

    static func record(_ type: UInt8, flags: UInt8 = 0, fixed: Int, _ body: [UInt8], wrong: Int = 0) -> [UInt8] {
        _ = fixed
        return text("VBLK") + big(UInt32(1)) + big(UInt32(1)) + [0, 0, 0, 1] + [0, 0, flags, type]
            + big(UInt32(body.count + wrong)) + body
    }

    static func partition(_ disk: UInt32, _ start: UInt64, _ size: UInt32, name: String = "Disk1-01") -> [UInt8] {
        let body =
            number(7) + field(text(name)) + [UInt8](repeating: 0, count: 12) + big(start) + big(UInt64(0))
            + number(size)
            + number(3) + number(disk)
        return record(0x33, fixed: 28, body)
    }

    static func disk(_ id: UInt32, _ guid: String = LDMImage.guid) -> [UInt8] {
        record(
            0x34, fixed: 12,
            number(id) + field(text("Disk1")) + field(text(guid)) + field([]) + [UInt8](repeating: 0, count: 12))
    }
}

@Suite("A dynamic disk of Windows")
struct LDMTests {
    @Test func `has the partitions of its database, sorted`() {
        var image = LDMImage(records: [
            LDMImage.disk(5), LDMImage.partition(5, 2000, 500, name: "b"), LDMImage.partition(6, 1, 1),
            LDMImage.partition(5, 0, 1000, name: "a"), LDMImage.disk(6, "00000000-0000-0000-0000-000000000001"),
        ])
        let scan = image.disk.scan()
        #expect(scan.table == .ldm)
        #expect(scan.places == [[1, 63, 1000], [2, 2063, 500]])
        #expect(scan.entries.map(\.name) == ["a", "b"])
        image.records = [LDMImage.disk(5)]
        #expect(image.disk.scan() == PartitionScan(table: .ldm))
    }

    @Test func `knows all kinds of records`() {
        let zeros = { (count: Int) in [UInt8](repeating: 0, count: count) }
        let empty: [UInt8] = [0]
        let names = LDMImage.number(1) + LDMImage.field(text("n"))
        let records = [
            LDMImage.disk(5),
            LDMImage.record(
                0x51, flags: 0xAA, fixed: 58,
                names + empty + empty + zeros(21) + empty + zeros(16) + LDMImage.number(9) + zeros(21) + empty + empty
                    + empty + empty),
            LDMImage.record(
                0x32, flags: 0x10, fixed: 22,
                names + empty + zeros(5) + empty + zeros(16) + empty + zeros(1) + empty + empty),
            LDMImage.record(0x35, fixed: 12, names + empty + zeros(12)),
            LDMImage.record(0x35, flags: 8, fixed: 12, names + empty + zeros(12) + empty + empty),
            LDMImage.record(0x45, fixed: 44, names + zeros(44)),
            LDMImage.record(0x44, fixed: 45, names + zeros(16) + zeros(29)),
        ]
        #expect(LDMImage(records: records, recordSize: 256).disk.scan().table == .ldm)
        for index in 1..<records.count {
            var broken = records
            broken[index][0x17] &+= 1
            // A volume may be longer than its fields.
            #expect(LDMImage(records: broken, recordSize: 256).disk.scan().table == (index == 1 ? .ldm : .dos))
            broken[index][0x13] = 0x36
            #expect(LDMImage(records: broken, recordSize: 256).disk.scan().table == .dos)
        }
    }

    @Test func `puts records in pieces together`() {
        let whole = LDMImage.partition(5, 2000, 500, name: String(repeating: "x", count: 60))
        func piece(_ index: UInt16, _ bytes: [UInt8], of count: UInt16 = 2) -> [UInt8] {
            text("VBLK") + big(UInt32(1)) + big(UInt32(77)) + big(index) + big(count) + bytes
        }
        let body = Array(whole.dropFirst(16))
        let pieces = [piece(1, Array(body.dropFirst(112))), piece(0, Array(body.prefix(112)))]
        let good = LDMImage(records: [LDMImage.disk(5)] + pieces).disk.scan()
        #expect(good.places == [[1, 2063, 500]])
        for bad in [
            [pieces[0]], [pieces[0], pieces[0], pieces[1]], [pieces[0], pieces[1], piece(2, [], of: 3)],
            [piece(0, [], of: 5)], [piece(2, [])],
        ] {
            #expect(LDMImage(records: [LDMImage.disk(5)] + bad).disk.scan().table == .dos)
        }
    }

    @Test func `that is broken is an MBR with a slot of type 42, and that is told`() {
        let records = [LDMImage.disk(5), LDMImage.partition(5, 2000, 500)]
        let base = LDMImage.base
        let broken: [(LDMImage, String)] = [
            (LDMImage(records: records, omitted: [6]), "no private header in sector 6"),
            (LDMImage(records: records, omitted: [base + 1856]), "no private header in sector 99808"),
            (
                LDMImage(records: records, secondGUID: "00" + LDMImage.guid.dropFirst(2), omitted: [base + 2047]),
                "do not agree"
            ),
            (
                LDMImage(records: records, omitted: [base + 1, base + 2, base + 2045, base + 2046]),
                "no table of contents"
            ),
            (LDMImage(records: records, omitted: [base + 17]), "no database"),
            (LDMImage(records: records, lastNumber: 401), "larger than its area"),
            (LDMImage(records: [LDMImage.partition(5, 1, 1)]), "does not know the disk"),
            (LDMImage(configSize: 1000, records: records), "do not fit its configuration"),
        ]
        for (image, reason) in broken {
            let scan = image.disk.scan()
            #expect(scan.table == .dos)
            #expect(scan.warns("ldm: ", reason))
            #expect(image.disk.scan(.kernel).table == .dos)
        }
    }

    @Test func `with private headers that differ is taken as long as the third is good`() {
        let image = LDMImage(records: [LDMImage.disk(5)], secondGUID: "00" + LDMImage.guid.dropFirst(2))
        #expect(image.disk.scan().table == .ldm)
        #expect(image.disk.scan().warns("do not agree"))
    }

    @Test func `needs one table of contents only`() {
        for kept: UInt64 in [1, 2, 2045, 2046] {
            let omitted = Set([1, 2, 2045, 2046].filter { $0 != kept }.map { LDMImage.base + $0 })
            #expect(LDMImage(records: [LDMImage.disk(5)], omitted: omitted).disk.scan().table == .ldm)
        }
    }
}
