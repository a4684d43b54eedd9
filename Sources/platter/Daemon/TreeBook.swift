// SPDX-License-Identifier: Apache-2.0

/// Which trees are mounted, come and go: pure, behind the lock of ``Trees``.
package struct TreeBook<Tree: Sendable>: Sendable {
    private struct Entry: Sendable {
        /// As the caller said it, until it is mounted.
        var path: String
        /// nil: it is being mounted.
        var tree: Tree?
        /// Somebody takes it away this moment.
        var isLeaving = false
    }
    private var next = 1
    private var entries: [String: Entry] = [:]
    private var isStopped = false

    package init() {}

    package enum Reservation: Sendable, Equatable {
        case reserved(id: String)
        /// Somebody has the path.
        case taken
        /// None comes any more.
        case ending
    }

    /// Has the path for a mount, before it is made: of two that want it one gets it.
    package mutating func reserve(_ path: String) -> Reservation {
        if isStopped { return .ending }
        if entries.values.contains(where: { $0.path == path }) { return .taken }
        defer { next += 1 }
        entries["\(next)"] = Entry(path: path)
        return .reserved(id: "\(next)")
    }

    package enum Standing: Sendable, Equatable {
        case mounted
        /// Somebody has taken it away meanwhile.
        case ended
        /// All were taken away meanwhile: whoever has mounted it ends it.
        case ending
    }

    /// It is mounted.
    package mutating func enter(_ id: String, _ tree: Tree) -> Standing {
        if isStopped { return .ending }
        guard entries[id] != nil else { return .ended }
        entries[id]?.tree = tree
        return .mounted
    }

    /// It stands elsewhere now.
    package mutating func move(_ id: String, to path: String) { entries[id]?.path = path }

    /// It could not be mounted, or it is gone.
    package mutating func drop(_ id: String) { entries[id] = nil }

    /// The mount is gone, whoever took it away; its path, unless one of us did.
    package mutating func ended(_ id: String) -> String? {
        guard let entry = entries.removeValue(forKey: id), !entry.isLeaving else { return nil }
        return entry.path
    }

    package enum Leaving: Sendable {
        case leaves(Tree)
        /// Somebody else is at it.
        case isLeaving(Tree)
        case unknown
    }

    /// Somebody takes it away. In the book until it is gone: nobody mounts there, and the end of the daemon finds it.
    package mutating func leave(_ id: String) -> Leaving {
        guard let entry = entries[id], let tree = entry.tree else { return .unknown }
        entries[id]?.isLeaving = true
        return entry.isLeaving ? .isLeaving(tree) : .leaves(tree)
    }

    /// It could not be taken away.
    package mutating func stay(_ id: String) { entries[id]?.isLeaving = false }

    /// By the order in which they were mounted.
    package var mounted: [(id: String, tree: Tree)] {
        entries.compactMap { id, entry in entry.tree.map { (id, $0) } }.sorted { (Int($0.id) ?? 0) < (Int($1.id) ?? 0) }
    }

    /// All go, and none comes any more.
    package mutating func stop() -> [Tree] {
        isStopped = true
        defer { entries = [:] }
        return entries.values.compactMap(\.tree)
    }
}
