// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A file that is written once, from its start on.
public final class OutputFile: Sendable {
    private let descriptor: Int32
    private let isOurs: Bool

    /// Makes the file, or empties the one that is there. What is no ordinary file is left as it is.
    /// - Throws: EINVAL for anything but an ordinary file, and what the system says.
    public init(path: String) throws(SystemError) {
        if let status = HostFile.status(path), status.kind != .file { throw SystemError(errno: EINVAL) }
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0o644)
        isOurs = true
        guard descriptor >= 0 else { throw SystemError(errno: errno) }
    }

    /// Standard output.
    public init() {
        descriptor = 1
        isOurs = false
    }

    deinit { if isOurs, descriptor >= 0 { close(descriptor) } }

    /// Writes all of the bytes after those before.
    public func write(_ bytes: [UInt8]) throws(SystemError) { try HostFile.write(descriptor, bytes) }
}
