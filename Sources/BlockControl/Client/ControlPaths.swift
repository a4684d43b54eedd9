// SPDX-License-Identifier: Apache-2.0

public import BlockSystem

/// Where the daemon and its clients meet.
public struct ControlPaths: Sendable, Equatable {
    /// The directory of the sockets.
    public let directory: String
    /// The control socket.
    public let socket: String
    /// Whether somebody named the place: then its directory is his to make.
    public let isNamed: Bool

    /// The NBD socket beside it.
    public var nbdSocket: String { directory + "/nbd.sock" }
    /// The file that keeps a second daemon off.
    public var lockFile: String { socket + ".lock" }
    /// The file with the token for TCP.
    public var tokenFile: String { directory + "/token" }

    /// The place that holds: the one that was given, else `$PLATTER_SOCKET`, else the runtime directory.
    public init(
        socket given: String?, userID: UInt32 = Host.userID,
        environment: (String) -> String? = { Host.environment($0) }
    ) {
        func set(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        if let named = given ?? set("PLATTER_SOCKET") {
            isNamed = true
            socket = HostFile.absolute(named)
            let slash = socket.lastIndex(of: "/") ?? socket.startIndex
            directory = slash == socket.startIndex ? "/" : String(socket[..<slash])
        } else {
            isNamed = false
            if userID == 0 {
                directory = "/run/platter"
            } else if let runtime = set("XDG_RUNTIME_DIR") {
                directory = runtime + "/platter"
            } else {
                directory = "/tmp/platter-\(userID)"
            }
            socket = directory + "/control.sock"
        }
    }

    /// Whether others could have put the directory there: it is below `/tmp`, where everybody may write.
    public var isShared: Bool { directory.hasPrefix("/tmp/platter-") }

    /// That the directory below `/tmp` is ours alone; a link or somebody else's directory is a trap.
    /// - Throws: ``Problem`` of the kind `not-permitted`.
    public func checkOwner(userID: UInt32 = Host.userID) throws(Problem) {
        guard isShared, let status = HostFile.status(directory, followingLinks: false) else { return }
        // Root may use a user's daemon: then the directory must be that user's.
        let owner = userID == 0 ? UInt32(directory.dropFirst("/tmp/platter-".count)) ?? 0 : userID
        guard status.kind == .directory, status.owner == owner || status.owner == userID, status.mode & 0o077 == 0
        else {
            throw Problem(
                .notPermitted,
                "\(directory) is not a directory of user \(owner) alone, so its socket is not trusted; "
                    + "remove it, or name another place with --socket or PLATTER_SOCKET",
                errno: "EACCES")
        }
    }
}
