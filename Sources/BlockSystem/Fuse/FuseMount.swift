// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// A directory under which a channel's files stand.
///
/// It sees to it that the directory is not left dead behind: a watcher, a process of its own session, takes the mount
/// away when this process has ended in whatever way.
public final class FuseMount: Sendable {
    /// Where.
    public let directory: String
    /// Whether this process did it itself; else the set-user-id program `fusermount3` did.
    public let isByRoot: Bool
    private let tools: FuseTools
    /// Which it is, by the kernel's list; nil: it has none, or not this mount.
    private let entry: MountEntry?
    private let watcher: MountWatcher

    /// Just mounted: what the path leads to is this.
    private init(_ directory: String, isByRoot: Bool, _ tools: FuseTools) throws(SystemError) {
        self.directory = directory
        self.isByRoot = isByRoot
        self.tools = tools
        entry = try? MountEntry.all().last { $0.path == directory && $0.type == Self.type }
        watcher = try MountWatcher(entry, isByRoot ? ["umount", "-l"] : [FuseTools.helperName, "-u", "-z"])
    }

    private static let type = "fuse.platter"

    /// Where it stands now: a directory above may have got another name. ``directory`` once it is nowhere.
    /// - Context: may block.
    public var place: String {
        guard let entry, let all = try? MountEntry.all() else { return directory }
        return entry.now(in: all)?.path ?? directory
    }

    /// How to mount.
    public struct Options: Sendable {
        /// Whether other users than the one who mounts may look in: root's choice, or /etc/fuse.conf's.
        public var allowsOthers: Bool
        /// The most bytes of one read.
        public var readMax: Int
        /// The most bytes of one read, and whether others may look in.
        public init(allowsOthers: Bool, readMax: Int) {
            self.allowsOthers = allowsOthers
            self.readMax = readMax
        }

        func text(_ descriptor: Int32? = nil) -> String {
            var words = ["default_permissions", "max_read=\(readMax)"]
            if allowsOthers { words.append("allow_other") }
            if let descriptor {
                words.insert("fd=\(descriptor),rootmode=40000,user_id=\(geteuid()),group_id=\(getegid())", at: 0)
            } else {
                words += ["fsname=platter", "subtype=platter", "nosuid", "nodev"]
            }
            return words.joined(separator: ",")
        }
    }

    /// Mounts a new channel at a directory, by mount(2) where that is allowed, else by `fusermount3`.
    /// - Throws: the system's error, or ``HelperFailure`` with what `fusermount3` said.
    /// - Context: blocks.
    public static func mount(
        at directory: String, _ options: Options
    ) throws -> (mount: FuseMount, channel: FuseChannel) {
        try mount(at: directory, options, FuseTools())
    }

    /// The same with tools of a test's own.
    package static func mount(
        at directory: String, _ options: Options, _ tools: FuseTools
    ) throws -> (mount: FuseMount, channel: FuseChannel) {
        guard !tools.isHelperWanted else { return try mountByHelper(at: directory, options, tools) }
        let channel: FuseChannel
        do throws(SystemError) {
            channel = try FuseChannel.open()
        } catch {
            // The helper may open it, where this user may not.
            guard error.errno == EACCES, geteuid() != 0 else { throw error }
            return try mountByHelper(at: directory, options, tools)
        }
        let result = platter_fuse_mount("platter", directory, type, options.text(channel.rawNumber))
        if result == 0 {
            do {
                return (try FuseMount(directory, isByRoot: true, tools), channel)
            } catch {
                _ = platter_unmount(directory, 1)
                throw error
            }
        }
        guard result == -EPERM, geteuid() != 0 else { throw SystemError(errno: -result) }
        return try mountByHelper(at: directory, options, tools)
    }

