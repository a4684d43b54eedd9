// SPDX-License-Identifier: Apache-2.0

/// A medium that goes in: `POST /v1/disks/NAME/insert`.
public struct InsertRequest: Codable, Sendable, Equatable {
    /// The path of an image or a block device.
    public var path: String

    /// A request.
    public init(path: String) { self.path = path }
}

/// A medium that comes out: `POST /v1/disks/NAME/eject`.
public struct EjectRequest: Codable, Sendable, Equatable {
    /// Whoever uses it, and without a flush: as a card is pulled.
    public var force: Bool?
    /// How long the flush may take.
    public var timeoutSeconds: Double?

    enum CodingKeys: String, CodingKey {
        case force
        case timeoutSeconds = "timeout_seconds"
    }

    /// A request.
    public init(force: Bool? = nil, timeoutSeconds: Double? = nil) {
        self.force = force
        self.timeoutSeconds = timeoutSeconds
    }
}

/// What is in a disk with removable media after an insert or an eject.
public struct MediumModel: Codable, Sendable, Equatable {
    /// The disk.
    public var disk: String
    /// Its sequence number from now on: each medium has one of its own.
    public var diskseq: UInt64
    /// The size of the medium in bytes; 0: nothing is in.
    public var size: UInt64
    /// The kind of its partition table; absent where there is none.
    public var table: String?
    /// The partitions there are now.
    public var partitions: [String]
    /// What is odd about the table, a line each.
    public var warnings: [String]
    /// Bytes that were acknowledged and are not on the medium that was taken out.
    public var unflushedBytes: UInt64
    /// Who has a handle on what is out; their I/O fails until they close it.
    public var openers: [OpenerModel]

    enum CodingKeys: String, CodingKey {
        case disk, diskseq, size, table, partitions, warnings, openers
        case unflushedBytes = "unflushed_bytes"
    }

    /// An answer.
    public init(
        disk: String, diskseq: UInt64, size: UInt64, table: String?, partitions: [String], warnings: [String],
        unflushedBytes: UInt64 = 0, openers: [OpenerModel] = []
    ) {
        self.disk = disk
        self.diskseq = diskseq
        self.size = size
        self.table = table
        self.partitions = partitions
        self.warnings = warnings
        self.unflushedBytes = unflushedBytes
        self.openers = openers
    }
}
