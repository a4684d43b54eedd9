// SPDX-License-Identifier: Apache-2.0

/// Why a verb of the control side was refused: an error number and one line that says what, why and what to do.
public struct DiskError: Error, Sendable, CustomStringConvertible {
    /// The error number of Linux, positive.
    public var errno: Int32
    /// The disk or device it is about.
    public var disk: String?
    /// Its DISKSEQ.
    public var sequence: UInt64?
    /// The line.
    public var reason: String
    /// Who is in the way.
    public var openers: [OpenerRecord] = []

    /// An error.
    public init(
        errno: Int32, disk: String? = nil, sequence: UInt64? = nil, reason: String, openers: [OpenerRecord] = []
    ) {
        self.errno = errno
        self.disk = disk
        self.sequence = sequence
        self.reason = reason
        self.openers = openers
    }

    /// The line.
    public var description: String { reason }

    static let notPermitted: Int32 = 1
    static let ioError: Int32 = 5
    static let noSuchDevice: Int32 = 6
    static let busy: Int32 = 16
    static let exists: Int32 = 17
    static let gone: Int32 = 19
    static let invalid: Int32 = 22
    static let notSupported: Int32 = 95
    static let noMemory: Int32 = 12
    static let timedOut: Int32 = 110
    static let noMedium: Int32 = 123
    static let cancelled: Int32 = 125
}
