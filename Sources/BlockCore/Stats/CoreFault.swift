// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// A promise of the core that was not kept: never a driver's or a client's fault, always a line for the log.
public struct CoreFault: Sendable, Codable, Equatable {
    /// The disk it was found on.
    public var disk: String
    /// Its DISKSEQ.
    public var sequence: UInt64
    /// One line: what was found.
    public var reason: String
}

/// Whom a registry tells of faults of its own.
final class FaultReporter: Sendable {
    // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
    private struct State {
        var report: (@Sendable (CoreFault) -> Void)?
        var count = 0
    }
    private let state = Lock(State())

    func set(_ report: (@Sendable (CoreFault) -> Void)?) { state.withLock { $0.report = report } }
    var count: Int { state.withLock { $0.count } }

    func report(_ fault: CoreFault) {
        let report = state.withLock { state in
            state.count += 1
            return state.report
        }
        report?(fault)
    }
}

extension DiskRegistry {
    /// Calls `report` for each fault of the core that is found from now on, on a thread of the control side, outside all
    /// locks; nil: nobody.
    public func reportFaults(to report: (@Sendable (CoreFault) -> Void)?) { faultReporter.set(report) }

    /// Faults of the core that were found in this registry's life; anything but 0 is to be reported to its makers.
    public var coreFaults: Int { faultReporter.count }
}

extension Ledger {
    /// What does not add up at the end of a disk's life, in one line; nil: it is exact.
    package var fault: String? {
        var wrong: [String] = []
        if accepted != ok &+ failed &+ aborted &+ quarantined {
            wrong.append(
                "\(accepted) accepted are not \(ok) ok + \(failed) failed + \(aborted) aborted + "
                    + "\(quarantined) quarantined")
        }
        if aborted &+ quarantined != timedOut &+ expired {
            wrong.append("\(timedOut) timed out and \(expired) expired, but \(aborted) are aborted")
        }
        if aborted != late { wrong.append("of \(aborted) aborted \(late) came late") }
        if quarantined != 0 { wrong.append("\(quarantined) are still owed") }
        if inFlight != 0 { wrong.append("\(inFlight) are in flight") }
        return wrong.isEmpty
            ? nil : "a fault of Platter: the ledger does not add up at the disk's end: " + wrong.joined(separator: "; ")
    }
}

extension Disk {
    /// Closes the books (R1): once nobody is inside and nothing is owed, everything that was let in was answered exactly
    /// once. What does not add up is said, never passed over. In every build.
    func checkLedger() -> String? {
        var ledger = ledger()
        ledger.accepted &+= options.ledgerSkew
        guard let fault = ledger.fault else { return nil }
        registry.faultReporter.report(CoreFault(disk: name, sequence: sequence, reason: fault))
        return fault
    }
}
