// SPDX-License-Identifier: Apache-2.0

/// The kinds of partition table that a scan knows, in blkid's words where it has one.
///
/// Those up to `sysv68` are asked in this order, as Linux does; the next four stand inside an MBR's partitions.
public enum PartitionTableKind: String, Sendable, CaseIterable, Codable {
    /// Acorn, the ICS interface: entries and a checksum in sector 0.
    case acornICS = "acorn-ics"
    /// Acorn, the PowerTec interface. Its checksum has 8 bits: one in 256 sectors passes by chance.
    case acornPowerTec = "acorn-powertec"
    /// Acorn, the EESOX interface: entries in sector 7, under a cipher.
    case acornEESOX = "acorn-eesox"
    /// Acorn, the Cumana interface: boot blocks that follow each other over the disk.
    case acornCumana = "acorn-cumana"
    /// Acorn's own file system, with a Linux or RISC iX table behind it.
    case acornADFS = "acorn-adfs"
    /// `blkdevparts=` of the kernel's command line.
    case cmdline
    /// Fixed partitions in a device tree.
    case deviceTree = "of"
    /// A GUID partition table.
    case gpt
    /// A volume header of SGI's machines.
    case sgi
    /// A dynamic disk of Windows.
    case ldm
    /// Logical volumes of AIX.
    case aix
    /// A master boot record, with logical partitions.
    case dos
    /// A disk label of OSF/1 on Alpha.
    case osf
    /// A disk label of Sun's SPARC machines.
    case sun
    /// A rigid disk block of the Amiga.
    case amiga
    /// AHDI's root sector, with its XGM and ICD extensions.
    case atari
    /// A partition map of Apple's machines.
    case mac
    /// A disk label of Ultrix.
    case ultrix
    /// A volume label of IBM's mainframes.
    case ibm
    /// A disk of the Rio Karma.
    case karma
    /// A disk of Motorola's System V.
    case sysv68
    /// A label of FreeBSD, NetBSD or OpenBSD; libblkid finds it outside an MBR too.
    case bsd
    /// Minix' table, a boot record in a boot record.
    case minix
    /// The volume table of Solaris on PCs; libblkid finds it outside an MBR too.
    case solaris
    /// The volume table of UnixWare.
    case unixware
    /// What libblkid calls a protective MBR without a GPT.
    case protectiveMBR = "PMBR"
}

extension PartitionTableKind {
    /// The tables that stand inside an MBR's partitions.
    public static let nested: [PartitionTableKind] = [.bsd, .minix, .solaris, .unixware]

    /// The formats that are asked without being named: all, but for two that claim disks of others by weak checksums.
    public static let standard = Set(allCases).subtracting([.acornCumana, .acornPowerTec])

    /// The formats of one word: a kind's own, or `acorn` for all five of Acorn's; nil if there is none of that name.
    public static func named(_ word: String) -> [PartitionTableKind]? {
        if word == "acorn" { return [.acornICS, .acornPowerTec, .acornEESOX, .acornCumana, .acornADFS] }
        return PartitionTableKind(rawValue: word).map { [$0] }
    }

    /// Linux's order.
    static let kernelOrder: [PartitionTableKind] = [
        .acornICS, .acornPowerTec, .acornEESOX, .acornCumana, .acornADFS, .cmdline, .deviceTree, .gpt, .sgi, .ldm,
        .aix, .dos, .osf, .sun, .amiga, .atari, .mac, .ultrix, .ibm, .karma, .sysv68,
    ]

    /// libblkid's order.
    static let blkidOrder: [PartitionTableKind] = [
        .aix, .sgi, .sun, .dos, .gpt, .protectiveMBR, .mac, .ultrix, .bsd, .unixware, .solaris, .minix, .atari,
    ]

    /// Whether libblkid finds it by a mark, for which it reads the first 1024 bytes of the disk.
    var hasBlkidMark: Bool {
        switch self {
        case .gpt, .ultrix, .atari: false
        default: true
        }
    }

    /// The fewest sectors of a disk that can hold such a table.
    var leastSectors: UInt64 {
        switch self {
        case .acornCumana, .acornADFS: 7
        case .acornEESOX: 8
        case .ultrix: 32
        default: 1
        }
    }
}
