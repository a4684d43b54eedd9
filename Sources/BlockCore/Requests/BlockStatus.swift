// SPDX-License-Identifier: Apache-2.0

/// How one I/O ended: the closed set of answers of the data path.
///
/// Each face of the product tells these in its clients' words; ``errno`` is the word of Linux.
public enum BlockStatus: UInt8, Error, Sendable, CaseIterable {
    /// Done, and as durable as the flags asked for.
    case ok
    /// The device or the driver failed it (EIO).
    case ioError
    /// The disk is gone or going; the I/O was refused or cut (ENODEV). Every later I/O gets the same answer.
    case gone
    /// The driver dropped the request without an answer; counted as a fault of the driver (EIO).
    case dropped
    /// The device cannot do this operation (EOPNOTSUPP).
    case notSupported
    /// The range does not lie on the device (EIO in Linux; writes answer ENOSPC where a client's words have it).
    case outOfRange
    /// Malformed: not a multiple of the logical block size, or flags that do not belong together (EINVAL).
    case invalid
    /// A write to something read-only (EPERM).
    case readOnly
    /// No room left beneath the disk (ENOSPC).
    case noSpace
    /// No memory for the request (ENOMEM).
    case noMemory
    /// It could not be done at once and the caller asked not to wait, or the opener's depth is used up (EAGAIN).
    case again
    /// The device did not answer in time (ETIMEDOUT).
    case timedOut
    /// The medium cannot give these sectors (ENODATA).
    case medium
    /// The medium that was opened is not in the device any more (ENOMEDIUM). Every later I/O of the handle answers it.
    case noMedium

    /// The Linux error number, positive; 0 for ``ok``.
    public var errno: Int32 {
        switch self {
        case .ok: 0
        case .ioError, .dropped, .outOfRange: 5
        case .gone: 19
        case .notSupported: 95
        case .invalid: 22
        case .readOnly: 1
        case .noSpace: 28
        case .noMemory: 12
        case .again: 11
        case .timedOut: 110
        case .medium: 61
        case .noMedium: 123
        }
    }

    /// A few words for people.
    public var words: String {
        switch self {
        case .ok: "done"
        case .ioError: "an I/O error"
        case .gone: "the disk is gone"
        case .dropped: "the driver dropped the request"
        case .notSupported: "the driver does not support it"
        case .outOfRange: "beyond the end of the disk"
        case .invalid: "malformed"
        case .readOnly: "read-only"
        case .noSpace: "no room is left for it"
        case .noMemory: "no memory is left"
        case .again: "it would have to wait"
        case .timedOut: "no answer in time"
        case .medium: "the medium cannot be read there"
        case .noMedium: "there is no medium"
        }
    }

    /// The status for an error number that a system call of a driver returned; ``ioError`` where nothing fits better.
    public init(errno: Int32) {
        switch errno {
        case 0: self = .ok
        case 19, 6, 108: self = .gone  // ENODEV, ENXIO, ESHUTDOWN: the device beneath has vanished
        case 95, 25, 38: self = .notSupported
        case 22: self = .invalid
        case 1, 13, 30: self = .readOnly
        case 28, 122, 27: self = .noSpace
        case 12: self = .noMemory
        case 11: self = .again
        case 110: self = .timedOut
        case 61: self = .medium
        case 123: self = .noMedium
        default: self = .ioError
        }
    }
}
