// SPDX-License-Identifier: Apache-2.0

/// A partition table: what `partitions --json` prints, of a file or of a disk.
public struct PartitionTableModel: Codable, Sendable, Equatable {
    /// One partition; start and size in 512-byte sectors.
    public struct Entry: Codable, Sendable, Equatable {
        /// The number of its slot.
        public var number: Int
        /// Its first sector.
        public var start: UInt64
        /// How many sectors.
        public var size: UInt64
        /// `0x83`, or a GUID in lower case.
        public var type: String?
        /// Its unique id.
        public var uuid: String?
        /// Its name.
        public var name: String?

        /// A partition.
        public init(number: Int, start: UInt64, size: UInt64, type: String?, uuid: String?, name: String?) {
            self.number = number
            self.start = start
            self.size = size
            self.type = type
            self.uuid = uuid
            self.name = name
        }
    }

    /// `gpt`, `dos` or another of blkid's words; absent where there is no table.
    public var table: String?
    /// The logical sector size that the table was read with.
    public var sectorSize: Int
    /// The partitions in the order of their numbers.
    public var partitions: [Entry]
    /// What is wrong with the table, a line each.
    public var warnings: [String]

    enum CodingKeys: String, CodingKey {
        case table
        case sectorSize = "sector_size"
        case partitions, warnings
    }

    /// A table.
    public init(table: String?, sectorSize: Int, partitions: [Entry], warnings: [String]) {
        self.table = table
        self.sectorSize = sectorSize
        self.partitions = partitions
        self.warnings = warnings
    }
}
