// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

/// A header with one rule broken in both copies; the words that the warning must have.
struct HeaderCase: CustomTestStringConvertible {
    let name: String
    let words: String
    let change: @Sendable (inout GPTImage.Header) -> Void

    init(_ name: String, _ words: String, _ change: @escaping @Sendable (inout GPTImage.Header) -> Void) {
        self.name = name
        self.words = words
        self.change = change
    }

    var testDescription: String { name }

    static let bad = [
        HeaderCase("wrong magic", "no GPT signature") { $0.magic[7] = 0x20 },
        HeaderCase("header size 91", "header size is 91") { $0.headerSize = 91 },
        HeaderCase("header size 0", "header size is 0") { $0.headerSize = 0 },
        HeaderCase("header size past the block", "header size is 513") { $0.headerSize = 513 },
        HeaderCase("greatest header size", "header size is 4294967295") { $0.headerSize = .max },
        HeaderCase("header checksum", "header checksum is wrong") { $0.headerChecksum = 1 },
        HeaderCase("own block", "it says it is at block 3") { $0.own = 3 },
        HeaderCase("first usable past the end", "first usable block 2048") { $0.firstUsable = 2048 },
        HeaderCase("last usable past the end", "last usable block 2048") { $0.lastUsable = 2048 },
        HeaderCase("greatest last usable", "last usable block 18446744073709551615") { $0.lastUsable = .max },
        HeaderCase("usable blocks in the wrong order", "before the first") { ($0.firstUsable, $0.lastUsable) = (9, 8) },
        HeaderCase("entries past the end", "entries at block 2048") { $0.entriesBlock = 2048 },
        HeaderCase("entries at the greatest block", "entries at block 18446744073709551615") {
            $0.entriesBlock = .max
        },
        HeaderCase("entries reach past the end", "entries cannot be read") { $0.entriesBlock = 2040 },
        HeaderCase("no entries", "entry count is 0") { $0.count = 0 },
        HeaderCase("more than 4 MiB of entries", "entry count is 32769") { $0.count = 32769 },
        HeaderCase("greatest count", "entry count is 4294967295") { $0.count = .max },
        HeaderCase("entry size 256", "entry size is 256") { $0.entrySize = 256 },
        HeaderCase("entry size 0", "entry size is 0") { $0.entrySize = 0 },
        HeaderCase("entries checksum", "entries checksum is wrong") { $0.entriesChecksum = 1 },
    ]

    static let good = [
        HeaderCase("header size 512", "") { $0.headerSize = 512 },
        HeaderCase("bytes after the header", "") { $0.rest = Array(repeating: 0xEE, count: 420) },
        HeaderCase("bytes after 92 that are summed", "") {
            $0.headerSize = 100
            $0.rest = Array(repeating: 0xEE, count: 8)
        },
        HeaderCase("usable blocks to the last", "") { ($0.firstUsable, $0.lastUsable) = (0, 2047) },
        HeaderCase("one usable block", "") { ($0.firstUsable, $0.lastUsable) = (100, 100) },
    ]
}

@Suite("A GPT header")
struct GPTHeaderTests {
    private static func image() -> GPTImage {
        var image = GPTImage()
        image.entries = [1: GPTRow(100, 199, name: "root"), 3: GPTRow(200, 200)]
        return image
    }

    @Test func `that is valid gives its partitions and its GUID`() {
        let scan = Self.image().disk().scan()
        #expect(scan.table == .gpt)
        #expect(scan.tableID == "a3a2a1a0-a5a4-a7a6-a8a9-aaabacadaeaf")
        #expect(scan.places == [[1, 100, 100], [3, 200, 1]])
        #expect(scan.warnings == [])
        #expect(scan.error == nil)
    }

    @Test(arguments: HeaderCase.bad) func `that breaks a rule in both copies gives no table`(_ broken: HeaderCase) {
        for policy in [PartitionPolicy.platter, .kernel] {
            let scan = Self.image().changing(broken.change).disk().scan(policy)
            #expect(scan.table == nil)
            #expect(scan.entries == [])
            #expect(scan.warns("GPT", broken.words), "\(scan.warnings)")
        }
    }

    @Test(arguments: HeaderCase.bad) func `that breaks a rule is replaced by the backup, by Linux not`(
        _ broken: HeaderCase
    ) {
        var image = Self.image()
        broken.change(&image.primary)
        let scan = image.disk().scan()
        #expect(scan.entries == Self.image().disk().scan().entries)
        #expect(scan.warnings.count == 1)
        #expect(scan.warns("block 1 is bad", broken.words, "read from the backup at block 2047"), "\(scan.warnings)")
        #expect(scan.error == nil)

        let kernel = image.disk().scan(.kernel)
        #expect(kernel.table == nil)
        #expect(kernel.warns("block 1 is bad", "refused"))
    }

