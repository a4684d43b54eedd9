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
    private let watcher: Lock<Watcher>

    /// What is kept while it is mounted: the watcher sees its end of it close.
    private struct Watcher: ~Copyable {
        var line: Descriptor?
        var child: HelperProgram?
    }

    private init(_ directory: String, isByRoot: Bool, _ line: consuming Descriptor?, _ child: HelperProgram?) {
        self.directory = directory
        self.isByRoot = isByRoot
        watcher = Lock(Watcher(line: consume line, child: child))
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
        let channel: FuseChannel
        do throws(SystemError) {
            channel = try FuseChannel.open()
        } catch {
            // The helper may open it, where this user may not.
            guard error.errno == EACCES, geteuid() != 0 else { throw error }
            return try mountByHelper(at: directory, options)
        }
        let result = platter_fuse_mount("platter", directory, "fuse.platter", options.text(channel.rawNumber))
        if result == 0 {
            do {
                return (try watched(directory, isByRoot: true), channel)
            } catch {
                _ = platter_unmount(directory, 1)
                throw error
            }
        }
        guard result == -EPERM, geteuid() != 0 else { throw SystemError(errno: -result) }
        return try mountByHelper(at: directory, options)
    }

    private static let helper = "fusermount3"
    /// How long it may take, in milliseconds.
    private static let answerLimit: Int32 = 10_000

    private static func mountByHelper(
        at directory: String, _ options: Options
    ) throws -> (mount: FuseMount, channel: FuseChannel) {
        guard let path = HelperProgram.find(helper) else {
            throw HelperFailure(text: "\(helper) is not installed (package fuse3), and only root mounts without it")
        }
        var first: Int32 = -1
        var second: Int32 = -1
        let paired = platter_socket_pair(&first, &second)
        guard paired == 0 else { throw SystemError(errno: -paired) }
        let own = Descriptor(adopting: first)
        let theirs = Descriptor(adopting: second)
        let child = try HelperProgram(
            path, ["-o", options.text(), "--", directory], environment: [("_FUSE_COMMFD", "3")],
            third: theirs.number, keepsErrors: true)
        drop(theirs)
        guard platter_wait_readable(own.number, answerLimit) == 1 else {
            _ = child.finish(within: .zero)
            throw HelperFailure(text: "\(helper) did not answer within \(answerLimit / 1000) seconds")
        }
        let received = platter_receive_descriptor(own.number)
        guard received > 0 else {
            let said = child.finish(within: .seconds(5)).errors
            throw HelperFailure(text: said.isEmpty ? "\(helper) failed" : said)
        }
        _ = child.finish(within: .seconds(5))
        let device = Descriptor(adopting: received)
        try device.makeNonblocking()
        let channel = FuseChannel(device)
        do {
            return (try watched(directory, isByRoot: false), channel)
        } catch {
            _ = try? HelperProgram(path, ["-u", "-z", "--", directory], environment: []).finish(within: .seconds(5))
            throw error
        }
    }

    private static func drop(_ descriptor: consuming Descriptor) {}

    /// A shell that reads from a pipe of ours until its end, and then looks: a mount whose server is gone cannot be
    /// listed. Whoever stops a service may send all its processes the same signal: this one is still needed then.
    private static func watched(_ directory: String, isByRoot: Bool) throws(SystemError) -> FuseMount {
        var first: Int32 = -1
        var second: Int32 = -1
        let made = platter_pipe(&first, &second)
        guard made == 0 else { throw SystemError(errno: -made) }
        let theirs = Descriptor(adopting: first)
        let own = Descriptor(adopting: second)
        let script = "trap '' TERM HUP INT; read -r _ <&3; ls -- \"$1\" >/dev/null 2>&1 || exec $2 -- \"$1\""
        let child = try HelperProgram(
            "/bin/sh", ["-c", script, "platter-watch", directory, isByRoot ? "umount -l" : "\(helper) -u -z"],
            environment: [], third: theirs.number,
            isOnItsOwn: true)
        drop(theirs)
        return FuseMount(directory, isByRoot: isByRoot, own, child)
    }

    /// Takes the mount away.
    ///
    /// - Parameter lazily: also if files there are open; they work as long as somebody serves the channel.
    /// - Throws: EBUSY if files are open, EINVAL if it is no mount any more; ``HelperFailure`` with what `fusermount3`
    ///   said, if that is something else.
    /// - Context: blocks, not for those who serve.
    public func unmount(lazily: Bool) throws {
        try Self.unmount(directory, isByRoot: isByRoot, lazily: lazily)
        letGo()
    }

    /// Takes a mount away whose server is gone. That somebody else did it meanwhile is no failure of this.
    /// - Context: blocks.
    public static func removeDead(at directory: String) {
        try? unmount(directory, isByRoot: geteuid() == 0, lazily: true)
    }

    private static func unmount(_ directory: String, isByRoot: Bool, lazily: Bool) throws {
        if isByRoot {
            let result = platter_unmount(directory, lazily ? 1 : 0)
            guard result == 0 else { throw SystemError(errno: -result) }
            return
        }
        guard let path = HelperProgram.find(helper) else { throw SystemError(errno: ENOENT) }
        let child = try HelperProgram(
            path, lazily ? ["-u", "-z", "--", directory] : ["-u", "--", directory], environment: [],
            keepsErrors: true)
        let result = child.finish(within: .seconds(10))
        guard result.status != 0 else { return }
        // It ends with 1 whatever the matter is: the system's words at the end of its line tell which.
        if result.errors.hasSuffix("resource busy") {
            throw SystemError(errno: EBUSY)
        }
        throw HelperFailure(
            text: result.status < 0
                ? "\(helper) did not end in time" : result.errors.isEmpty ? "\(helper) failed" : result.errors)
    }

    /// It is no mount any more, whoever took it away: the watcher's work is over.
    /// - Context: blocks for a moment.
    public func letGo() {
        let child = watcher.withLock { watcher -> HelperProgram? in
            watcher.line = nil
            return watcher.child.take()
        }
        _ = child?.finish(within: .seconds(5))
    }
}
