// SPDX-License-Identifier: Apache-2.0

internal import CPlatter

/// What mounts are made and taken away with: the system's own, or what a test puts in their places.
package struct FuseTools: Sendable {
    /// The set-user-id program that mounts for users.
    package static let helperName = "fusermount3"
    /// Where that is; nil: nowhere.
    package var helper = ChildProcess.find(helperName)
    /// How long it may take.
    package var answerLimit = Duration.seconds(10)
    /// It is taken though this process may mount by itself.
    package var isHelperWanted = false
    /// umount2(2), lazily or not: 0 or a negative error number.
    package var unmount: @Sendable (_ directory: String, _ lazily: Bool) -> Int32 = { directory, lazily in
        platter_unmount(directory, lazily ? 1 : 0)
    }

    /// The system's own.
    package init() {}
}

/// Takes a mount away whose server has ended, in whatever way that came.
///
/// A shell that reads from a pipe of ours until its end, and then looks: a mount whose server is gone cannot be listed.
/// Whoever stops a service may send all its processes the same signal; this one is still needed then, and hears of none.
package final class MountWatcher: Sendable {
    private struct Watch: ~Copyable {
        /// It sees its end of this close.
        var line: Descriptor?
        var child: ChildProcess?
    }
    private let watch: Lock<Watch>
    /// The number of the shell.
    package let process: Int32

    /// - Parameters:
    ///   - directory: where the mount is.
    ///   - command: what takes it away: program and arguments, before the directory.
    package init(_ directory: String, _ command: [String]) throws(SystemError) {
        let pipe = try ChildProcess.Pipe()
        // Held back until it has said that it wants none of them: shells let what is held through when they wait.
        let script = "trap '' TERM HUP INT; read -r _ <&3; ls -- \"$0\" >/dev/null 2>&1 || exec \"$@\" -- \"$0\""
        let child = try ChildProcess.helper(
            "/bin/sh", ["-c", script, directory] + command, .none, third: pipe.reading.number)
        process = child.process
        watch = Lock(Watch(line: pipe.keepWriting(), child: child))
    }

    /// Has it look now, and waits for its end. A second call does nothing.
    /// - Context: blocks for a moment.
    package func letGo() {
        let child = watch.withLock { watch -> ChildProcess? in
            watch.line = nil
            return watch.child.take()
        }
        _ = child?.finish(within: .seconds(5))
    }
}
