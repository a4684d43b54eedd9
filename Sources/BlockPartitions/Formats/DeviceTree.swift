// SPDX-License-Identifier: Apache-2.0

/// A flattened device tree: big-endian, a block of tokens and a block of names.
struct DeviceTree {
    /// A node with its properties as they stand.
    struct Node {
        var name = ""
        var properties: [String: [UInt8]] = [:]
        var children: [Int] = []
        var parent: Int?
    }

    /// All nodes, the root first, in the tree's order.
    private(set) var nodes: [Node] = []

    /// More nodes than this, or deeper ones, are no tree that a machine has.
    private static let limits = (nodes: 65536, depth: 64)

    /// Reads the tree; nil if it is none, or broken.
    init?(_ blob: [UInt8]) {
        let bytes = TableBytes(blob[...])
        let structure = Int(bytes.be32(at: 8))
        let strings = Int(bytes.be32(at: 12))
        guard bytes.be32(at: 0) == 0xD00D_FEED, bytes.be32(at: 4) <= blob.count, structure < blob.count,
            strings < blob.count
        else { return nil }
        var position = structure
        var open: [Int] = []
        while position + 4 <= blob.count {
            let token = bytes.be32(at: position)
            position += 4
            switch token {
            case 1:
                let name = bytes.part(at: position, count: 256).bytes.prefix { $0 != 0 }
                guard nodes.count < Self.limits.nodes, open.count < Self.limits.depth else { return nil }
                nodes.append(Node(name: String(decoding: name, as: UTF8.self), parent: open.last))
                if let parent = open.last { nodes[parent].children.append(nodes.count - 1) }
                open.append(nodes.count - 1)
                position += (name.count + 4) & ~3
            case 2:
                guard open.popLast() != nil else { return nil }
            case 3:
                let length = Int(bytes.be32(at: position))
                guard let node = open.last, length <= blob.count - position - 8 else { return nil }
                if let name = bytes.text(at: strings + Int(bytes.be32(at: position + 4)), count: 256) {
                    nodes[node].properties[name] = Array(bytes.part(at: position + 8, count: length).bytes)
                }
                position += 8 + (length + 3) & ~3
            case 4: break
            case 9: return
            default: return nil
            }
        }
        return nil
    }

    /// The first node with fixed partitions.
    var fixedPartitions: Int? {
        nodes.indices.first { index in
            (nodes[index].properties["compatible"] ?? []).split(separator: 0)
                .contains { $0.elementsEqual("fixed-partitions".utf8) }
        }
    }

    /// How many cells the property of this name announces for the children of `node`: its own, or of the nearest above.
    func cells(_ name: String, of node: Int) -> Int {
        var at: Int? = node
        while let index = at {
            if let value = nodes[index].properties[name], value.count == 4 {
                return Int(TableBytes(value[...]).be32(at: 0))
            }
            at = nodes[index].parent
        }
        return 1
    }
}

extension PartitionScanner {
    /// The fixed partitions of a device tree: each child of the node is one. One bad child refuses all.
    mutating func parseDeviceTree() -> Verdict {
        guard let blob = options.deviceTree else { return .notMine("no device tree is given") }
        guard let tree = DeviceTree(blob) else { return .malformed("it is no device tree") }
        guard let parent = tree.fixedPartitions else { return .notMine("no node is compatible with fixed-partitions") }
        let (addressCells, sizeCells) = (
            tree.cells("#address-cells", of: parent), tree.cells("#size-cells", of: parent)
        )
        var table = ParsedTable(.deviceTree, policy: policy)
        for (index, child) in tree.nodes[parent].children.enumerated() {
            let node = tree.nodes[child]
            let reg = TableBytes((node.properties["reg"] ?? [])[...])
            guard reg.count > 0, reg.count == 4 * (addressCells + sizeCells) else {
                return .malformed("'reg' of \(node.name) is not an offset and a size")
            }
            let offset = reg.number(at: 0, cells: addressCells)
            let size = reg.number(at: 4 * addressCells, cells: sizeCells)
            guard offset % 512 == 0, size % 512 == 0, size > 0 else {
                return .malformed("\(node.name) does not consist of whole sectors")
            }
            let label = node.properties["label"].flatMap { TableBytes($0[...]).text(at: 0, count: 63) }
            let name = label ?? String(node.name.prefix { $0 != "@" }.prefix(63))
            var entry = PartitionEntry(
                number: index + 1, start: offset / 512, size: size / 512, name: name.isEmpty ? nil : name)
            entry.isReadOnly = node.properties["read-only"] != nil
            table.enter(entry)
        }
        return .claimed(table)
    }
}

extension TableBytes {
    /// A number of 32-bit cells, of which the last two count.
    fileprivate func number(at offset: Int, cells: Int) -> UInt64 {
        (0..<cells).reduce(0) { $0 << 32 | UInt64(be32(at: offset + 4 * $1)) }
    }
}
