// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Sockets of the control plane, as plain descriptors that somebody else's event loop takes over.
public enum UnixSocket {
    /// The longest path that fits a socket's address, in bytes.
    public static let pathLimit = 107

    /// A bound and listening stream socket that only its owner may connect to; a socket that was at the path is replaced.
    ///
    /// It is bound beside the path and moved there when it listens, so a socket that can be seen can be connected to.
    /// - Throws: ENAMETOOLONG for a path of more than ``pathLimit`` bytes, EEXIST where something else than a socket is.
    public static func listen(path: String, mode: UInt32 = 0o600) throws(SystemError) -> Int32 {
        let early = path + ".new"
        guard early.utf8.count <= pathLimit else { throw SystemError(errno: ENAMETOOLONG) }
        guard mayReplace(early), mayReplace(path) else { throw SystemError(errno: EEXIST) }
        let descriptor = socket(AF_UNIX, streamType | closeOnExec, 0)
        guard descriptor >= 0 else { throw SystemError(errno: errno) }
        unlink(early)
        // The mode of the descriptor is the mode of the file that bind makes: no moment with wider rights.
        guard fchmod(descriptor, mode_t(mode)) == 0, bind(descriptor, to: early),
            chmod(early, mode_t(mode)) == 0, Glibc.listen(descriptor, 1024) == 0, rename(early, path) == 0
        else {
            let error = SystemError(errno: errno)
            close(descriptor)
            unlink(early)
            throw error
        }
        return descriptor
    }

    /// Lets as many callers wait as the system allows (`net.core.somaxconn`): connect(2) to a full queue does not wait but
    /// fails, with EAGAIN.
    public static func setQueue(of descriptor: Int32) { _ = Glibc.listen(descriptor, .max) }

    /// Whether nothing is there, or a socket: what is somebody's file or directory stays.
    public static func mayReplace(_ path: String) -> Bool {
        guard let status = HostFile.status(path, followingLinks: false) else { return true }
        return status.kind == .socket
    }

    /// Sends one datagram to a socket of the file system, or of the abstract name space where the path starts with `@`.
    public static func send(_ text: String, to path: String) throws(SystemError) {
        let descriptor = socket(AF_UNIX, datagramType | closeOnExec, 0)
        guard descriptor >= 0 else { throw SystemError(errno: errno) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        let sent = withAddress(path) { address, length in
            sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, length)
        }
        guard let sent else { throw SystemError(errno: ENAMETOOLONG) }
        guard sent == bytes.count else { throw SystemError(errno: errno) }
    }

    /// Marks descriptors that the process was started with, so that no child inherits them.
    public static func closeOnExec(_ descriptor: Int32) -> Bool {
        fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
    }

    private static var streamType: Int32 { Int32(SOCK_STREAM.rawValue) }
    private static var datagramType: Int32 { Int32(SOCK_DGRAM.rawValue) }
    private static var closeOnExec: Int32 { Int32(SOCK_CLOEXEC.rawValue) }

    private static func bind(_ descriptor: Int32, to path: String) -> Bool {
        withAddress(path) { address, length in Glibc.bind(descriptor, address, length) == 0 } ?? false
    }

    private static func withAddress<Result>(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard bytes.count <= pathLimit else { return nil }
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        // The name of an abstract socket is all the bytes that are given, so no byte more than the name counts.
        let length = socklen_t(2 + bytes.count + (bytes.first == 0 ? 0 : 1))
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
