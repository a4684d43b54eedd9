// SPDX-License-Identifier: Apache-2.0

/// Why an attribute was not read or written; each case has the error number that a file of it gives.
public enum AttributeError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no such attribute on this device (ENOENT).
    case unknown(String)
    /// The device is gone (ENODEV).
    case gone(String)
    /// It can only be written (EIO).
    case notReadable(String)
    /// It can only be read (EIO).
    case notWritable(String)
    /// It cannot have this value (EINVAL); the line says what it can.
    case invalid(String)
    /// Something is in the way for now (EBUSY).
    case busy(String)
    /// The device cannot do it (EOPNOTSUPP).
    case notSupported(String)
    /// Anything else, with its error number.
    case failed(errno: Int32, String)

    /// The error number of Linux, positive.
    public var errno: Int32 {
        switch self {
        case .unknown: 2
        case .gone: DiskError.gone
        case .notReadable, .notWritable: DiskError.ioError
        case .invalid: DiskError.invalid
        case .busy: DiskError.busy
        case .notSupported: DiskError.notSupported
        case .failed(let errno, _): errno
        }
    }

    /// One line: what, why, and what to do.
    public var description: String {
        switch self {
        case .unknown(let line), .gone(let line), .notReadable(let line), .notWritable(let line), .invalid(let line),
            .busy(let line), .notSupported(let line), .failed(_, let line):
            line
        }
    }

    /// What a verb was refused for.
    init(_ error: DiskError) {
        switch error.errno {
        case DiskError.gone, DiskError.noSuchDevice: self = .gone(error.reason)
        case DiskError.invalid: self = .invalid(error.reason)
        case DiskError.busy: self = .busy(error.reason)
        case DiskError.notSupported: self = .notSupported(error.reason)
        default: self = .failed(errno: error.errno, error.reason)
        }
    }
}
