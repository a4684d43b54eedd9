// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A command line run by the shell as a child of this process, with its terminal and its environment.
public final class ShellCommand: Sendable {
    private let child: ChildProcess

    /// The child's number.
    public var process: Int32 { child.process }

    /// Starts `sh -c command` with these variables added to the environment.
    public init(_ command: String, environment additions: [(name: String, value: String)]) throws(SystemError) {
        var variables = ShellCommand.environment().filter { entry in
            !additions.contains { entry.hasPrefix($0.name + "=") }
        }
        variables += additions.map { "\($0.name)=\($0.value)" }
        child = try ChildProcess("/bin/sh", arguments: ["sh", "-c", command], environment: variables)
    }

    /// Waits for the end; blocks the thread. The status is the command's own, or 128 and the signal that ended it.
    public func wait() -> Int32 { child.wait().status }

    /// Sends the child the signal that asks it to end.
    public func terminate() { child.terminate() }

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
