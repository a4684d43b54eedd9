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

    private struct State {
        var next = 1
        var trees: [String: TreeMount] = [:]
    }
    private let state = Lock(State())

    init(_ registry: DiskRegistry, _ logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    /// By the order in which they were mounted.
    var models: [MountModel] {
        state.withLock { $0.trees }.sorted { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }.map(Trees.model)
    }

    private static func model(_ id: String, _ tree: TreeMount) -> MountModel {
        MountModel(id: id, path: tree.directory, sysroot: tree.flavour == .sysroot)
    }

    /// Mounts one. Blocks.
    func mount(_ request: MountRequest) throws(Problem) -> MountModel {
        var options = TreeOptions()
        options.flavour = request.sysroot == true ? .sysroot : .devices
        options.allowsOthers = request.allowOther
        let id = state.withLock { state in
            defer { state.next += 1 }
            return "\(state.next)"
        }
        if let taken = models.first(where: { $0.path == request.path }) {
            throw Problem(.busy, "\(taken.path) is mounted already", errno: "EBUSY")
        }
        do throws(TreeError) {
            let ended = Parker()
            let tree = try TreeMount.mount(registry, at: request.path, options) { [self] in
                ended.raise()
                let isKnown = state.withLock { $0.trees.removeValue(forKey: id) } != nil
                if isKnown { logger.warning("somebody unmounted", metadata: ["path": "\(request.path)"]) }
            }
            state.withLock { $0.trees[id] = tree }
            // It may have ended before anybody knew of it.
            if ended.isRaised { state.withLock { _ = $0.trees.removeValue(forKey: id) } }
            return Trees.model(id, tree)
        } catch {
            throw Problem(error)
        }
    }

    /// Takes one away. Blocks.
    func unmount(_ id: String, lazily: Bool) throws(Problem) -> MountModel {
        guard let tree = state.withLock({ $0.trees[id] }) else {
            throw Problem(.notFound, "there is no mount '\(id)'", errno: "ENOENT")
        }
        do throws(TreeError) {
            // Out of the list first: who else takes it out is somebody else.
            state.withLock { _ = $0.trees.removeValue(forKey: id) }
            try tree.unmount(lazily: lazily)
            return Trees.model(id, tree)
        } catch {
            if !tree.hasEnded { state.withLock { $0.trees[id] = tree } }
            throw Problem(error)
        }
    }

    /// Takes all away, open files or not. Blocks.
    func stop() {
        let trees = state.withLock { state in
            defer { state.trees = [:] }
            return Array(state.trees.values)
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
