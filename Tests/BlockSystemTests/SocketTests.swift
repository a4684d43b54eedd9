// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Foundation
import Testing

private func path() -> String { "/tmp/platter-socket-\(UInt64.random(in: .min ... .max)).sock" }

@Suite struct `A socket address` {
    @Test(arguments: [
        ("unix:/run/x.sock", SocketAddress.unix(path: "/run/x.sock")),
        ("tcp:127.0.0.1:10809", .tcp(host: "127.0.0.1", port: 10809)),
        ("tcp:localhost:1", .tcp(host: "localhost", port: 1)), ("tcp:[::1]:10809", .tcp(host: "::1", port: 10809)),
        ("tcp:*:10809", .tcp(host: "", port: 10809)), ("tcp::10809", .tcp(host: "", port: 10809)),
        ("fd:3", .inherited(3)),
    ])
    func `is read from its text`(text: String, address: SocketAddress) {
        #expect(SocketAddress(text) == address)
        #expect(SocketAddress(address.description) == address)
    }

    @Test(arguments: [
        "", "unix:", "/run/x", "tcp:", "tcp:host", "tcp:host:", "tcp:host:70000", "tcp:::1:5", "fd:-1", "fd:x",
    ])
    func `is not read from anything else`(text: String) { #expect(SocketAddress(text) == nil) }
}

@Suite struct `A listening socket` {
    @Test func `has the mode it was given from its first moment`() throws {
        let path = path()
        let socket = try Descriptor.listening(on: .unix(path: path), mode: 0o600)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(socket.localAddress == .unix(path: path))
        removeSocketFile(path)
    }

    @Test func `replaces a file on which nobody answers, and not one on which somebody does`() throws {
        let path = path()
        do { _ = try Descriptor.listening(on: .unix(path: path)) }
        #expect(FileManager.default.fileExists(atPath: path))
        let second = try Descriptor.listening(on: .unix(path: path))
        #expect(throws: SystemError(errno: EADDRINUSE)) { _ = try Descriptor.listening(on: .unix(path: path)) }
        _ = try Descriptor.connected(to: .unix(path: path))
        #expect(second.rawNumber >= 0)
        removeSocketFile(path)
    }

    @Test func `takes away no file that is not a socket`() throws {
        let path = path()
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: SystemError(errno: EADDRINUSE)) { _ = try Descriptor.listening(on: .unix(path: path)) }
        #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
        try FileManager.default.removeItem(atPath: path)
    }

    @Test func `refuses what is no place to listen`() {
        #expect(throws: SystemError(errno: ENAMETOOLONG)) {
            _ = try Descriptor.listening(on: .unix(path: "/tmp/" + String(repeating: "x", count: 200)))
        }
        #expect(throws: SystemError(errno: ENOENT)) { _ = try Descriptor.listening(on: .unix(path: "/nowhere/at/all")) }
        #expect(throws: SystemError.self) { _ = try Descriptor.listening(on: .inherited(1_000_000)) }
    }

    @Test func `knows who connects`() throws {
        let path = path()
        let socket = try Descriptor.listening(on: .unix(path: path))
        let client = try Descriptor.connected(to: .unix(path: path))
        let accepted = try socket.accept()
        let peer = accepted?.peer
        #expect(peer?.process == getpid())
        #expect(peer?.user == getuid())
        #expect(programName(ofProcess: getpid())?.isEmpty == false)
        let next = try socket.accept()
        let isEmpty = next == nil
        #expect(isEmpty)
        #expect(client.rawNumber >= 0)
        removeSocketFile(path)
    }

    @Test func `finds its port on TCP`() throws {
        let socket = try Descriptor.listening(on: .tcp(host: "127.0.0.1", port: 0))
        guard case .tcp("127.0.0.1", let port)? = socket.localAddress else {
            Issue.record("no TCP address")
            return
        }
        #expect(port > 0)
        let client = try Descriptor.connected(to: .tcp(host: "localhost", port: port))
        let accepted = try socket.accept()
        accepted?.tune()
        #expect(accepted?.peer.address?.hasPrefix("127.0.0.1:") == true)
        #expect(client.rawNumber >= 0)
        #expect(throws: SystemError(errno: EADDRINUSE)) {
            _ = try Descriptor.listening(on: .tcp(host: "127.0.0.1", port: port))
        }
    }
}
