// SPDX-License-Identifier: Apache-2.0

/// A partition table: what `partitions --json` prints, of a file or of a disk.
public struct PartitionTableModel: Codable, Sendable, Equatable {
    /// One partition; start and size in 512-byte sectors.
    public struct Entry: Codable, Sendable, Equatable {
        /// The number of its slot.
        public var number: Int
        /// Its first sector.
        public var start: UInt64
        /// How many sectors; of an extended partition those of its device.
        public var size: UInt64
        /// How many sectors an extended partition has, where its device has fewer.
        public var extent: UInt64?
        /// `0x83`, or a GUID in lower case.
        public var type: String?
        /// Its unique id.
        public var uuid: String?
        /// Its name.
        public var name: String?
        /// Of `boot`, `raid`, `whole-disk` and `read-only` those that the table says.
        public var flags: [String] = []
        /// The attribute bits of a GPT, in hex.
        public var attributes: String?
        /// The table inside another partition that it stands in: `bsd`, `minix`, `solaris` or `unixware`.
        public var nested: String?

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

    /// What one format had to say.
    public struct Probe: Codable, Sendable, Equatable {
        /// The format that was asked.
        public var format: String
        /// `claimed`, `no` or `error`.
        public var outcome: String
        /// Why.
        public var reason: String
        /// The 512-byte sectors that it looked at: first and last of each stretch.
        public var sectors: [[UInt64]]

        /// A probe.
        public init(format: String, outcome: String, reason: String, sectors: [[UInt64]]) {
            self.format = format
            self.outcome = outcome
            self.reason = reason
            self.sectors = sectors
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
    /// The table's own identity, if it has one.
    public var id: String?
    /// What each format had to say, in the order in which they were asked; absent unless that was wanted.
    public var probes: [Probe]?

    enum CodingKeys: String, CodingKey {
        case table
        case sectorSize = "sector_size"
        case partitions, warnings, id, probes
    }

    /// A table.
    public init(table: String?, sectorSize: Int, partitions: [Entry], warnings: [String]) {
        self.table = table
        self.sectorSize = sectorSize
        self.partitions = partitions
        self.warnings = warnings
    }
}
