// SPDX-License-Identifier: Apache-2.0

/// Which numbers the kernel knows, and what they stand for. Pure.
///
/// A number stands for one file for ever: it is given out once, and not used again when the kernel has forgotten it.
/// What is at a file is asked of the registry each time; here is only who is who.
struct NodeTable {
    private struct Known {
        var node: TreeNode
        var lookups: UInt64
        /// The size that was told last: a dead disk keeps it, so that no read of it looks like the end of the file.
        var size: UInt64 = 0
    }
    private var known: [UInt64: Known] = [:]
    private var numbers: [TreeNode: UInt64] = [:]
    private var next: UInt64 = FuseWire.root + 1

    init() {
        known[FuseWire.root] = Known(node: .folder(""), lookups: 0)
        numbers[.folder("")] = FuseWire.root
    }

    /// What a number stands for; nil: the kernel cannot know it.
    func node(_ number: UInt64) -> TreeNode? { known[number]?.node }

    /// How many the kernel knows.
    var count: Int { known.count }

    /// Counts a look-up, and returns the number.
    mutating func lookUp(_ node: TreeNode) -> UInt64 {
        if let number = numbers[node] {
            if number != FuseWire.root { known[number]?.lookups += 1 }
            return number
        }
        let number = next
        next += 1
        known[number] = Known(node: node, lookups: 1)
        numbers[node] = number
        return number
    }

    /// The kernel forgets that many look-ups. More than there were is taken for all of them.
    mutating func forget(_ number: UInt64, _ count: UInt64) {
        guard number != FuseWire.root, var entry = known[number] else { return }
        entry.lookups = entry.lookups > count ? entry.lookups - count : 0
        if entry.lookups == 0 {
            known[number] = nil
            numbers[entry.node] = nil
        } else {
            known[number] = entry
        }
    }

    mutating func setSize(_ size: UInt64, of number: UInt64) { known[number]?.size = size }
    func size(of number: UInt64) -> UInt64 { known[number]?.size ?? 0 }
}
