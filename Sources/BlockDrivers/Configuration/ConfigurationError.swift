// SPDX-License-Identifier: Apache-2.0

/// A driver that cannot be made from its keys: what is wrong, where, and how to mend it.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One line, without a full stop.
    public let reason: String
    /// The Linux error number that says it best: EINVAL for keys, the system's for files (EBUSY for a taken lock).
    public let errno: Int32

    /// An error with its line.
    public init(_ reason: String, errno: Int32 = 22) {
        self.reason = reason
        self.errno = errno
    }

    /// The line.
    public var description: String { reason }
}
