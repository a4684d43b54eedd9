// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// What stands where in the tree: made from the registry anew with each question, so there is no second truth that
/// could lag behind.
struct TreeView: Sendable {
    let registry: DiskRegistry
    let flavour: TreeFlavour
    let user: UInt32
    let group: UInt32
    /// When the mount was made, for all times.
    let seconds: UInt64

    init(_ registry: DiskRegistry, _ flavour: TreeFlavour) {
        self.registry = registry
        self.flavour = flavour
        user = Host.userID
        group = Host.groupID
        seconds = UInt64(max(Instant.wallClock, 0))
    }

    /// Directories that are always there, each with what is always in it.
    static let fixed: [String: [String]] = [
        "": ["dev", "proc", "sys"],
        "dev": ["disk"],
        "dev/disk": ["by-diskseq", "by-id", "by-label", "by-partlabel", "by-partuuid", "by-path", "by-uuid"],
        "dev/disk/by-diskseq": [], "dev/disk/by-id": [], "dev/disk/by-partlabel": [], "dev/disk/by-partuuid": [],
        "dev/disk/by-path": [], "dev/disk/by-uuid": [], "dev/disk/by-label": [],
        "proc": [],
    ].merging(sysFolders) { first, _ in first }

    // MARK: Names

    /// What a name in a directory stands for.
    func lookUp(_ name: String, in parent: TreeNode) -> TreeNode? {
        switch parent {
        case .folder(let path): return lookUp(name, inFolder: path)
        case .object(let key): return lookUpMember(name, of: key)
        case .group(let key, let path): return lookUpMember(path + "/" + name, of: key)
        default: return nil
        }
    }

    private func lookUp(_ name: String, inFolder path: String) -> TreeNode? {
        if Self.fixed[path]?.contains(name) == true { return .folder(Self.join(path, name)) }
        if path == "dev" || path.hasPrefix("dev/") && !path.hasPrefix("dev/disk") {
            return lookUpDevice(String(Self.join(path, name).dropFirst(4)))
        }
        if path == "proc" { return ProcessFile(rawValue: name).map { .process($0) } }
        if Self.sysLinks.contains(path) { return lookUpSysLink(name, in: path) }
        if path == "sys/devices" || path.hasPrefix("sys/devices/") {
            return lookUpObject(Self.join(path, name), named: name)
        }
        return links(in: path, named: name).first { $0.name == name }?.node
    }

    /// A device by its path below /dev, or a directory on the way to one.
    private func lookUpDevice(_ path: String) -> TreeNode? {
        if let device = registry.device(named: path), device.isInTree, device.nodePath == path {
            return .file(DeviceKey(device))
        }
        for disk in registry.disks where disk.profile.node != nil {
            for device in disk.devices where device.isInTree {
                if device.nodePath == path { return .file(DeviceKey(device)) }
                if device.nodePath.hasPrefix(path + "/") { return .folder("dev/" + path) }
            }
        }
        return nil
    }

    /// Everything in a directory.
    func list(_ parent: TreeNode) -> [(name: String, node: TreeNode)] {
        switch parent {
        case .folder(let path): return list(folder: path)
        case .object(let key): return listMembers(of: key)
        case .group(let key, let path): return listMembers(of: key, in: path)
        default: return []
        }
    }

    private func list(folder path: String) -> [(name: String, node: TreeNode)] {
        var found = (Self.fixed[path] ?? []).map { (name: $0, node: TreeNode.folder(Self.join(path, $0))) }
        if path == "dev" || path.hasPrefix("dev/") && !path.hasPrefix("dev/disk") {
            found += devices(below: path == "dev" ? "" : String(path.dropFirst(4)) + "/", except: found.map(\.name))
        } else if path == "proc" {
            found += ProcessFile.allCases.map { (name: $0.rawValue, node: .process($0)) }
        } else if Self.sysLinks.contains(path) {
            found += listSysLinks(in: path)
        } else if path == "sys/devices" || path.hasPrefix("sys/devices/") {
            found += listObjects(in: path, except: Set(found.map(\.name)))
        } else {
            found += links(in: path).map { (name: $0.name, node: $0.node) }
        }
        return found
    }

