// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// Where a server listens and a client connects.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// A path in the file system.
    case unix(path: String)
    /// A host (name, IPv4 or IPv6 address; empty: every address of the machine) and a port.
    case tcp(host: String, port: UInt16)
    /// A listening socket that was inherited, by its number.
    case inherited(Int32)

    /// Reads `unix:PATH`, `tcp:HOST:PORT`, `tcp:[::1]:PORT` or `fd:N`; nil where it is none of them.
    public init?(_ text: String) {
        if let path = text.after("unix:"), !path.isEmpty {
            self = .unix(path: path)
        } else if let rest = text.after("tcp:"), let colon = rest.lastIndex(of: ":"),
            let port = UInt16(rest[rest.index(after: colon)...])
        {
            let host = rest[..<colon]
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
            if !isBracketed && host.contains(":") { return nil }
            let name = isBracketed ? host.dropFirst().dropLast() : host
            self = .tcp(host: name == "*" ? "" : String(name), port: port)
        } else if let digits = text.after("fd:"), let number = Int32(digits), number >= 0 {
            self = .inherited(number)
        } else {
            return nil
        }
    }

    /// The form that ``init(_:)`` reads.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): "tcp:\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .inherited(let number): "fd:\(number)"
        }
    }
}

/// Who is at the other end of a connection.
public struct SocketPeer: Sendable, Equatable {
    /// The process, on a unix socket.
    public var process: Int32?
    /// The user, on a unix socket.
    public var user: UInt32?
    /// `1.2.3.4:5`, on TCP.
    public var address: String?
}

extension Descriptor {
    /// A socket that listens.
    ///
    /// A socket file on which nobody answers any more is replaced; one on which somebody does is EADDRINUSE.
    /// - Parameter mode: access rights of a socket file; nil: as the umask says.
    public static func listening(on address: SocketAddress, mode: UInt32? = nil) throws(SystemError) -> Descriptor {
        switch address {
        case .unix(let path):
            return try Descriptor(result: platter_listen_unix(path, mode.map { Int32($0) } ?? -1, 1024))
        case .tcp(let host, let port):
            return try Descriptor(result: platter_listen_tcp(host, String(port), 1024))
        case .inherited(let number):
            let listening = platter_is_listening(number)
            guard listening > 0 else { throw SystemError(errno: listening < 0 ? -listening : EINVAL) }
            let socket = Descriptor(adopting: number)
            try socket.makeNonblocking()
            return socket
        }
    }

    /// A connection, in blocking mode; waits until it is made.
    public static func connected(to address: SocketAddress) throws(SystemError) -> Descriptor {
        switch address {
        case .unix(let path): return try Descriptor(result: platter_connect_unix(path))
        case .tcp(let host, let port): return try Descriptor(result: platter_connect_tcp(host, String(port)))
        case .inherited: throw SystemError(errno: EINVAL)
        }
    }

    /// Takes the next connection of a listening socket; nil when none is waiting.
    public func accept() throws(SystemError) -> Descriptor? {
        while true {
            let result = platter_accept(number)
            if result >= 0 { return Descriptor(adopting: result) }
            switch -result {
            case EAGAIN: return nil
            case ECONNABORTED, EINTR, EPROTO: continue  // that client is gone already; the next one may not be
            default: throw SystemError(errno: -result)
            }
        }
    }

    /// Sets what every connection wants: no delay, room to send.
    public func tune() { platter_tune_socket(number) }

    /// Who is at the other end.
    public var peer: SocketPeer {
        var peer = SocketPeer()
        if platter_socket_kind(number) == 1 {
            var process: Int32 = 0
            var user: UInt32 = 0
            if platter_peer_credentials(number, &process, &user) == 0 {
                peer.process = process > 0 ? process : nil
                peer.user = user
            }
        } else {
            let descriptor = number
            peer.address = textOf(128) { platter_peer_name(descriptor, $0, $1) }
        }
        return peer
    }

    /// Where a listening socket really listens: with the port that the system chose, and the path of an inherited one.
    public var localAddress: SocketAddress? {
        let descriptor = number
        guard let name = textOf(160, { platter_local_name(descriptor, $0, $1) }) else { return nil }
        return platter_socket_kind(number) == 1 ? .unix(path: name) : SocketAddress("tcp:\(name)")
    }

    /// A descriptor that stands for nothing, kept to be given up when there is no other.
    public static func reserve() throws(SystemError) -> Descriptor {
        try Descriptor(result: platter_reserve_descriptor())
    }
}

/// The name of the program that a process runs now, as the kernel has it; nil when the process is gone.
public func programName(ofProcess process: Int32) -> String? {
    textOf(64) { platter_read_small_file("/proc/\(process)/comm", $0, $1) }
        .map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
}

/// The text that `write` puts into a buffer of `capacity` bytes, returning its length or a negative number.
private func textOf(_ capacity: Int, _ write: (UnsafeMutablePointer<CChar>?, Int) -> Int32) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
        let length = Int(write(buffer.baseAddress, capacity))
        guard length >= 0 else { return nil }
        return String(decoding: UnsafeRawBufferPointer(buffer).prefix(length), as: UTF8.self)
    }
}

extension String {
    fileprivate func after(_ prefix: String) -> String? { hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil }
}

/// Removes a socket file that a listener has left behind.
public func removeSocketFile(_ path: String) { _ = platter_unlink(path) }

/// Processors that this process may use.
public func processorCount() -> Int { Int(platter_processors()) }
