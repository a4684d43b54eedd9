// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockSystem
import BlockTree
import Logging

/// The trees that the daemon has mounted.
final class Trees: Sendable {
    private let registry: DiskRegistry
    private let logger: Logger

    private struct Entry {
        /// As the caller said it, until it is mounted.
        var path: String
        /// nil: it is being mounted.
        var tree: TreeMount?
        /// Somebody takes it away this moment.
        var isLeaving = false
    }
    private struct State {
        var next = 1
        var entries: [String: Entry] = [:]
        var isStopped = false
    }
    private let state = Lock(State())

    init(_ registry: DiskRegistry, _ logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    /// By the order in which they were mounted.
    var models: [MountModel] {
        state.withLock { $0.entries.compactMap { id, entry in entry.tree.map { (id, $0) } } }
            .sorted { (Int($0.0) ?? 0) < (Int($1.0) ?? 0) }.map { Trees.model($0.0, $0.1) }
    }

    private static func model(_ id: String, _ tree: TreeMount) -> MountModel {
        MountModel(id: id, path: tree.directory, sysroot: tree.flavour == .sysroot)
    }

    /// Mounts one. Blocks.
    func mount(_ request: MountRequest) throws(Problem) -> MountModel {
        var options = TreeOptions()
        options.flavour = request.sysroot == true ? .sysroot : .devices
        options.allowsOthers = request.allowOther
        let id = try reserve(HostFile.canonical(request.path))
        do throws(TreeError) {
            let tree = try TreeMount.mount(registry, at: request.path, options) { [self] in
                let entry = state.withLock { $0.entries.removeValue(forKey: id) }
                guard let entry, !entry.isLeaving else { return }
                logger.warning("somebody unmounted", metadata: ["path": "\(entry.path)"])
            }
            let isStopped = state.withLock { state in
                state.entries[id]?.tree = tree
                return state.isStopped
            }
            if isStopped { tree.stop() }
            return Trees.model(id, tree)
        } catch {
            state.withLock { $0.entries[id] = nil }
            throw Problem(error)
        }
    }

    /// Has the path for a mount, before it is made: of two that want it one gets it.
    private func reserve(_ path: String) throws(Problem) -> String {
        let id = state.withLock { state -> String? in
            guard !state.isStopped, !state.entries.values.contains(where: { $0.path == path }) else { return nil }
            defer { state.next += 1 }
            state.entries["\(state.next)"] = Entry(path: path)
            return "\(state.next)"
        }
        guard let id else {
            throw Problem(
                .busy, "\(path) is mounted already; 'platter umount \(path)' takes that away", errno: "EBUSY")
        }
        return id
    }

    /// Takes one away. Blocks.
    func unmount(_ id: String, lazily: Bool) throws(Problem) -> MountModel {
        // In the list until it is gone: nobody mounts there, and the end of the daemon finds it.
        let (tree, wasLeaving) = state.withLock { state -> (TreeMount?, Bool) in
            guard let entry = state.entries[id], let tree = entry.tree else { return (nil, false) }
            state.entries[id]?.isLeaving = true
            return (tree, entry.isLeaving)
        }
        guard let tree else { throw Problem(.notFound, "there is no mount '\(id)'", errno: "ENOENT") }
        guard !wasLeaving else {
            throw Problem(.busy, "\(tree.directory) is being unmounted already", errno: "EBUSY")
        }
        do throws(TreeError) {
            try tree.unmount(lazily: lazily)
            state.withLock { $0.entries[id] = nil }
            return Trees.model(id, tree)
        } catch {
            state.withLock { state in
                if tree.hasEnded { state.entries[id] = nil } else { state.entries[id]?.isLeaving = false }
            }
            throw Problem(error)
        }
    }

    /// Takes all away, open files or not, and lets none come. Blocks.
    func stop() {
        let trees = state.withLock { state in
            state.isStopped = true
            defer { state.entries = [:] }
            return state.entries.values.compactMap(\.tree)
        }
        for tree in trees { tree.stop() }
    }
}

extension Problem {
    /// Why a tree cannot be mounted or taken away.
    init(_ error: TreeError) {
        let name = error.errno == 0 ? "EIO" : SystemError(errno: error.errno).name
        let kind: Kind =
            switch name {
            case "EBUSY": .busy
            case "EPERM", "EACCES": .notPermitted
            case "ENOTDIR", "EINVAL": .usage
            default: .failed
            }
        self.init(kind, error.reason, errno: name)
    }
}
