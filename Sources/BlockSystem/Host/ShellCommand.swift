// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A command line run by the shell as a child of this process.
public final class ShellCommand: Sendable {
    /// The child's number.
    public let process: Int32

    /// Starts `sh -c command` with these variables added to the environment.
    ///
    /// The child gets signals as a fresh program does, whatever this process holds back or ignores.
    public init(_ command: String, environment additions: [(name: String, value: String)]) throws(SystemError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var nothing = sigset_t()
        sigemptyset(&nothing)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        var usual = HostSignals.endings()
        sigaddset(&usual, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var variables = ShellCommand.environment().filter { entry in
            !additions.contains { entry.hasPrefix($0.name + "=") }
        }
        variables += additions.map { "\($0.name)=\($0.value)" }
        var arguments = ShellCommand.copies(of: ["sh", "-c", command])
        var environment = ShellCommand.copies(of: variables)
        defer { for text in arguments + environment { free(text) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, "/bin/sh", nil, &attributes, &arguments, &environment)
        guard result == 0 else { throw SystemError(errno: result) }
        process = child
    }

    /// Waits for the end; blocks the thread. The status is the command's own, or 128 and the signal that ended it.
    public func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            if errno != EINTR { return 1 }
        }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    /// Sends the child the signal that asks it to end.
    public func terminate() { kill(process, SIGTERM) }

    // What the C interface wants: strings of its own and a null pointer at the end.
    private static func copies(of texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        texts.map { (text: String) -> UnsafeMutablePointer<CChar>? in strdup(text) } + [nil]
    }

    private static func environment() -> [String] {
        var result: [String] = []
        var next = environ
        while let text = next.pointee {
            result.append(String(cString: text))
            next += 1
        }
        return result
    }
}
