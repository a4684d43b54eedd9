// SPDX-License-Identifier: Apache-2.0

/// The node that stands for a device, and who may use it: what a driver can ask for instead of the device's name.
public struct DeviceNode: Sendable, Codable, Equatable {
    /// Below `/dev`, in a folder at least, so that it is nobody's name: `vdisk/a`.
    public var path: String
    /// Permissions, `0o000` to `0o777`; nil: the system's.
    public var mode: UInt32?
    /// Its owner; nil: the system's.
    public var user: UInt32?
    /// Its group; nil: the system's.
    public var group: UInt32?

    /// A node.
    public init(path: String, mode: UInt32? = nil, user: UInt32? = nil, group: UInt32? = nil) {
        self.path = path
        self.mode = mode
        self.user = user
        self.group = group
    }

    /// What is wrong with it, in one line; nil: nothing.
    var fault: String? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 2, path.utf8.count <= 255, parts.allSatisfy(Self.isPart) else {
            return "'\(path)' cannot be a device node: it takes a folder and a name below /dev, such as vdisk/a, "
                + "of letters, digits and _.:-"
        }
        guard mode ?? 0 <= 0o777 else { return "a device node cannot have the mode 0\(String(mode ?? 0, radix: 8))" }
        return nil
    }

    private static func isPart(_ part: Substring) -> Bool {
        part != "." && part != ".." && !part.isEmpty && part.utf8.allSatisfy(isPathByte)
    }

    /// Letters, digits, underscores, dots, colons and dashes.
    static func isPathByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "_.:-".utf8.contains(byte)
    }

    /// The node of a partition of the disk that this one stands for.
    func partition(_ suffix: Substring) -> DeviceNode {
        var node = self
        // As with names: a letter in between where the path ends in a digit and the disk's name does not.
        let endsInDigit = path.utf8.last.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
        let startsWithDigit = suffix.utf8.first.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
        node.path += (endsInDigit && startsWithDigit ? "p" : "") + suffix
        return node
    }
}
