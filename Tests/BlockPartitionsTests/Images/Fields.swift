// SPDX-License-Identifier: Apache-2.0

import BlockPartitions

/// The bytes of a number, most significant first.
func big<Field: FixedWidthInteger>(_ value: Field) -> [UInt8] { little(value).reversed() }

/// A sector with these fields at these offsets.
func sector(_ fields: (Int, [UInt8])...) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    for (offset, field) in fields { bytes.put(field, at: offset) }
    return bytes
}

/// Text as bytes, filled up with NULs.
func text(_ text: String, count: Int? = nil) -> [UInt8] {
    let bytes = Array(text.utf8)
    return bytes + Array(repeating: 0, count: max(0, (count ?? 0) - bytes.count))
}

/// Sets the big-endian word at `offset` so that the first `count` words add up to 0.
func balance(_ bytes: inout [UInt8], words count: Int, at offset: Int) {
    bytes.put([0, 0, 0, 0], at: offset)
    var sum: UInt32 = 0
    for word in 0..<count {
        sum &+= bytes[4 * word..<4 * word + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
    bytes.put(big(0 &- sum), at: offset)
}

extension TestDisk {
    /// A disk with these sectors.
    init(sectors: [UInt64: [UInt8]], capacity: UInt64 = 100_000, logicalBlockSize: Int = 512) {
        self.init(capacity: capacity, logicalBlockSize: logicalBlockSize)
        for (sector, bytes) in sectors { write(bytes, sector: sector) }
    }

    /// What a scan with these options finds.
    func scan(_ options: PartitionScanOptions) -> PartitionScan {
        var disk = self
        return scanPartitions(&disk, options: options)
    }
}
