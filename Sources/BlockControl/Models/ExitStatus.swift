// SPDX-License-Identifier: Apache-2.0

/// How a verb of the command line ended: the whole table, and the only place that has it.
public enum ExitStatus: Int32, Error, Sendable, CaseIterable {
    /// It is done.
    case done = 0
    /// It failed.
    case failed = 1
    /// It is done, but the deadline passed: something is quarantined.
    case deadlinePassed = 4
    /// There is no such disk.
    case noSuchDisk = 32
    /// The command line, or a value on it, is wrong.
    case usage = 64
    /// No daemon answers.
    case unreachable = 69
    /// Somebody holds it; try again later.
    case busy = 75
    /// The user may not do this.
    case notPermitted = 77

    // A command over several disks ends with the gravest status, in this order.
    private var gravity: Int {
        switch self {
        case .done: 0
        case .deadlinePassed: 1
        case .busy: 2
        case .noSuchDisk: 3
        case .failed: 4
        case .usage: 5
        case .notPermitted: 6
        case .unreachable: 7
        }
    }

    /// The status of two things together: the graver one.
    public func and(_ other: ExitStatus) -> ExitStatus { gravity >= other.gravity ? self : other }
}