    private static func mountByHelper(
        at directory: String, _ options: Options, _ tools: FuseTools
    ) throws -> (mount: FuseMount, channel: FuseChannel) {
        let name = FuseTools.helperName
        guard let path = tools.helper else {
            throw HelperFailure(text: "\(name) is not installed (package fuse3), and only root mounts without it")
        }
        let deadline = Instant.now + tools.answerLimit
        var first: Int32 = -1
        var second: Int32 = -1
        let paired = platter_socket_pair(&first, &second)
        guard paired == 0 else { throw SystemError(errno: -paired) }
        let own = Descriptor(adopting: first)
        let theirs = Descriptor(adopting: second)
        let child = try ChildProcess.helper(
            path, ["-o", options.text(), "--", directory], environment: [("_FUSE_COMMFD", "3")], third: theirs.number)
        drop(theirs)
        let limit = Int32(clamping: tools.answerLimit.nanoseconds / 1_000_000)
        guard platter_wait_readable(own.number, limit) == 1 else {
            _ = child.finish(within: .zero)
            throw HelperFailure(text: "\(name) did not answer within \(tools.answerLimit)")
        }
        let received = platter_receive_descriptor(own.number)
        let outcome = child.finish(within: deadline - Instant.now)
        guard received > 0 else {
            throw HelperFailure(text: outcome.errors.isEmpty ? "\(name) failed" : outcome.errors)
        }
        let device = Descriptor(adopting: received)
        do {
            try device.makeNonblocking()
            return (try FuseMount(directory, isByRoot: false, tools), FuseChannel(device))
        } catch {
            _ = try? ChildProcess.helper(path, ["-u", "-z", "--", directory]).finish(within: .seconds(5))
            throw error
        }
    }

    private static func drop(_ descriptor: consuming Descriptor) {}

    /// Takes the mount away.
    ///
    /// - Parameter lazily: also if files there are open; they work as long as somebody serves the channel.
    /// - Throws: EBUSY if files are open, EINVAL if it is no mount any more; ``MountCovered`` while something else is
    ///   mounted over it, which this does not touch; ``HelperFailure`` with what `fusermount3` said, if that is something
    ///   else.
    /// - Context: blocks, not for those who serve.
    public func unmount(lazily: Bool) throws {
        try Self.unmount(try placeToUnmount(), isByRoot: isByRoot, lazily: lazily, tools)
        letGo()
    }

    // The kernel unmounts by path, and takes what stands on top there. Who mounts over it between the look and the call
    // is lost all the same; there is no call that names the mount.
    private func placeToUnmount() throws -> String {
        guard let entry else { return directory }
        // Where the list cannot be read, it is not said that the mount is gone.
        let all = try MountEntry.all()
        guard let now = entry.now(in: all) else { throw SystemError(errno: EINVAL) }
        if now.isCovered(in: all) { throw MountCovered(path: now.path) }
        return now.path
    }

    /// Takes a mount away whose server is gone. That somebody else did it meanwhile is no failure of this.
    /// - Context: blocks.
    public static func removeDead(at directory: String) {
        try? unmount(directory, isByRoot: geteuid() == 0, lazily: true, FuseTools())
    }

    private static func unmount(_ directory: String, isByRoot: Bool, lazily: Bool, _ tools: FuseTools) throws {
        if isByRoot {
            let result = tools.unmount(directory, lazily)
            guard result == 0 else { throw SystemError(errno: -result) }
            return
        }
        guard let path = tools.helper else { throw SystemError(errno: ENOENT) }
        let child = try ChildProcess.helper(path, lazily ? ["-u", "-z", "--", directory] : ["-u", "--", directory])
        let result = child.finish(within: tools.answerLimit)
        guard result.status != 0 else { return }
        // It ends with 1 whatever the matter is: the system's words at the end of its line tell which.
        if result.errors.hasSuffix("resource busy") {
            throw SystemError(errno: EBUSY)
        }
        let name = FuseTools.helperName
        throw HelperFailure(
            text: result.status < 0
                ? "\(name) did not end within \(tools.answerLimit)"
                : result.errors.isEmpty ? "\(name) failed" : result.errors)
    }

    /// It is no mount any more, whoever took it away: the watcher's work is over.
    /// - Context: blocks for a moment.
    public func letGo() { watcher.letGo() }
}
