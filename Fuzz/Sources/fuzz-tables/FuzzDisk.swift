// SPDX-License-Identifier: Apache-2.0

import BlockPartitions

/// A disk made of an input: pieces at places of its choice, all else zero.
///
/// ```
/// byte 0    bits 0-1 block size, bits 2-3 rules, bit 6 a huge disk, bit 7 sums are mended
/// byte 1-4  capacity in sectors
/// then      u32 sector, u16 offset, u16 length, bytes; again and again. Little-endian.
/// ```
struct FuzzDisk: PartitionSource {
    let capacity: UInt64
    let logicalBlockSize: Int
    let policy: PartitionPolicy
    let mendsSums: Bool
    private(set) var sectors: [UInt64: [UInt8]] = [:]
    private(set) var reads = 0
    private(set) var bytesRead = 0

    init?(_ input: [UInt8]) {
        guard input.count >= 5 else { return nil }
        logicalBlockSize = [512, 4096, 1024, 2048][Int(input[0] & 3)]
        policy = [.platter, .kernel, .blkid, .kernel][Int(input[0] >> 2 & 3)]
        mendsSums = input[0] & 0x80 != 0
        capacity = Self.number(input[1..<5]) << (input[0] & 0x40 != 0 ? 31 : 0)
        var position = 5
        while position + 8 <= input.count {
            let sector = Self.number(input[position..<position + 4])
            let offset = Int(Self.number(input[position + 4..<position + 6]) % 512)
            let length = min(
                Int(Self.number(input[position + 6..<position + 8])), input.count - position - 8, 64 << 10)
            position += 8
            write(Array(input[position..<position + length]), sector: sector, offset: offset)
            position += length
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func write(_ bytes: [UInt8], sector: UInt64, offset: Int) {
        var written = 0
        while written < bytes.count {
            let place = offset + written
            let part = bytes[written..<min(bytes.count, written + 512 - place % 512)]
            sectors[sector + UInt64(place / 512), default: Self.blank]
                .replaceSubrange(place % 512..<place % 512 + part.count, with: part)
            written += part.count
        }
    }

    private static let blank = [UInt8](repeating: 0, count: 512)

    mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        reads += 1
        bytesRead += count * 512
        precondition(count > 0 && sector < capacity && UInt64(count) <= capacity - sector, "a read past the end")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 512)
        for number in sector..<sector + UInt64(count) { bytes += sectors[number] ?? Self.blank }
        return bytes
    }
}