    private func devices(below prefix: String, except taken: [String]) -> [(name: String, node: TreeNode)] {
        var found: [(name: String, node: TreeNode)] = []
        var folders = Set(taken)
        for disk in registry.disks {
            for device in disk.devices where device.isInTree && device.nodePath.hasPrefix(prefix) {
                let rest = device.nodePath.dropFirst(prefix.count)
                guard let slash = rest.firstIndex(of: "/") else {
                    if !folders.contains(String(rest)) { found.append((String(rest), .file(DeviceKey(device)))) }
                    continue
                }
                let name = String(rest[..<slash])
                if folders.insert(name).inserted { found.append((name, .folder("dev/" + prefix + name))) }
            }
        }
        return found
    }

    static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : path + "/" + name }

    // MARK: Links

    struct Link {
        var name: String
        var node: TreeNode
    }

    /// The links in a directory; only those that may have this name, if one is given.
    private func links(in folder: String, named name: String? = nil) -> [Link] {
        guard let by = folder.hasPrefix("dev/disk/by-") ? folder.dropFirst("dev/disk/by-".count) : nil else {
            return []
        }
        var found: [Link] = []
        var seen: Set<String> = []
        for disk in registry.disks {
            for device in disk.devices where device.isInTree {
                guard let link = DeviceNames.link(String(by), device), name == nil || link == name else { continue }
                // Of two with one name the first has it, as a name has one meaning.
                if seen.insert(link).inserted {
                    found.append(Link(name: link, node: .link(folder: folder, name: link, DeviceKey(device))))
                }
            }
        }
        return found
    }

    /// Where a link leads, from the directory that it is in; nil: it is gone.
    func target(of node: TreeNode) -> String? {
        if case .memberLink(let key, let path) = node { return memberTarget(key, path) }
        guard case .link(let folder, let name, let key) = node else { return nil }
        guard let device = key.device(in: registry) else { return nil }
        if Self.sysLinks.contains(folder) {
            guard Self.sysName(in: folder, device) == name else { return nil }
            return Self.way(from: folder, to: device.sysPath)
        }
        guard let by = folder.hasPrefix("dev/disk/by-") ? folder.dropFirst("dev/disk/by-".count) : nil,
            DeviceNames.link(String(by), device) == name
        else { return nil }
        return Self.way(from: folder, to: "dev/" + device.nodePath)
    }

    /// The way from a directory to a path, both from the root of the tree, as short as it can be.
    static func way(from folder: String, to path: String) -> String {
        let here = folder.split(separator: "/")
        let there = path.split(separator: "/")
        let shared = zip(here, there).prefix { $0 == $1 }.count
        let up = repeatElement("..", count: here.count - shared).map { Substring($0) }
        return (up + there[shared...]).joined(separator: "/")
    }

    // MARK: Attributes

    /// What a file is; nil: it is gone.
    ///
    /// - Parameter known: the size that was told last. A disk that is gone keeps it as long as somebody has it open.
    func attributes(of node: TreeNode, known: UInt64 = 0) -> FuseAttributes? {
        switch node {
        case .folder(let path):
            guard path.isEmpty || Self.fixed[path] != nil || holdsDevices(path) || isSysFolder(path) else { return nil }
            return make(node, mode: 0o755)
        case .object(let key): return key.device(in: registry).map { _ in make(node, mode: 0o755) }
        case .group(let key, _): return key.device(in: registry).map { _ in make(node, mode: 0o755) }
        case .attribute(let key, let path): return attributes(of: node, key, path)
        case .link, .memberLink:
            guard let target = target(of: node) else { return nil }
            var attributes = make(node, mode: 0o777)
            attributes.size = UInt64(target.utf8.count)
            return attributes
        case .process: return make(node, mode: 0o444)
        case .file(let key):
            let device = key.device(in: registry)
            if flavour == .sysroot { return device.map { _ in text(node) } }
            guard device != nil || known > 0 else { return nil }
            let place = device?.disk.profile.node
            var attributes = make(node, mode: place?.mode ?? 0o660)
            attributes.user = place?.user ?? user
            attributes.group = place?.group ?? group
            attributes.size = device.map { $0.size * UInt64(sectorSize) } ?? known
            if attributes.size == 0 { attributes.size = known }
            return attributes
        }
    }

    /// Text whose length nobody knows before it is read.
    private func text(_ node: TreeNode) -> FuseAttributes {
        var attributes = make(node, mode: 0o444)
        attributes.size = 4096
        return attributes
    }

    func make(_ node: TreeNode, mode: UInt32) -> FuseAttributes {
        FuseAttributes(
            inode: node.inode, kind: node.kind, mode: mode, user: user, group: group, size: 0,
            links: node.kind == .directory ? 2 : 1, seconds: seconds)
    }

    private func holdsDevices(_ path: String) -> Bool {
        guard path.hasPrefix("dev/") else { return false }
        let prefix = path.dropFirst(4) + "/"
        return registry.disks.contains { disk in
            disk.profile.node != nil && disk.devices.contains { $0.isInTree && $0.nodePath.hasPrefix(prefix) }
        }
    }

    /// For how long the kernel may believe a name and its attributes, in seconds. What belongs to a disk it asks for
    /// each time: the disk may be gone.
    func validity(of node: TreeNode) -> (name: UInt64, attributes: UInt64) {
        switch node {
        case .folder(let path): Self.fixed[path] != nil ? (3600, 3600) : (0, 0)
        case .process: (3600, 3600)
        // The way to them leads past their disk, which is looked for each time; and they come and go with features.
        case .group, .attribute: (1, 1)
        case .object: (0, 3600)
        case .file, .link, .memberLink: (0, 0)
        }
    }
}

