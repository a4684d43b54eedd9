// SPDX-License-Identifier: Apache-2.0

/// A mount as the kernel lists it in /proc/self/mountinfo (proc_pid_mountinfo(5)).
///
/// A path says little of a mount: somebody may mount another one over it, and a directory above may get another name.
/// Its number and its device are its own for as long as it is there; then the next one may get both.
package struct MountEntry: Sendable, Equatable {
    /// Its number among the mounts that there are now.
    package let id: String
    /// That of the mount which it stands on.
    package let parent: String
    /// `0:52`.
    package let device: String
    /// Where it stands now.
    package let path: String
    /// `fuse.platter`.
    package let type: String

    /// The mount of a line of the list.
    package init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count > 6, let dash = words.dropFirst(6).firstIndex(of: "-"), dash + 1 < words.count else {
            return nil
        }
        id = String(words[0])
        parent = String(words[1])
        device = String(words[2])
        path = Self.unescaped(words[4])
        type = String(words[dash + 1])
    }

    /// All that this process sees, each behind what it stands on.
    /// - Throws: ENOENT where there is no /proc, EMFILE where no more files can be opened.
    package static func all() throws(SystemError) -> [MountEntry] {
        try HostFile.readText("/proc/self/mountinfo", limit: 64 << 20).split(separator: "\n").compactMap {
            MountEntry($0)
        }
    }

    /// The same mount now, wherever it stands; nil: it is nowhere any more.
    package func now(in all: [MountEntry]) -> MountEntry? {
        all.first { $0.id == id && $0.device == device && $0.type == type }
    }

    /// Whether its path leads to another mount, which stands on top of it.
    package func isCovered(in all: [MountEntry]) -> Bool { all.contains { $0.parent == id && $0.path == path } }

    /// As a shell is told which it is: ``MountWatcher``.
    var key: String { "\(id) \(device)" }

    /// Spaces, tabs, newlines and backslashes stand in the list as three octal digits.
    private static func unescaped(_ word: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(word.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Something else is mounted over a mount that is to go: the path leads there.
package struct MountCovered: Error {
    /// Where.
    package let path: String
}
