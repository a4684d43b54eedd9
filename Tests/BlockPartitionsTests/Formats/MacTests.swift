// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// Blocks of Apple's partition map.
enum MacImage {
    static func entry(
        _ count: UInt32, _ start: UInt32, _ size: UInt32, _ type: String = "Apple_HFS", name: String = "disk",
        mark: String = "PM"
    ) -> [UInt8] {
        sector(
            (0, text(mark)), (4, big(count) + big(start) + big(size)), (16, text(name, count: 32)),
            (48, text(type, count: 32)))
    }

    static func disk(_ entries: [[UInt8]], blockSize: UInt16 = 512) -> TestDisk {
        var disk = TestDisk(sectors: [0: sector((0, text("ER") + big(blockSize)))])
        for (index, entry) in entries.enumerated() {
            let offset = (index + 1) * Int(blockSize)
            disk.write(entry, sector: UInt64(offset / 512), offset: offset % 512)
        }
        return disk
    }
}

@Suite("A map of Apple's")
struct MacTests {
    @Test func `gives all its entries, the map too`() {
        let disk = MacImage.disk([
            MacImage.entry(3, 1, 63, "Apple_partition_map", name: "Apple"), MacImage.entry(3, 64, 1000, name: "Größe"),
            MacImage.entry(3, 1064, 10, "linux_raid autodetect", name: ""),
        ])
        for policy in PartitionPolicy.allCases {
            let scan = disk.scan(policy)
            #expect(scan.table == .mac)
            #expect(scan.places == [[1, 1, 63], [2, 64, 1000], [3, 1064, 10]])
            #expect(scan.entries.map(\.name) == ["Apple", "Größe", nil])
            #expect(scan.entries.map(\.type) == ["Apple_partition_map", "Apple_HFS", "linux_raid autodetect"])
            #expect(scan.entries.map(\.isRAID) == [false, false, true])
        }
    }

    @Test func `counts in its own blocks`() {
        let disk = MacImage.disk([MacImage.entry(2, 1, 3), MacImage.entry(2, 4, 100)], blockSize: 2048)
        #expect(disk.scan().places == [[1, 4, 12], [2, 16, 400]])
        let great = MacImage.disk([MacImage.entry(1, 0x4000_0001, 8)], blockSize: 2048)
        #expect(great.scan().warns("partition 1", "starts at sector 4294967300"))
        // Linux multiplies in 32 bits.
        #expect(great.scan(.kernel).places == [[1, 4, 32]])
    }

    @Test(arguments: [0, 511, 768, 100, 1] as [UInt16]) func `with an impossible block size is an error`(_ size: UInt16)
    {
        let disk = TestDisk(sectors: [0: sector((0, text("ER") + big(size)))])
        #expect(disk.scan().error == .malformed(.mac, reason: "its block size is \(size)"))
    }

    @Test func `ends at the first entry without its mark`() {
        let entries = [MacImage.entry(3, 1, 63), MacImage.entry(3, 64, 9, mark: "XX"), MacImage.entry(3, 100, 9)]
        #expect(MacImage.disk(entries).scan().places == [[1, 1, 63]])
        #expect(MacImage.disk(entries).scan().warns("entry 2 of 3"))
        #expect(MacImage.disk(entries).scan(.blkid).table == nil)
        #expect(MacImage.disk([entries[1]]).scan() == PartitionScan())
    }

    @Test func `has at most 255 entries`() {
        #expect(MacImage.disk([MacImage.entry(256, 1, 63)]).scan().table == nil)
        #expect(MacImage.disk([MacImage.entry(.max, 1, 63)]).scan().table == nil)
        #expect(MacImage.disk([MacImage.entry(0, 1, 63)]).scan() == PartitionScan(table: .mac))
        let full = MacImage.disk((0..<255).map { MacImage.entry(255, UInt32(1000 + $0), 1) })
        #expect(full.scan().entries.count == 255)
    }

    @Test func `with the old mark is a map to libblkid`() {
        let disk = MacImage.disk([MacImage.entry(1, 1, 63, mark: "TS")])
        #expect(disk.scan(.blkid).places == [[1, 1, 63]])
        #expect(disk.scan().table == nil)
    }
}
