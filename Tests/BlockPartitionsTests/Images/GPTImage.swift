// SPDX-License-Identifier: Apache-2.0

/// A GPT to be written: every field can be set to what it should not be, and the checksums still fit unless told.
struct GPTImage {
    /// The fields of one header.
    struct Header {
        var magic = Array("EFI PART".utf8)
        var headerSize: UInt32 = 92
        var headerChecksum: UInt32?
        var own: UInt64
        var alternate: UInt64
        var firstUsable: UInt64
        var lastUsable: UInt64
        var guid = (0..<16).map { UInt8(0xA0 + $0) }
        var entriesBlock: UInt64
        var count: UInt32 = 128
        var entrySize: UInt32 = 128
        var entriesChecksum: UInt32?
        /// Where the header is written.
        var block: UInt64
        /// What is written after the 92 bytes.
        var rest: [UInt8] = []

        func bytes(entriesChecksum sum: UInt32) -> [UInt8] {
            var bytes = magic + little(UInt32(0x0001_0000)) + little(headerSize) + little(UInt32(0))
            bytes += little(UInt32(0)) + little(own) + little(alternate) + little(firstUsable) + little(lastUsable)
            bytes += guid + little(entriesBlock) + little(count) + little(entrySize)
            bytes += little(entriesChecksum ?? sum) + rest
            let missing = max(0, Int(min(headerSize, 8192)) - bytes.count)
            let summed = bytes.prefix(Int(headerSize)) + repeatElement(0, count: missing)
            bytes.put(little(headerChecksum ?? plainChecksum(Array(summed))), at: 16)
            return bytes
        }
    }

    var capacity: UInt64
    var blockSize: Int
    var primary: Header
    var backup: Header
    /// By number.
    var entries: [Int: GPTRow] = [:]
    /// Entries of the backup, if they are to differ.
    var backupEntries: [Int: GPTRow]?
    var protective = [Slot(type: 0xEE, start: 1, count: .max)]

    /// A valid empty table on a disk of `blocks` logical blocks.
    init(blocks: UInt64 = 2048, blockSize: Int = 512, count: UInt32 = 128) {
        let scale = UInt64(blockSize / 512)
        let tableBlocks = (UInt64(count) * 128 + UInt64(blockSize) - 1) / UInt64(blockSize)
        let last = blocks - 1
        capacity = blocks * scale
        self.blockSize = blockSize
        primary = Header(
            own: 1, alternate: last, firstUsable: 2 + tableBlocks, lastUsable: last - tableBlocks - 1, entriesBlock: 2,
            count: count, block: 1)
        backup = primary
        backup.own = last
        backup.alternate = 1
        backup.entriesBlock = last - tableBlocks
        backup.block = last
    }

    /// Applies the same change to both headers.
    func changing(_ change: (inout Header) -> Void) -> GPTImage {
        var image = self
        change(&image.primary)
        change(&image.backup)
        return image
    }

    func table(_ rows: [Int: GPTRow], count: UInt32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count > 32768 ? 0 : Int(count) * 128)
        for (number, row) in rows where number * 128 <= bytes.count {
            bytes.put(row.bytes, at: (number - 1) * 128)
        }
        return bytes
    }

    /// The disk with all of it.
    func disk() -> TestDisk {
        let scale = UInt64(blockSize / 512)
        var disk = TestDisk(capacity: capacity, logicalBlockSize: blockSize)
        disk.write(bootRecord(protective, signature: 0), sector: 0)
        var written: (table: [UInt8], checksum: UInt32) = ([], 0)
        for (header, rows) in [(primary, entries), (backup, backupEntries ?? entries)] {
            let table = table(rows, count: header.count)
            if table != written.table {
                written = (table, plainChecksum(table))
            }
            if header.entriesBlock < 1 << 40 {
                disk.write(table, sector: header.entriesBlock * scale)
            }
            disk.write(header.bytes(entriesChecksum: written.checksum), sector: header.block * scale)
        }
        return disk
    }
}

/// One entry of a GPT to be written.
struct GPTRow {
    static let linux: [UInt8] = [
        0xAF, 0x3D, 0xC6, 0x0F, 0x83, 0x84, 0x72, 0x47, 0x8E, 0x79, 0x3D, 0x69, 0xD8, 0x47, 0x7D, 0xE4,
    ]

    var type = linux
    var guid = (1...16).map { UInt8($0) }
    var first: UInt64
    var last: UInt64
    var attributes: UInt64 = 0
    var name: [UInt16] = []

    init(_ first: UInt64, _ last: UInt64, name: String = "") {
        self.first = first
        self.last = last
        self.name = Array(name.utf16)
    }

    var bytes: [UInt8] {
        let units = (name + repeatElement(0, count: 36)).prefix(36)
        return type + guid + little(first) + little(last) + little(attributes) + units.flatMap { little($0) }
    }
}
