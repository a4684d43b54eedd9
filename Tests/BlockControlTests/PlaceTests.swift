// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem
import Testing

@Suite struct `The control socket's place` {
    private func paths(_ given: String?, user: UInt32 = 1000, _ environment: [String: String] = [:]) -> ControlPaths {
        ControlPaths(socket: given, userID: user) { environment[$0] }
    }

    @Test func `the flag wins, then the variable, then the runtime directory, then a directory in tmp`() {
        let all = ["PLATTER_SOCKET": "/a/b.sock", "XDG_RUNTIME_DIR": "/run/user/1000"]
        #expect(paths("/x/y.sock", all).socket == "/x/y.sock")
        #expect(paths(nil, all).socket == "/a/b.sock")
        #expect(paths(nil, ["XDG_RUNTIME_DIR": "/run/user/1000"]).socket == "/run/user/1000/platter/control.sock")
        #expect(paths(nil, ["XDG_RUNTIME_DIR": ""]).socket == "/tmp/platter-1000/control.sock")
        #expect(paths(nil, user: 0, ["XDG_RUNTIME_DIR": "/run/user/0"]).socket == "/run/platter/control.sock")
    }

    @Test func `everything else lies beside it`() {
        let paths = paths("/a/b/c.sock")
        #expect(paths.directory == "/a/b")
        #expect(paths.nbdSocket == "/a/b/nbd.sock")
        #expect(paths.lockFile == "/a/b/c.sock.lock")
        #expect(self.paths("/c.sock").directory == "/")
    }

    @Test func `a directory in tmp that others could have made is not trusted`() throws {
        let user = UInt32.random(in: 1_000_000...2_000_000)
        let paths = ControlPaths(socket: nil, userID: user) { _ in nil }
        #expect(throws: Never.self) { try paths.checkOwner(userID: user) }
        try HostFile.makeDirectory(paths.directory, mode: 0o700)
        defer { HostFile.removeDirectory(paths.directory) }
        let problem = #expect(throws: Problem.self) { try paths.checkOwner(userID: user) }
        #expect(problem?.kind == .notPermitted)
        #expect(throws: Never.self) { try paths.checkOwner(userID: Host.userID) }
    }

    @Test func `one lock file has one holder`() throws {
        try withTemporaryDirectory { directory in
            let path = directory + "/lock"
            do {
                let first = try LockFile(path: path)
                #expect(throws: SystemError(errno: 11)) { _ = try LockFile(path: path) }
                #expect(LockFile.holder(path: path) == Host.processID)
                withExtendedLifetime(first) {}
            }
            _ = try LockFile(path: path)
        }
    }
}

/// A directory for sockets of one test, gone afterwards.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let directory = try HostFile.makeTemporaryDirectory(prefix: "platter-test")
    defer { clear(directory) }
    return try body(directory)
}

/// A directory for sockets of one test, gone afterwards.
func withTemporaryDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let directory = try HostFile.makeTemporaryDirectory(prefix: "platter-test")
    defer { clear(directory) }
    return try await body(directory)
}

private func clear(_ directory: String) {
    let removal = try? ShellCommand("rm -rf \"$directory\"", environment: [("directory", directory)])
    _ = removal?.wait()
}
