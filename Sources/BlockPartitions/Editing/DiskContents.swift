// SPDX-License-Identifier: Apache-2.0

/// What may be on a disk without a table: enough to know that somebody uses it.
enum DiskContents {
    private struct Mark {
        let offset: Int
        let bytes: [UInt8]
        let name: String

        init(_ offset: Int, _ text: String, _ name: String) { self.init(offset, Array(text.utf8), name) }

        init(_ offset: Int, _ bytes: [UInt8], _ name: String) {
            (self.offset, self.bytes, self.name) = (offset, bytes, name)
        }
    }

    /// Marks of boot sectors, which an MBR without partitions may have around it.
    private static let bootMarks = [
        Mark(3, "NTFS    ", "an NTFS file system"), Mark(3, "EXFAT   ", "an exFAT file system"),
        Mark(3, "-FVE-FS-", "a BitLocker volume"), Mark(3, "ReFS\0\0\0\0", "an ReFS file system"),
    ]

    private static let marks =
        [
            Mark(0, "XFSB", "an XFS file system"), Mark(0, Array("LUKS".utf8) + [0xBA, 0xBE], "a LUKS volume"),
            Mark(0, "hsqs", "a squashfs file system"),
            Mark(1024, [0x10, 0x20, 0xF5, 0xF2], "an F2FS file system"),
            Mark(1080, [0x53, 0xEF], "an ext file system"),
            Mark(4086, "SWAPSPACE2", "swap space"), Mark(4086, "SWAP-SPACE", "swap space"),
            Mark(0, [0xFC, 0x4E, 0x2B, 0xA9], "a member of a RAID"),
            Mark(4096, [0xFC, 0x4E, 0x2B, 0xA9], "a member of a RAID"),
            Mark(32768, "JFS1", "a JFS file system"), Mark(32769, "CD001", "an ISO 9660 file system"),
            Mark(65588, "ReIsEr", "a ReiserFS file system"), Mark(65600, "_BHRfS_M", "a btrfs file system"),
        ] + (0..<4).map { Mark(512 * $0, "LABELONE", "a physical volume of LVM") }

    /// What stands there, with its article; nil if nothing is known.
    ///
    /// - Parameter isBootOnly: whether only sector 0 is looked at.
    static func found(on source: inout some PartitionSource, isBootOnly: Bool) -> String? {
        var reader = PageReader(source)
        defer { source = reader.source }
        if let sector = reader.sector(0), case let record = BootRecord(sector), record.isMarked {
            if record.slots.contains(where: \.isProtective) {
                return "a protective MBR, and both copies of its GPT are bad"
            }
            if looksLikeFAT(record) { return "a FAT file system" }
        }
        for mark in bootMarks + (isBootOnly ? [] : marks) {
            guard UInt64(mark.offset + mark.bytes.count) <= reader.capacity * 512 else { continue }
            let bytes = reader.bytes(at: UInt64(mark.offset), count: mark.bytes.count)
            if bytes?.has(mark.bytes, at: 0) == true { return mark.name }
        }
        return nil
    }

    /// Stricter than a scan, for which a boot byte of no sense speaks, too: boot code alone must not look like it.
    static func looksLikeFAT(_ record: BootRecord) -> Bool {
        let (size, cluster) = (record.bytes.u16(at: 0x0B), record.bytes.u8(at: 0x0D))
        return record.looksLikeFAT && [512, 1024, 2048, 4096].contains(size) && cluster.nonzeroBitCount == 1
    }
}
