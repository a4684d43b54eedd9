// SPDX-License-Identifier: Apache-2.0

/// What may be on a disk without a table: enough to know that somebody uses it.
enum DiskContents {
    private struct Mark {
        let place: Place
        let bytes: [UInt8]
        let name: String

        init(_ offset: UInt64, _ text: String, _ name: String) { self.init(offset, Array(text.utf8), name) }

        init(_ offset: UInt64, _ bytes: [UInt8], _ name: String) { self.init(.start(offset), bytes, name) }

        init(_ place: Place, _ bytes: [UInt8], _ name: String) {
            (self.place, self.bytes, self.name) = (place, bytes, name)
        }
    }

    private enum Place {
        case start(UInt64)
        /// Bytes behind the start of a unit, which is that many whole units before the end of the disk.
        case end(units: UInt64, of: UInt64, plus: UInt64 = 0)
        /// Sectors before the end, and then down to a multiple of 4 KiB.
        case nearEnd(sectors: UInt64)

        /// The offset on a disk of that many sectors; nil if the disk is too small for it.
        func offset(_ sectors: UInt64) -> UInt64? {
            switch self {
            case .start(let offset): return offset
            case .end(let units, let unit, let more):
                let whole = sectors / (unit / 512)
                return whole >= units ? (whole - units) * unit + more : nil
            case .nearEnd(let count): return sectors >= count ? (sectors - count) / 8 * 4096 : nil
            }
        }
    }

    /// Marks of boot sectors, which an MBR without partitions may have around it.
    private static let bootMarks: [Mark] = [
        Mark(3, "NTFS    ", "an NTFS file system"), Mark(3, "EXFAT   ", "an exFAT file system"),
        Mark(3, "-FVE-FS-", "a BitLocker volume"), Mark(3, "ReFS\0\0\0\0", "an ReFS file system"),
    ]

    private static let fileSystems: [Mark] = [
        Mark(0, "XFSB", "an XFS file system"), Mark(0, "hsqs", "a squashfs file system"),
        Mark(0, "-rom1fs-", "a romfs file system"),
        Mark(0, [0x45, 0x3D, 0xCD, 0x28], "a cramfs file system"),
        Mark(0, [0xCE, 0xFA, 0xAD, 0x1B], "a BFS file system"), Mark(32, "NXSB", "an APFS container"),
        Mark(1024, [0x10, 0x20, 0xF5, 0xF2], "an F2FS file system"),
        Mark(1024, [0xE2, 0xE1, 0xF5, 0xE0], "an EROFS file system"),
        Mark(1024, "H+\0\u{4}", "an HFS+ file system"), Mark(1024, "HX\0\u{5}", "an HFS+ file system"),
        Mark(1030, "44", "a NILFS file system"), Mark(1080, [0x53, 0xEF], "an ext file system"),
        Mark(1048, [0x5A, 0x4D], "a minix file system"), Mark(32768, "JFS1", "a JFS file system"),
        Mark(8192 + 1372, [0x54, 0x19, 0x01, 0x00], "a UFS file system"),
        Mark(65536 + 1372, [0x19, 0x01, 0x54, 0x19], "a UFS file system"),
        Mark(32769, "CD001", "an ISO 9660 file system"), Mark(32769, "BEA01", "a UDF file system"),
        Mark(65536, [0x01, 0x16, 0x19, 0x70], "a GFS2 file system"),
        Mark(65588, "ReIsEr", "a ReiserFS file system"), Mark(65600, "_BHRfS_M", "a btrfs file system"),
        Mark(1040, [0x7F, 0x13], "a minix file system"), Mark(1040, [0x8F, 0x13], "a minix file system"),
        Mark(1040, [0x68, 0x24], "a minix file system"), Mark(1040, [0x78, 0x24], "a minix file system"),
        Mark(1024, "OCFSV2", "an OCFS2 file system"), Mark(2048, "OCFSV2", "an OCFS2 file system"),
        Mark(4096, "OCFSV2", "an OCFS2 file system"), Mark(8192, "OCFSV2", "an OCFS2 file system"),
    ]

    /// Of volumes, pools and swap space. A RAID of the formats 0.90 and 1.0, of a BIOS, and a pool have theirs at the
    /// end, and what is inside begins at the start of the disk.
    private static let members: [Mark] = [
        Mark(0, Array("LUKS".utf8) + [0xBA, 0xBE], "a LUKS volume"), Mark(0, "verity\0\0", "a dm-verity tree"),
        Mark(0, "integrt\0", "a dm-integrity volume"), Mark(0, "dmvdo001", "a VDO volume"),
        Mark(0, "bluestore block device", "a BlueStore device"),
        Mark(516, Array("!Stra0tis".utf8) + [0x86, 0xFF, 0x02], "a member of a Stratis pool"),
        Mark(4096 + 24, [0xC6, 0x85, 0x73, 0xF6, 0x4E, 0x1A, 0x45, 0xCA], "a bcache device"),
        Mark(1 << 20, [0x0D, 0xD0, 0x01, 0xC0], "a member of a VMFS volume"),
        Mark(0, raid, "a member of a RAID"), Mark(4096, raid, "a member of a RAID"),
        Mark(.nearEnd(sectors: 16), raid, "a member of a RAID"),
        Mark(.end(units: 1, of: 65536), raid, "a member of a RAID"),
        Mark(.end(units: 1, of: 512), [0xDE, 0x11, 0xDE, 0x11], "a member of a RAID (DDF)"),
        Mark(.end(units: 2, of: 512), Array("Intel Raid ISM Cfg Sig. ".utf8), "a member of a RAID (Intel)"),
    ]

    /// A pool's four labels: each begins a list in which the first pair is the version.
    private static let pools: [Mark] = {
        let (label, pair): (UInt64, UInt64) = (256 << 10, (16 << 10) + 20)
        let places: [Place] = [
            .start(pair), .start(label + pair), .end(units: 2, of: label, plus: pair),
            .end(units: 1, of: label, plus: pair),
        ]
        return places.map { Mark($0, [0, 0, 0, 7] + Array("version".utf8), "a member of a ZFS pool") }
    }()

    /// Swap space says what it is at the end of its first page, of any size; LVM in one of four sectors.
    private static let elsewhere: [Mark] = {
        let pages: [UInt64] = [4096, 8192, 16384, 32768, 65536]
        let words = ["SWAPSPACE2", "SWAP-SPACE", "S1SUSPEND\0"]
        let swap = pages.flatMap { page in words.map { word in Mark(page - 10, word, "swap space") } }
        let sectors: [UInt64] = [0, 512, 1024, 1536]
        return swap + sectors.map { Mark($0, "LABELONE", "a physical volume of LVM") }
    }()

    private static let all = bootMarks + fileSystems + members + pools + elsewhere

    private static let raid: [UInt8] = [0xFC, 0x4E, 0x2B, 0xA9]

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
        for mark in isBootOnly ? bootMarks : all {
            guard let offset = mark.place.offset(reader.capacity) else { continue }
            let bytes = reader.bytes(at: offset, count: mark.bytes.count)
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
