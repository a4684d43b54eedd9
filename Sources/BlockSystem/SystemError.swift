// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// A failed system call, by its error number.
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The error number of Linux, positive.
    public let errno: Int32

    /// The error with this number.
    public init(errno: Int32) { self.errno = errno }

    /// The error that the C library's last call on this thread left behind.
    static var last: SystemError { SystemError(errno: Glibc.errno) }

    /// `ENOENT`.
    public var name: String {
        guard let text = platter_errno_name(errno) else { return "errno \(errno)" }
        return String(cString: text)
    }

    /// `No such file or directory (ENOENT)`.
    public var description: String {
        guard let text = strerror(errno) else { return name }
        return "\(String(cString: text)) (\(name))"
    }
}

/// Stops the process with a line that says which rule of the program was broken. For rules of the lifecycle, never input.
@inline(never)
public func invariantBroken(_ what: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    fatalError("platter: broken invariant: \(what)", file: file, line: line)
}

/// Checks a rule of the lifecycle also in release builds.
@inlinable @inline(__always)
public func invariant(
    _ holds: Bool, _ what: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    if !holds { invariantBroken(what(), file: file, line: line) }
}
