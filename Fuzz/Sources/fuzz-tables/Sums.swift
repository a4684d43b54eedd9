// SPDX-License-Identifier: Apache-2.0

import BlockPartitions

// A fuzzer does not guess checksums: those of an input are mended, so that it gets past them.

extension FuzzDisk {
    /// Mends the sums that a format has.
    mutating func mend(_ kind: PartitionTableKind) {
        switch kind {
        case .gpt: mendGPT()
        case .sgi: change(0) { Self.balance(&$0, words: 128, at: 504) }
        case .sun:
            change(0) { bytes in
                var sum = (bytes[508], bytes[509])
                for index in stride(from: 0, to: 508, by: 2) {
                    sum = (sum.0 ^ bytes[index], sum.1 ^ bytes[index + 1])
                }
                (bytes[510], bytes[511]) = sum
            }
        case .amiga:
            for sector in sectors.keys.prefix(64) {
                change(sector) { bytes in
                    guard bytes.starts(with: "RDSK".utf8) || bytes.starts(with: "PART".utf8) else { return }
                    let count = Int(bytes[7] & 0x7F)
                    if count > 2 { Self.balance(&bytes, words: count, at: 8) }
                }
            }
        case .acornICS:
            change(0) { bytes in
                let sum = bytes.prefix(508).reduce(UInt32(0x5061_7274)) { $0 &+ UInt32($1) }
                for index in 0..<4 { bytes[508 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
            }
        case .acornPowerTec: change(0) { $0[511] = $0.prefix(511).reduce(UInt8(0x2A)) { $0 &+ $1 } }
        case .acornADFS, .acornCumana:
            for sector in sectors.keys.prefix(64) {
                change(sector) { bytes in
                    var sum: UInt32 = 0
                    for byte in bytes.prefix(511).reversed() { sum = (sum & 0xFF) + (sum >> 8) + UInt32(byte) }
                    bytes[511] = UInt8(truncatingIfNeeded: sum)
                }
            }
        default: break
        }
    }

    private mutating func change(_ sector: UInt64, _ body: (inout [UInt8]) -> Void) {
        var bytes = sectors[sector] ?? Array(repeating: 0, count: 512)
        body(&bytes)
        write(bytes, sector: sector, offset: 0)
    }

    private static func balance(_ bytes: inout [UInt8], words count: Int, at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = 0 }
        var sum: UInt32 = 0
        for word in 0..<count { sum &+= bytes[4 * word..<4 * word + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: (0 &- sum) >> UInt32(24 - 8 * index)) }
    }

    /// Mends the sums of the header in block 1 and in the last one.
    private mutating func mendGPT() {
        let scale = UInt64(logicalBlockSize / 512)
        guard capacity / scale > 1 else { return }
        for block in [1, capacity / scale - 1] {
            var header = sectors[block * scale] ?? []
            guard header.count == 512, header.starts(with: "EFI PART".utf8) else { continue }
            func field(_ offset: Int, _ count: Int) -> UInt64 {
                header[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
            }
            let (size, count, entries) = (Int(field(12, 4)), Int(field(80, 4)), field(72, 8))
            guard (92...512).contains(size), count <= 512, entries < 1 << 40 else { continue }
            var table: [UInt8] = []
            for sector in entries * scale..<entries * scale + UInt64(count * 128 + 511) / 512 {
                table += sectors[sector] ?? Array(repeating: 0, count: 512)
            }
            put(CRC32(of: table.prefix(count * 128)).value, into: &header, at: 88)
            put(0, into: &header, at: 16)
            put(CRC32(of: header.prefix(size)).value, into: &header, at: 16)
            write(header, sector: block * scale, offset: 0)
        }
    }

    private func put(_ value: UInt32, into bytes: inout [UInt8], at offset: Int) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
    }
}
