// SPDX-License-Identifier: Apache-2.0

package import BlockControl

/// Disks, their partitions and what stands on them as trees. The list of the daemon has each disk once; here it hangs
/// under each that it stands on, as in lsblk.
package struct DeviceForest: Sendable {
    /// What is to be in it.
    package struct Selection: Sendable {
        /// The devices that are wanted, and what hangs under them; none: all.
        package var names: [String] = []
        /// What stands on others is above what it stands on.
        package var isInverse = false
        /// Nothing hangs under anything.
        package var isFlat = false
        /// Only disks with one of these major numbers; for devices that are not named, as the two that follow.
        package var majors: Set<String>?
        /// No disks with one of these.
        package var otherThan: Set<String> = []
        /// No disks without a medium.
        package var skipsEmpty = false

        /// Everything.
        package init() {}

        /// Whether a disk that is not named is in it.
        func admits(_ device: DeviceModel) -> Bool {
            let major = String(device.majMin.prefix { $0 != ":" })
            return majors?.contains(major) != false && !otherThan.contains(major) && !(skipsEmpty && device.size == 0)
        }
    }

    /// A device where it was met.
    package struct Node: Sendable {
        /// The device, without what hangs under it.
        package let device: DeviceModel
        /// Of a partition.
        let disk: DeviceModel?
        /// What it hangs under, else the disk of a partition.
        package let parent: String?
        /// What hangs under it.
        package var children: [Node] = []

        /// Itself, and all that hangs under it.
        package var flattened: [Node] { [self] + children.flatMap(\.flattened) }

        /// As a model that has everything below in `children`.
        package var model: DeviceModel {
            var model = device
            model.children = children.isEmpty ? nil : children.map(\.model)
            return model
        }
    }

    /// What hangs under nothing.
    package var roots: [Node] = []

    private let disks: [String: DeviceModel]
    private let devices: [String: DeviceModel]
    private let diskOf: [String: String]

    /// - Throws: ``Problem`` for a name that no device of the list has.
    package init(_ list: [DeviceModel], _ selection: Selection = Selection()) throws(Problem) {
        disks = Dictionary(list.map { ($0.name, $0) }) { first, _ in first }
        let all = list.flatMap { [$0] + ($0.children ?? []) }
        devices = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
        diskOf = Dictionary(
            list.flatMap { disk in (disk.children ?? []).map { ($0.name, disk.name) } }
        ) { first, _ in first }

        var tops: [DeviceModel] = []
        for name in selection.names {
            guard let device = devices[name] else { throw Problem.noSuchDisk(name) }
            if !tops.contains(where: { $0.name == name }) { tops.append(device) }
        }
        if selection.names.isEmpty {
            tops = (selection.isInverse ? leaves(all) : bases(list, all)).filter(selection.admits)
        }
        roots = tops.map { node($0, under: nil, selection) }
    }

    private func node(_ device: DeviceModel, under parent: DeviceModel?, _ selection: Selection) -> Node {
        let disk = diskOf[device.name].flatMap { disks[$0] }
        var bare = device
        bare.children = nil
        var node = Node(device: bare, disk: disk, parent: parent?.name ?? disk?.name)
        if !selection.isFlat {
            node.children = (selection.isInverse ? lowers(of: device) : uppers(of: device))
                .map { self.node($0, under: device, selection) }
        }
        return node
    }

    /// The partitions, then what stands on it.
    private func uppers(of device: DeviceModel) -> [DeviceModel] {
        (device.children ?? []) + device.uppers.compactMap { disks[$0] }
    }

    /// The disk of a partition, or what it stands on.
    private func lowers(of device: DeviceModel) -> [DeviceModel] {
        if let disk = diskOf[device.name].flatMap({ disks[$0] }) { return [disk] }
        return device.lowers.compactMap { devices[$0] }
    }

    /// What stands on nothing. What it stood on may be gone.
    private func bases(_ list: [DeviceModel], _ all: [DeviceModel]) -> [DeviceModel] {
        let held = Set(all.flatMap(\.uppers))
        return list.filter { !held.contains($0.name) }
    }

    /// What nothing stands on.
    private func leaves(_ all: [DeviceModel]) -> [DeviceModel] { all.filter { uppers(of: $0).isEmpty } }

    /// Puts what hangs together in order, at every height.
    package mutating func sort(by isBefore: (Node, Node) -> Bool) {
        roots = DeviceForest.sorted(roots, isBefore)
    }

    // Swift's own sorting is not said to keep the order of equals.
    private static func sorted(_ nodes: [Node], _ isBefore: (Node, Node) -> Bool) -> [Node] {
        stably(nodes, isBefore).map { node in
            var node = node
            node.children = sorted(node.children, isBefore)
            return node
        }
    }

    /// In order; what is equal stays as it was.
    static func stably(_ nodes: [Node], _ isBefore: (Node, Node) -> Bool) -> [Node] {
        nodes.enumerated().sorted { one, other in
            isBefore(one.element, other.element)
                || !isBefore(other.element, one.element) && one.offset < other.offset
        }.map(\.element)
    }

    /// All of it in a row, sorted as a whole.
    /// - Parameter isOnce: each device only where it was met first.
    package func row(once isOnce: Bool, by isBefore: (Node, Node) -> Bool) -> [Node] {
        var seen: Set<String> = []
        let all = roots.flatMap(\.flattened).filter { !isOnce || seen.insert($0.device.name).inserted }
        return DeviceForest.stably(all, isBefore)
    }
}
