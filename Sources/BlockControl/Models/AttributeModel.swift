// SPDX-License-Identifier: Apache-2.0

/// One attribute of a device, as a file of `/sys/block` would be.
public struct AttributeModel: Codable, Sendable, Equatable {
    /// `size`, `queue/nr_requests`.
    public var path: String
    /// Whether it can be read.
    public var readable: Bool
    /// Whether it can be written.
    public var writable: Bool
    /// What it says, without the newline at its end; absent where it cannot be read.
    public var value: String?

    /// An attribute.
    public init(path: String, readable: Bool, writable: Bool, value: String?) {
        self.path = path
        self.readable = readable
        self.writable = writable
        self.value = value
    }
}

/// The attributes of a disk or a partition: `GET /v1/disks/NAME/attributes`.
public struct AttributeList: Codable, Sendable, Equatable {
    /// The device.
    public var device: String
    /// The DISKSEQ of its disk.
    public var diskseq: UInt64
    /// All of them in a fixed order, or the one that was asked for.
    public var attributes: [AttributeModel]

    /// A list.
    public init(device: String, diskseq: UInt64, attributes: [AttributeModel]) {
        self.device = device
        self.diskseq = diskseq
        self.attributes = attributes
    }
}

/// `POST /v1/disks/NAME/attributes`
public struct AttributeRequest: Codable, Sendable, Equatable {
    /// Which.
    public var path: String
    /// What it is to be.
    public var value: String

    /// A request.
    public init(path: String, value: String) {
        self.path = path
        self.value = value
    }
}