/// How devices are called in `dev/disk/by-…`.
enum DeviceNames {
    /// The name of a device there; nil: it has none, or none that can be a name.
    static func link(_ by: String, _ device: BlockDevice) -> String? {
        wanted(by, device).flatMap { isName($0) ? $0 : nil }
    }

    /// Whether a directory can have an entry of that name.
    static func isName(_ text: String) -> Bool {
        (1...FuseWire.nameMax).contains(text.utf8.count) && text != "." && text != ".."
            && !text.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
    }

    /// A text with blanks where it had ends of lines. By bytes: the two of "\r\n" are one Character.
    static func oneLine(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 == 10 || $0 == 13 ? 32 : $0 }, as: UTF8.self)
    }

    private static func wanted(_ by: String, _ device: BlockDevice) -> String? {
        let part = device.partitionNumber == 0 ? "" : "-part\(device.partitionNumber)"
        let disk = device.disk
        switch by {
        case "diskseq": return "\(disk.sequence)\(part)"
        case "id": return "platter-\(encoded(disk.options.attributes["serial"] ?? disk.name))\(part)"
        case "path":
            let parent = disk.options.parent.map { $0.replacing("/", with: "-") } ?? "virtual"
            return encoded("\(parent)-\(disk.name)") + part
        case "uuid": return DeviceProbes.shared.remembered(device)?["ID_FS_UUID_ENC"]
        case "label": return DeviceProbes.shared.remembered(device)?["ID_FS_LABEL_ENC"]
        case "partuuid": return device.partitionUUID?.lowercased()
        case "partlabel":
            guard let name = device.partitionName, !name.isEmpty else { return nil }
            return encoded(name)
        default: return nil
        }
    }

    /// What may not stand in a name is told in hexadecimal, as udev does it.
    static func encoded(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let isPlain =
                scalar.isASCII
                ? scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                    || "#+-.:=@_".unicodeScalars.contains(scalar)
                : true
            if isPlain {
                result.unicodeScalars.append(scalar)
            } else {
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + String(repeating: "0", count: max(2 - digits.count, 0)) + digits
            }
        }
        return result
    }
}

extension BlockDevice {
    /// Its path below /dev: what its driver named, else its name.
    var nodePath: String { node?.path ?? name }
}

extension TreeView {
    /// The text that a device file of a `--sysroot` holds; nil: the device is gone.
    /// - Context: may block for a few seconds.
    func sysrootText(of key: DeviceKey) -> String? {
        guard let device = key.device(in: registry) else { return nil }
        let place = device.node
        return device.sysrootText(
            DeviceProbes.shared.values(of: device), mode: place?.mode ?? 0o660, user: place?.user ?? user,
            group: place?.group ?? group)
    }

    func text(of file: ProcessFile) -> String {
        switch file {
        case .devices: registry.devicesText()
        case .diskstats: registry.diskstatsText()
        case .partitions: registry.partitionsText()
        case .mdstat: "Personalities :\nunused devices: <none>\n"
        }
    }
}
