// SPDX-License-Identifier: Apache-2.0

/// The private header of a dynamic disk. Big-endian: `PRIVHEAD`, version 2.11 or 2.12 at 12, the disk's GUID as text at
/// 0x30, start and size of the logical disk at 0x11B, of the configuration at 0x12B.
struct LDMPrivateHeader: Equatable {
    let minor: UInt16
    let disk: [UInt8]
    let logicalStart: UInt64
    let logicalSize: UInt64
    let configStart: UInt64
    let configSize: UInt64

    init?(_ bytes: TableBytes) {
        guard bytes.has("PRIVHEAD"), bytes.be16(at: 12) == 2, (11...12).contains(bytes.be16(at: 14)),
            let disk = guidBytes(bytes.part(at: 0x30, count: 36))
        else { return nil }
        minor = bytes.be16(at: 14)
        self.disk = disk
        logicalStart = bytes.be64(at: 0x11B)
        logicalSize = bytes.be64(at: 0x123)
        configStart = bytes.be64(at: 0x12B)
        configSize = bytes.be64(at: 0x133)
        let end = logicalStart.addingReportingOverflow(logicalSize)
        guard logicalSize > 0, !end.overflow, end.partialValue <= configStart else { return nil }
    }

    /// Whether the configuration lies on a disk of `capacity` sectors.
    func fits(_ capacity: UInt64) -> Bool {
        let end = configStart.addingReportingOverflow(configSize)
        return !end.overflow && end.partialValue <= capacity
    }
}

/// The table of contents: `TOCBLOCK`, then start and size of the areas `config` and `log`.
struct LDMContents: Equatable {
    let configStart: UInt64
    let configSize: UInt64
    let logStart: UInt64
    let logSize: UInt64

    init?(_ bytes: TableBytes) {
        guard bytes.has("TOCBLOCK"), bytes.text(at: 0x24, count: 10) == "config",
            bytes.text(at: 0x46, count: 10) == "log"
        else { return nil }
        configStart = bytes.be64(at: 0x2E)
        configSize = bytes.be64(at: 0x36)
        logStart = bytes.be64(at: 0x50)
        logSize = bytes.be64(at: 0x58)
    }

    /// Whether both areas lie within `size` sectors.
    func fits(_ size: UInt64) -> Bool {
        [(configStart, configSize), (logStart, logSize)].allSatisfy { start, length in
            let end = start.addingReportingOverflow(length)
            return !end.overflow && end.partialValue <= size
        }
    }
}

/// The head of the database: `VMDB`, version 4.10, where its records are.
struct LDMDatabase {
    let lastNumber: UInt64
    let recordSize: UInt64
    let firstOffset: UInt64

    init?(_ bytes: TableBytes) {
        guard bytes.has("VMDB"), bytes.be16(at: 18) == 4, bytes.be16(at: 20) == 10, bytes.be16(at: 16) == 1,
            bytes.be32(at: 8) > 0
        else { return nil }
        lastNumber = UInt64(bytes.be32(at: 4))
        recordSize = UInt64(bytes.be32(at: 8))
        firstOffset = UInt64(bytes.be32(at: 12))
    }
}

/// The 16 bytes of a GUID in 36 characters, either case; nil if it is none.
func guidBytes(_ text: TableBytes) -> [UInt8]? {
    guard text.count == 36 else { return nil }
    var digits: [UInt8] = []
    for (index, byte) in text.bytes.enumerated() {
        switch byte {
        case UInt8(ascii: "-") where [8, 13, 18, 23].contains(index): continue
        case 0x30...0x39 where ![8, 13, 18, 23].contains(index): digits.append(byte - 0x30)
        case 0x41...0x46 where ![8, 13, 18, 23].contains(index): digits.append(byte - 0x37)
        case 0x61...0x66 where ![8, 13, 18, 23].contains(index): digits.append(byte - 0x57)
        default: return nil
        }
    }
    return stride(from: 0, to: 32, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
