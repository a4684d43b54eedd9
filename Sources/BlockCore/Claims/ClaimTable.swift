// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The claims on one disk and its partitions, as a pure machine; ``Disk`` asks it under its lock and acts after unlocking.
///
/// | there is \ wanted | whole by X | part 1 by X | part 2 by X |
/// |---|---|---|---|
/// | nothing | yes | yes | yes |
/// | whole by X, same delegate | yes, nests | no | no |
/// | whole by Y | no | no | no |
/// | part 1 by X, same delegate | no | yes, nests | yes |
/// | part 1 by Y | no | no | yes |
/// | the same holder with another delegate | no | no | no |
///
/// A claim is made in two steps. Between them it has the disk's one slot for claims in progress: whoever wants to claim
/// the disk or a partition of it meanwhile waits, unless a finished claim is in the way, which is said at once.
package struct ClaimTable: Equatable, Sendable {
    /// Who claims: a holder, and what it hears through.
    package struct Claimant: Hashable, Sendable {
        package let holder: UInt64
        package let delegate: ObjectIdentifier?
        package init(holder: UInt64, delegate: ObjectIdentifier?) {
            self.holder = holder
            self.delegate = delegate
        }
    }

    /// What a whole disk is marked with.
    package enum Whole: Equatable, Sendable {
        case free
        case held(Claimant, count: Int)
        /// Partitions of it are claimed, so many times.
        case partitions(count: Int)
    }

    /// Why a claim is refused at once.
    package enum Conflict: Equatable, Sendable {
        /// The whole disk is claimed.
        case whole
        /// This partition is claimed by somebody else.
        case partition
        /// The whole disk is wanted, and partitions of it are claimed.
        case somePartition
        /// The same holder has it, but hears of it through something else.
        case otherDelegate
    }

    package enum Answer: Equatable, Sendable {
        /// The slot is the caller's, until ``finish(_:)`` or ``abort(_:)`` with this ticket.
        case prepared(UInt64)
        /// Another claim is in progress: ask again when it is over.
        case wait
        case refused(Conflict)
        case dead
    }

    private struct Held: Equatable {
        var claimant: Claimant
        var count: Int
    }
    private struct InProgress: Equatable {
        var ticket: UInt64
        var partition: Int
        var claimant: Claimant
    }

    package private(set) var whole = Whole.free
    private var partitions: [Int: Held] = [:]
    private var inProgress: InProgress?
    private var nextTicket: UInt64 = 1
    package private(set) var isDead = false

    package init() {}

    /// Whether a claim is between its two steps.
    package var isBusy: Bool { inProgress != nil }
    /// How many claims are finished and not ended.
    package var count: Int {
        switch whole {
        case .free: 0
        case .held(_, let count), .partitions(let count): count
        }
    }

    /// What is in the way of a claim; 0 is the whole disk.
    package func conflict(_ partition: Int, _ claimant: Claimant) -> Conflict? {
        switch whole {
        case .held(let other, _):
            guard partition == 0, other.holder == claimant.holder else { return .whole }
            return other == claimant ? nil : .otherDelegate
        case .partitions where partition == 0: return .somePartition
        case .free, .partitions:
            guard let held = partitions[partition], held.claimant != claimant else { return nil }
            return held.claimant.holder == claimant.holder ? .otherDelegate : .partition
        }
    }

    /// The first step.
    package mutating func prepare(_ partition: Int, _ claimant: Claimant) -> Answer {
        guard !isDead else { return .dead }
        if let conflict = conflict(partition, claimant) { return .refused(conflict) }
        guard inProgress == nil else { return .wait }
        defer { nextTicket += 1 }
        inProgress = InProgress(ticket: nextTicket, partition: partition, claimant: claimant)
        return .prepared(nextTicket)
    }

    /// The second step. False: the disk died in between, and the ticket with it.
    package mutating func finish(_ ticket: UInt64) -> Bool {
        guard let claim = inProgress, claim.ticket == ticket else { return false }
        inProgress = nil
        if claim.partition == 0 {
            guard case .held(_, let count) = whole else {
                whole = .held(claim.claimant, count: 1)
                return true
            }
            whole = .held(claim.claimant, count: count + 1)
        } else {
            partitions[claim.partition, default: Held(claimant: claim.claimant, count: 0)].count += 1
            guard case .partitions(let count) = whole else {
                whole = .partitions(count: 1)
                return true
            }
            whole = .partitions(count: count + 1)
        }
        return true
    }

    /// The first step is taken back. False: it was over already.
    package mutating func abort(_ ticket: UInt64) -> Bool {
        guard inProgress?.ticket == ticket else { return false }
        inProgress = nil
        return true
    }

    /// A finished claim ends; the last one of its holder frees the device.
    package mutating func end(_ partition: Int, _ claimant: Claimant) {
        if partition == 0 {
            guard case .held(let holder, let count) = whole, holder == claimant else {
                invariantBroken("a claim on a disk is ended by whoever has it")
            }
            whole = count > 1 ? .held(holder, count: count - 1) : .free
        } else {
            guard case .partitions(let count) = whole, let held = partitions[partition], held.claimant == claimant
            else {
                invariantBroken("a claim on a partition is ended by whoever has it")
            }
            whole = count > 1 ? .partitions(count: count - 1) : .free
            partitions[partition] = held.count > 1 ? Held(claimant: claimant, count: held.count - 1) : nil
        }
    }

    /// The disk has died: the slot is empty, and no claim will be prepared any more. Finished ones end with their handles.
    package mutating func die() {
        isDead = true
        inProgress = nil
    }
}