    @Test(arguments: HeaderCase.bad) func `that is good is used whatever is wrong with the backup`(
        _ broken: HeaderCase
    ) {
        var image = Self.image()
        broken.change(&image.backup)
        let scan = image.disk().scan()
        #expect(scan.entries == Self.image().disk().scan().entries)
        #expect(scan.warnings.count == 1)
        #expect(scan.warns("backup header at block 2047 is bad", broken.words, "primary is used"), "\(scan.warnings)")
        #expect(image.disk().scan(.kernel).warnings == [])
    }

    @Test(arguments: HeaderCase.good) func `may have unusual values`(_ unusual: HeaderCase) {
        for policy in [PartitionPolicy.platter, .kernel] {
            #expect(Self.image().changing(unusual.change).disk().scan(policy).places == [[1, 100, 100], [3, 200, 1]])
        }
    }

    @Test func `of 4096-byte blocks scales by eight`() {
        var image = GPTImage(blocks: 256, blockSize: 4096)
        image.entries = [2: GPTRow(10, 19)]
        image.primary.headerSize = 4096
        let scan = image.disk().scan()
        #expect(scan.places == [[2, 80, 80]])
        #expect(scan.warnings == [])
    }

    @Test func `of 512-byte blocks is no table on a disk of 4096-byte blocks`() {
        var disk = Self.image().disk()
        disk.logicalBlockSize = 4096
        #expect(disk.scan().table == nil)
    }

    @Test func `with a disk cut below the last usable block is bad`() {
        var disk = Self.image().disk()
        disk.capacity = 1024
        let scan = disk.scan()
        #expect(scan.table == nil)
        #expect(scan.warns("last usable block 2014 is beyond the end"))
    }

    @Test func `on a disk that was grown is good, and says where the backup is`() {
        var disk = Self.image().disk()
        disk.capacity = 4096
        let scan = disk.scan()
        #expect(scan.places == [[1, 100, 100], [3, 200, 1]])
        #expect(scan.warnings == ["GPT: the backup header is at block 2047, not at the last one (4095)"])
    }

    @Test func `whose backup says something else is used with a warning`() {
        var image = Self.image()
        image.backup.guid[0] = 0
        image.backup.firstUsable += 1
        image.backupEntries = [:]
        let scan = image.disk().scan()
        #expect(scan.places == [[1, 100, 100], [3, 200, 1]])
        #expect(scan.warnings.count == 1)
        #expect(scan.warns("backup header at block 2047 differs (usable blocks, disk GUID, entries)"))
    }

    @Test func `whose backup is beyond the end, or itself, is used with a warning`() {
        var image = Self.image()
        image.primary.alternate = .max
        #expect(image.disk().scan().warns("beyond the end of the disk"))
        image.primary.alternate = 1
        #expect(image.disk().scan().warns("names itself"))
        image.primary.alternate = 0
        #expect(image.disk().scan().warns("block 0 is bad"))
        #expect(image.disk().scan().entries.count == 2)
    }

    @Test func `of the greatest table is read whole, and both copies fit the bound`() {
        var image = GPTImage(blocks: 40000, count: 32768)
        image.entries = [255: GPTRow(20000, 20009), 256: GPTRow(20010, 20019), 32768: GPTRow(20020, 20029)]
        let disk = image.disk()
        let scan = disk.scan()
        #expect(scan.places == [[255, 20000, 10]])
        #expect(scan.warnings == ["GPT: 2 entries past number 255: dropped"])
        #expect(disk.cost().bytes <= (8 << 20) + 6 * 4096)
        #expect(disk.cost(.kernel).bytes <= (4 << 20) + 3 * 4096)
    }

    @Test func `on a disk of one block has no place`() {
        var disk = TestDisk(image().protective, capacity: 1)
        #expect(disk.scan().table == nil)
        #expect(disk.scan().warns("beyond the end of the disk"))
        disk.logicalBlockSize = 4096
        #expect(disk.scan().error == .unreadable(sector: 0))
    }

    private func image() -> GPTImage { Self.image() }

    @Test func `with bad entries is read from where it says the other copy is`() {
        var image = GPTImage()
        image.entries = [1: GPTRow(100, 199)]
        image.backup.block = 1500
        image.backup.own = 1500
        image.backup.entriesBlock = 1460
        image.primary.alternate = 1500
        #expect(image.disk().scan().warns("the backup header is at block 1500, not at the last one"))
        image.primary.entriesChecksum = 1
        let scan = image.disk().scan()
        #expect(scan.places == [[1, 100, 100]])
        #expect(scan.warns("entries checksum is wrong", "read from the backup at block 1500"))
        // Linux and libblkid look at the end of the disk, or nowhere.
        #expect(image.disk().scan(.kernel).table == nil)
        #expect(image.disk().scan(.blkid).table == .protectiveMBR)
        // A header that is bad itself is not believed.
        image.primary.entriesChecksum = nil
        image.primary.headerChecksum = 1
        #expect(image.disk().scan().table == nil)
    }
}
