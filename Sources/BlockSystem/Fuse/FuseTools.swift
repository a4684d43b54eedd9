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
/// A shell that reads from a pipe of ours until its end, and then looks: a mount whose server is gone is in the kernel's
/// list, and cannot be listed itself. (Its number alone says too little: the next mount may get it.) Where something else
/// is mounted over it, it is left: the path leads to that.
/// Whoever stops a service may send all its processes the same signal; this one is still needed then, and hears of none.
package final class MountWatcher: Sendable {
    private struct Watch: ~Copyable {
        /// It sees its end of this close.
        var line: Descriptor?
        var child: ChildProcess?
    }
    private let watch: Lock<Watch>
    private let hasEnded = Parker()
    /// The number of the shell.
    package let process: Int32

    // A mount stands in the list behind the one that it is on, with its path's odd bytes as octal numbers.
    private static let script = """
        trap '' TERM HUP INT
        look=$1
        shift
        read -r _ <&3
        path=
        while read -r id parent device root at rest; do
            if [ "$id $device" = "$0" ]; then path=$at
            elif [ "$parent" = "${0% *}" ] && [ "$at" = "$path" ]; then exit 0
            fi
        done </proc/self/mountinfo
        [ -n "$path" ] || exit 0
        path=$(printf %b "$path")
        "$look" -- "$path" >/dev/null 2>&1 || exec "$@" -- "$path"
        """

    /// - Parameters:
    ///   - mount: which; nil: none.
    ///   - command: what takes it away: program and arguments, before the directory.
    ///   - look: what fails for a directory that cannot be listed.
    package init(_ mount: MountEntry?, _ command: [String], look: String = "ls") throws(SystemError) {
        let pipe = try ChildProcess.Pipe()
        // Signals are held back until it has said that it wants none: shells let what is held through when they wait.
        let child = try ChildProcess.helper(
            "/bin/sh", ["-c", Self.script, mount?.key ?? "none", look] + command, .none, third: pipe.reading.number)
        process = child.process
        watch = Lock(Watch(line: pipe.keepWriting(), child: child))
    }

    /// Has it look now, and waits for its end, whoever was first to ask for it.
    /// - Context: blocks for a moment.
    package func letGo() {
        let child = watch.withLock { watch -> ChildProcess? in
            watch.line = nil
            return watch.child.take()
        }
        if let child {
            _ = child.finish(within: .seconds(5))
            hasEnded.raise()
        } else {
            hasEnded.wait(until: Instant.now + .seconds(5))
        }
    }
}
