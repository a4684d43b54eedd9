// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

/// One device, for ever: another disk of the same name, another medium or another partition of that number is another
/// one.
struct DeviceKey: Hashable, Sendable {
    let name: String
    let disk: UInt64
    let sequence: UInt64
    let partition: Int
    let start: UInt64

    init(_ device: BlockDevice) {
        name = device.name
        disk = device.disk.identity
        sequence = device.disk.sequence
        partition = device.partitionNumber
        start = device.start
    }

    var inodeSeed: UInt64 { sequence &* 4 }

    /// The device, as long as it is the same; nil: it is gone.
    func device(in registry: DiskRegistry) -> BlockDevice? {
        guard let device = registry.device(named: name), device.isInTree, DeviceKey(device) == self else { return nil }
        return device
    }
}

/// A file of the tree.
enum TreeNode: Hashable, Sendable {
    /// A directory that belongs to no disk, by its path: "", "dev", "sys/devices/virtual/block", "dev/vdisk".
    case folder(String)
    /// `dev/NAME`.
    case file(DeviceKey)
    /// A link to a device, by the directory that it is in, and its name there.
    case link(folder: String, name: String, DeviceKey)
    /// The directory of a disk or partition below `sys/devices`.
    case object(DeviceKey)
    /// A directory in it: `queue`, `holders`.
    case group(DeviceKey, String)
    /// An attribute, by its path below it: `size`, `queue/scheduler`.
    case attribute(DeviceKey, String)
    /// A link in it.
    case memberLink(DeviceKey, String)
    /// A file of /proc.
    case process(ProcessFile)

    var kind: FuseAttributes.Kind {
        switch self {
        case .folder, .object, .group: .directory
        case .file, .attribute, .process: .file
        case .link, .memberLink: .link
        }
    }

    /// The same number for the same file, while there is one.
    var inode: UInt64 {
        switch self {
        case .folder(let path): Self.hash(path.isEmpty ? "/" : path, 1)
        case .file(let key): Self.hash(key.name, key.inodeSeed &+ 2)
        case .link(let folder, let name, let key): Self.hash(folder + "/" + name, key.inodeSeed &+ 3)
        case .object(let key): Self.hash(key.name, key.inodeSeed &+ 1)
        case .group(let key, let path), .attribute(let key, let path), .memberLink(let key, let path):
            Self.hash(key.name + "/" + path, key.inodeSeed &+ 1)
        case .process(let file): Self.hash("proc/" + file.rawValue, 1)
        }
    }

    /// FNV-1a.
    static func hash(_ text: String, _ seed: UInt64) -> UInt64 {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return value | 1 << 32
    }
}

/// The files of /proc that speak of disks.
enum ProcessFile: String, Sendable, CaseIterable {
    case devices, diskstats, mdstat, partitions
}

extension BlockDevice {
    /// Hidden disks stand in no list, and so in no directory.
    var isInTree: Bool { !disk.options.isHidden && isListed }
}
