// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem
internal import Synchronization

/// What the device files of a tree hold.
public enum TreeFlavour: String, Sendable, Codable {
    /// The disks.
    case devices
    /// A few lines of text about each, as `lsblk --sysroot` reads them.
    case sysroot
}

/// How a tree is mounted.
public struct TreeOptions: Sendable {
    /// What its device files hold.
    public var flavour = TreeFlavour.devices
    /// Whether other users may look in, as the files' permissions let them. nil: if root mounts.
    public var allowsOthers: Bool?

    /// The defaults.
    public init() {}
}

/// Why a tree cannot be mounted or taken away: one line that says what, where and why.
public struct TreeError: Error, Sendable, CustomStringConvertible {
    /// The error number of Linux, positive; 0: the helper program said why.
    public var errno: Int32
    /// The line.
    public var reason: String
    /// Something else is mounted over the tree.
    public var isCovered = false
    /// The line.
    public var description: String { reason }
}

/// Disks as files, under a directory: `dev/pl0` and what stands about it in `dev/disk`, `/proc` and `/sys`.
///
/// Nothing is kept back in the kernel: what a program writes has reached the disk's driver when the call returns. A
/// disk that is pulled answers ENODEV in every file that has it open; the tree lives on.
public final class TreeMount: Sendable {
    /// Where.
    public let directory: String
    /// What its device files hold.
    public let flavour: TreeFlavour

    private let mount: FuseMount
    private let session: TreeSession

    private init(_ mount: FuseMount, _ session: TreeSession, _ flavour: TreeFlavour) {
        directory = mount.directory
        self.mount = mount
        self.session = session
        self.flavour = flavour
    }

    /// Mounts the disks of a registry at an empty directory.
    ///
    /// When this process ends, however it does, the mount is taken away.
    /// - Parameters:
    ///   - directory: an absolute path.
    ///   - whenEnded: the mount is gone, whoever took it away. On a thread of its own.
    /// - Context: blocks.
    public static func mount(
        _ registry: DiskRegistry, at directory: String, _ options: TreeOptions = TreeOptions(),
        whenEnded: @escaping @Sendable () -> Void = {}
    ) throws(TreeError) -> TreeMount {
        try mount(registry, at: directory, options, FuseTools(), whenEnded: whenEnded)
    }

    /// The same with tools of a test's own.
    static func mount(
        _ registry: DiskRegistry, at directory: String, _ options: TreeOptions, _ tools: FuseTools,
        whenEnded: @escaping @Sendable () -> Void = {}
    ) throws(TreeError) -> TreeMount {
        // As the kernel's list of mounts has it: a link may lead elsewhere by the time of the unmount.
        let directory = HostFile.canonical(directory)
        try check(directory)
        let allowsOthers = options.allowsOthers ?? (Host.userID == 0)
        let mounted: (mount: FuseMount, channel: FuseChannel)
        do {
            mounted = try FuseMount.mount(
                at: directory, FuseMount.Options(allowsOthers: allowsOthers, readMax: FuseWire.ioMax), tools)
        } catch let error as SystemError {
            throw refusal(directory, error)
        } catch {
            throw TreeError(errno: 0, reason: "cannot mount at \(directory): \(error)")
        }
        do throws(SystemError) {
            let mount = mounted.mount
            let session = try TreeSession(registry, options.flavour, mounted.channel) {
                mount.letGo()
                whenEnded()
            }
            session.begin()
            return TreeMount(mount, session, options.flavour)
        } catch {
            mounted.channel.close()
            try? mounted.mount.unmount(lazily: true)
            throw TreeError(errno: error.errno, reason: "cannot serve a mount at \(directory): \(error)")
        }
    }

    private static func check(_ directory: String) throws(TreeError) {
        // Left behind by a daemon that ended with its watcher: nobody serves it ever again.
        if HostFile.isDeadMount(directory) { FuseMount.removeDead(at: directory) }
        guard !HostFile.isDeadMount(directory) else {
            throw TreeError(
                errno: FuseErrno.notConnected,
                reason: "cannot mount at \(directory): a mount is there whose server is gone: umount -l \(directory)")
        }
        guard let status = HostFile.status(directory) else {
            throw TreeError(
                errno: FuseErrno.noEntry, reason: "cannot mount at \(directory): there is no such directory: make it")
        }
        guard status.kind == .directory else {
            throw TreeError(
                errno: FuseErrno.notDirectory, reason: "cannot mount at \(directory): it is not a directory")
        }
        guard HostFile.isEmptyDirectory(directory) != false else {
            throw TreeError(
                errno: 39, reason: "cannot mount at \(directory): it is not empty: take another directory")
        }
    }

    private static func refusal(_ directory: String, _ error: SystemError) -> TreeError {
        let reason =
            switch error.name {
            case "ENOENT", "ENXIO", "ENODEV":
                "this system has no FUSE: there is no /dev/fuse (in a container: --device /dev/fuse)"
            case "EACCES": "/dev/fuse may not be opened by this user"
            case "EPERM": "mounting is not permitted here (in a container: --cap-add SYS_ADMIN)"
            default: "\(error)"
            }
        return TreeError(errno: error.errno, reason: "cannot mount at \(directory): \(reason)")
    }

    /// Where it is now: as ``directory``, unless a directory above has got another name.
    /// - Context: may block.
    public var place: String { mount.place }

    /// Whether it is over, whoever took it away.
    public var hasEnded: Bool { session.ended.isRaised }

    /// Takes the mount away.
    ///
    /// - Parameter lazily: also while files there are open; these work until they are closed.
    /// - Throws: EBUSY while files are open.
    /// - Context: blocks.
    public func unmount(lazily: Bool = false) throws(TreeError) {
        do {
            try mount.unmount(lazily: lazily)
        } catch let covered as MountCovered {
            throw TreeError(
                errno: 16, reason: "something else is mounted over \(covered.path): 'umount \(covered.path)' first",
                isCovered: true)
        } catch let error as SystemError {
            switch error.name {
            case "EBUSY":
                throw TreeError(
                    errno: error.errno, reason: "\(place) is in use: close the files that are open there, or say --lazy"
                )
            case "EINVAL":
                throw TreeError(
                    errno: FuseErrno.notConnected,
                    reason: "\(directory) is no mount any more: somebody has taken it away, and it ends with the last "
                        + "file that is open there")
            default: throw TreeError(errno: error.errno, reason: "\(place): \(error)")
            }
        } catch {
            throw TreeError(errno: 0, reason: "\(directory): \(error)")
        }
        if !lazily { session.ended.wait(until: Instant.now + .seconds(5)) }
    }

    /// Takes the mount away and ends it: files that are still open fail from now on.
    ///
    /// While something else is mounted over it, it stays behind, dead: a next mount there takes it away.
    /// - Returns: where it stands, if that is so; nil: it is gone.
    /// - Context: blocks.
    @discardableResult
    public func stop() -> String? {
        var coveredAt: String?
        var isUnmounted = false
        do {
            try mount.unmount(lazily: true)
            isUnmounted = true
        } catch {
            coveredAt = (error as? MountCovered)?.path
        }
        session.stop()
        session.ended.wait(until: Instant.now + .seconds(5))
        // Only now is it a dead mount, if it still is one, and the watcher sees that.
        if !isUnmounted { mount.letGo() }
        return coveredAt
    }
}
