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

    private let book = Lock(TreeBook<TreeMount>())

    init(_ registry: DiskRegistry, _ logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    /// By the order in which they were mounted.
    var models: [MountModel] { book.withLock { $0.mounted }.map { Trees.model($0.id, $0.tree) } }

    private static func model(_ id: String, _ tree: TreeMount) -> MountModel {
        MountModel(id: id, path: tree.place, sysroot: tree.flavour == .sysroot)
    }

    /// Mounts one. Blocks.
    func mount(_ request: MountRequest) throws(Problem) -> MountModel {
        var options = TreeOptions()
        options.flavour = request.sysroot == true ? .sysroot : .devices
        options.allowsOthers = request.allowOther
        let id = try reserve(HostFile.canonical(request.path))
        let tree: TreeMount
        do throws(TreeError) {
            tree = try TreeMount.mount(registry, at: request.path, options) { [self] in
                guard let path = book.withLock({ $0.ended(id) }) else { return }
                logger.warning("somebody unmounted", metadata: ["path": "\(path)"])
            }
        } catch {
            book.withLock { $0.drop(id) }
            throw Problem(error)
        }
        switch book.withLock({ $0.enter(id, tree) }) {
        case .mounted: return Trees.model(id, tree)
        case .ended:
            throw Problem(
                .failed, "\(tree.directory) was unmounted by somebody else as soon as it was mounted", errno: "ENOTCONN"
            )
        case .ending:
            tree.stop()
            throw Trees.ending(tree.directory)
        }
    }

    private func reserve(_ path: String) throws(Problem) -> String {
        // A directory above may have got another name since.
        for (id, tree) in book.withLock({ $0.mounted }) {
            let place = tree.place
            book.withLock { $0.move(id, to: place) }
        }
        switch book.withLock({ $0.reserve(path) }) {
        case .reserved(let id): return id
        case .ending: throw Trees.ending(path)
        case .taken:
            throw Problem(
                .busy, "\(path) is mounted already; 'platter umount \(path)' takes that away", errno: "EBUSY")
        }
    }

    private static func ending(_ path: String) -> Problem {
        Problem(.busy, "nothing is mounted at \(path): the daemon is ending", errno: "ESHUTDOWN")
    }

    /// Takes one away. Blocks.
    func unmount(_ id: String, lazily: Bool) throws(Problem) -> MountModel {
        let tree: TreeMount
        switch book.withLock({ $0.leave(id) }) {
        case .unknown: throw Problem(.notFound, "there is no mount '\(id)'", errno: "ENOENT")
        case .isLeaving(let tree):
            throw Problem(.busy, "\(tree.directory) is being unmounted already", errno: "EBUSY")
        case .leaves(let mounted): tree = mounted
        }
        do throws(TreeError) {
            try tree.unmount(lazily: lazily)
            book.withLock { $0.drop(id) }
            return Trees.model(id, tree)
        } catch {
            book.withLock { if tree.hasEnded { $0.drop(id) } else { $0.stay(id) } }
            throw Problem(error)
        }
    }

    /// Takes all away, open files or not, and lets none come. Blocks.
    func stop() {
        for tree in book.withLock({ $0.stop() }) {
            guard let path = tree.stop() else { continue }
            logger.warning(
                "something else is mounted over the tree: it stays, dead; unmount both", metadata: ["path": "\(path)"])
        }
    }
}

extension Problem {
    /// Why a tree cannot be mounted or taken away.
    init(_ error: TreeError) {
        if error.isCovered {
            self.init(.busy, error.reason)
            return
        }
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
