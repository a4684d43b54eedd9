// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("The order of formats")
struct FrameTests {
    @Test func `is Linux', and the first claim ends the scan`() {
        // Sun and Ultrix on one disk, and a broken map of Apple's cannot be there as well.
        let disk = TestDisk(sectors: [0: SunTests.label([(0, 1008, 2)]), 31: UltrixTests.label([(100, 7)])])
        #expect(disk.scan().table == .sun)
        #expect(disk.scan(PartitionScanOptions(formats: [.ultrix])).table == .ultrix)
        #expect(disk.scan(PartitionScanOptions(formats: [.ultrix, .sun])).table == .sun)
        #expect(disk.scan(PartitionScanOptions(formats: [])) == PartitionScan())
    }

    @Test func `goes on after an error, and what failed leaves nothing behind`() {
        // The second block of the list is not on the disk; the first one's partition is lost with it.
        let disk = TestDisk(sectors: [
            0: AmigaImage.disk(list: 20), 20: AmigaImage.partition(next: 200_000, low: 2, high: 2),
            31: UltrixTests.label([(100, 7)]),
        ])
        for policy in [PartitionPolicy.platter, .kernel] {
            let scan = disk.scan(policy)
            #expect(scan.table == .ultrix)
            #expect(scan.places == [[1, 7, 100]])
            #expect(scan.error == nil)
        }
        let alone = disk.scan(PartitionScanOptions(policy: .kernel, formats: [.amiga]))
        #expect(alone.error == .unreadable(sector: 200_000))
        #expect(alone.entries == [])
    }

    @Test func `of libblkid ends at the first error`() {
        var disk = TestDisk(sectors: [31: UltrixTests.label([(100, 7)])])
        disk.bad = [16]
        #expect(disk.scan(.blkid).table == .ultrix)
        disk.bad = [0]
        #expect(disk.scan(.blkid).error == .unreadable(sector: 0))
        #expect(disk.scan(.kernel).table == .ultrix)
        #expect(disk.scan(.platter).table == .ultrix)
    }

    @Test func `is told with the sectors that were looked at, if that is asked`() throws {
        let disk = TestDisk(sectors: [31: UltrixTests.label([(100, 7)])])
        let trace = disk.scan(PartitionScanOptions(isExplained: true)).trace
        #expect(
            trace.map(\.format) == [
                .acornICS, .acornEESOX, .acornADFS, .cmdline, .deviceTree, .gpt, .sgi, .ldm, .aix, .dos, .osf, .sun,
                .amiga, .atari, .mac, .ultrix,
            ])
        #expect(trace.dropLast().allSatisfy { $0.outcome == .no && !$0.reason.isEmpty })
        #expect(trace.first?.sectors == [0..<1])
        #expect(trace.first { $0.format == .acornEESOX }?.sectors == [7..<8])
        #expect(trace.first { $0.format == .cmdline }?.sectors == [])
        #expect(trace.first { $0.format == .amiga }?.sectors == [0..<16])
        #expect(trace.last?.outcome == .claimed)
        #expect(trace.last?.sectors == [31..<32])
        #expect(disk.scan().trace == [])
    }

    @Test func `names formats by their words, and Acorn's by one`() {
        for kind in PartitionTableKind.allCases { #expect(PartitionTableKind.named(kind.rawValue) == [kind]) }
        #expect(PartitionTableKind.named("acorn")?.count == 5)
        #expect(PartitionTableKind.named("xfs") == nil)
    }

    @Test func `never costs more than a few reads of a disk without a table`() {
        // Marks that make a format look further, and find nothing.
        var looks = [TestDisk(sectors: [:]), TestDisk(sectors: [0: sector((0, text("ER") + big(UInt16(4096))))])]
        looks.append(TestDisk([Slot(type: 0xEE, start: 1, count: 9)]))
        looks.append(TestDisk(sectors: [15: AmigaImage.disk(list: .max)]))
        looks.append(TestDisk(sectors: [6: AcornImage.boot(sectors: 0, cylinder: 1)]))
        for disk in looks {
            for policy in PartitionPolicy.allCases {
                let options = PartitionScanOptions(
                    policy: policy, geometry: DiskGeometry(cylinders: 1, heads: 1, sectorsPerTrack: 1))
                var source = disk
                #expect(scanPartitions(&source, options: options).table == nil || policy == .blkid)
                #expect(source.reads <= PartitionScanLimits.readsOfEmptyDisk)
            }
        }
    }

    @Test func `reads little for a full GPT`() {
        var image = GPTImage(blocks: 20_480)
        for number in 1...128 { image.entries[number] = GPTRow(UInt64(100 + number * 10), UInt64(109 + number * 10)) }
        let disk = image.disk()
        #expect(disk.scan().entries.count == 128)
        for policy in PartitionPolicy.allCases { #expect(disk.cost(policy).bytes <= 64 << 10) }
    }
}
