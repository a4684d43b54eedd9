// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

/// What stands below `sys`: the attributes of disks, and the links by which they are found.
extension TreeView {
    /// Directories that are always there.
    static let sysFolders: [String: [String]] = [
        "sys": ["block", "class", "dev", "devices"],
        "sys/block": [], "sys/class": ["block"], "sys/class/block": [], "sys/dev": ["block"], "sys/dev/block": [],
        "sys/devices": ["virtual"], "sys/devices/virtual": ["block"], "sys/devices/virtual/block": [],
    ]

    // MARK: Directories on the way to disks

    /// A name below `sys/devices`: the directory of a disk, or one on the way to it.
    func lookUpObject(_ path: String, named name: String) -> TreeNode? {
        if let device = registry.device(named: name), device.isInTree, device.sysPath == path {
            return device.partitionNumber == 0 ? .object(DeviceKey(device)) : nil
        }
        return leadsToDisk(path) ? .folder(path) : nil
    }

    private func leadsToDisk(_ path: String) -> Bool {
        registry.disks.contains { $0.options.parent != nil && $0.part0.sysPath.hasPrefix(path + "/") }
    }

    /// Disks, and directories on the way to some, in one below `sys/devices`.
    func listObjects(in path: String, except taken: Set<String>) -> [(name: String, node: TreeNode)] {
        var found: [(name: String, node: TreeNode)] = []
        var seen = taken
        let prefix = path + "/"
        for disk in registry.disks {
            let device = disk.part0
            guard device.isInTree, device.sysPath.hasPrefix(prefix) else { continue }
            let rest = device.sysPath.dropFirst(prefix.count)
            if let slash = rest.firstIndex(of: "/") {
                let name = String(rest[..<slash])
                if seen.insert(name).inserted { found.append((name, .folder(prefix + name))) }
            } else {
                found.append((device.name, .object(DeviceKey(device))))
            }
        }
        return found
    }

    func isSysFolder(_ path: String) -> Bool { path.hasPrefix("sys/devices/") && leadsToDisk(path) }

    // MARK: Links to them

    /// How a device is called in a directory of links; nil: it is not there.
    static func sysName(in folder: String, _ device: BlockDevice) -> String? {
        switch folder {
        case "sys/block": device.partitionNumber == 0 ? device.name : nil
        case "sys/class/block": device.name
        case "sys/dev/block": "\(device.number.major):\(device.number.minor)"
        default: nil
        }
    }

    static let sysLinks: Set<String> = ["sys/block", "sys/class/block", "sys/dev/block"]

    func lookUpSysLink(_ name: String, in folder: String) -> TreeNode? {
        let device: BlockDevice?
        if folder == "sys/dev/block" {
            let parts = name.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
            guard parts.count == 2, let major = parts[0], let minor = parts[1] else { return nil }
            device = registry.device(numbered: DeviceNumber(major: major, minor: minor))
        } else {
            device = registry.device(named: name)
        }
        guard let device, device.isInTree, Self.sysName(in: folder, device) == name else { return nil }
        return .link(folder: folder, name: name, DeviceKey(device))
    }

    func listSysLinks(in folder: String) -> [(name: String, node: TreeNode)] {
        registry.disks.flatMap(\.devices).compactMap { device in
            guard device.isInTree, let name = Self.sysName(in: folder, device) else { return nil }
            return (name, .link(folder: folder, name: name, DeviceKey(device)))
        }
    }

    // MARK: The directory of a device

    /// Directories of links that every device has, and a disk besides.
    private static func linkFolders(_ device: BlockDevice) -> [String] {
        device.partitionNumber == 0 ? ["holders", "slaves"] : ["holders"]
    }

    /// What a path below the directory of a device stands for.
    func lookUpMember(_ path: String, of key: DeviceKey) -> TreeNode? {
        guard let device = key.device(in: registry) else { return nil }
        if path == "subsystem" { return .memberLink(key, path) }
        if Self.linkFolders(device).contains(path) { return .group(key, path) }
        if let slash = path.firstIndex(of: "/"), Self.linkFolders(device).contains(String(path[..<slash])) {
            return linked(String(path[..<slash]), device).contains(String(path[path.index(after: slash)...]))
                ? .memberLink(key, path) : nil
        }
        if key.partition == 0, let partition = registry.device(named: path), partition.disk === device.disk,
            partition.partitionNumber != 0, partition.isInTree
        {
            return .object(DeviceKey(partition))
        }
        if device.attribute(path) != nil { return .attribute(key, path) }
        return device.hasAttributeGroup(path) ? .group(key, path) : nil
    }

    private func linked(_ folder: String, _ device: BlockDevice) -> [String] {
        folder == "slaves" ? device.lowerNames : device.holderNames
    }

    func listMembers(of key: DeviceKey, in group: String = "") -> [(name: String, node: TreeNode)] {
        guard let device = key.device(in: registry) else { return [] }
        if Self.linkFolders(device).contains(group) {
            return linked(group, device).map { ($0, .memberLink(key, group + "/" + $0)) }
        }
        var found: [(name: String, node: TreeNode)] = []
        var seen: Set<String> = []
        let prefix = group.isEmpty ? "" : group + "/"
        for info in device.attributes() where info.path.hasPrefix(prefix) {
            let rest = info.path.dropFirst(prefix.count)
            let name = String(rest.prefix { $0 != "/" })
            guard seen.insert(name).inserted else { continue }
            let path = prefix + name
            found.append((name, name.utf8.count == rest.utf8.count ? .attribute(key, path) : .group(key, path)))
        }
        guard group.isEmpty else { return found }
        found += Self.linkFolders(device).map { ($0, .group(key, $0)) }
        found.append(("subsystem", .memberLink(key, "subsystem")))
        if key.partition == 0 {
            found += device.disk.partitions.filter(\.isInTree).map { ($0.name, .object(DeviceKey($0))) }
        }
        return found
    }

    func attributes(of node: TreeNode, _ key: DeviceKey, _ path: String) -> FuseAttributes? {
        guard let info = key.device(in: registry)?.attribute(path) else { return nil }
        var attributes = make(node, mode: (info.isReadable ? 0o444 : 0) | (info.isWritable ? 0o200 : 0))
        // As in sysfs, which does not know before either.
        attributes.size = 4096
        return attributes
    }

    /// Where a link in the directory of a device leads.
    func memberTarget(_ key: DeviceKey, _ path: String) -> String? {
        guard let device = key.device(in: registry) else { return nil }
        if path == "subsystem" { return Self.way(from: device.sysPath, to: "sys/class/block") }
        guard let slash = path.firstIndex(of: "/") else { return nil }
        let name = String(path[path.index(after: slash)...])
        guard linked(String(path[..<slash]), device).contains(name), let other = registry.device(named: name),
            other.isInTree
        else { return nil }
        return Self.way(from: "\(device.sysPath)/\(path[..<slash])", to: other.sysPath)
    }
}

extension BlockDevice {
    /// Its directory: `sys/devices/virtual/block/pl0/pl0p1`.
    var sysPath: String {
        let whole = "sys/devices/\(disk.options.parent ?? "virtual")/block/\(disk.name)"
        return partitionNumber == 0 ? whole : "\(whole)/\(name)"
    }
}
