// SPDX-License-Identifier: Apache-2.0

/// A tree that is to be mounted: `POST /v1/mounts`.
public struct MountRequest: Codable, Sendable, Equatable {
    /// An empty directory, absolute: the daemon has another current directory.
    public var path: String
    /// Its device files are text, as `lsblk --sysroot` reads them; absent: they are the disks.
    public var sysroot: Bool?
    /// Whether other users may look in, as far as the files' permissions let them; absent: if root mounts.
    public var allowOther: Bool?

    enum CodingKeys: String, CodingKey {
        case path, sysroot
        case allowOther = "allow_other"
    }

    /// A request.
    public init(path: String, sysroot: Bool? = nil, allowOther: Bool? = nil) {
        self.path = path
        self.sysroot = sysroot
        self.allowOther = allowOther
    }
}

/// A tree that is mounted.
public struct MountModel: Codable, Sendable, Equatable {
    /// By which it is taken away.
    public var id: String
    /// Where.
    public var path: String
    /// Whether its device files are text.
    public var sysroot: Bool

    /// A mount.
    public init(id: String, path: String, sysroot: Bool) {
        self.id = id
        self.path = path
        self.sysroot = sysroot
    }
}

/// All mounts: `GET /v1/mounts`.
public struct MountList: Codable, Sendable, Equatable {
    /// The mounts.
    public var mounts: [MountModel]

    /// A list.
    public init(mounts: [MountModel]) { self.mounts = mounts }
}
