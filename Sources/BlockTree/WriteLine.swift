// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// Which writes to a disk may be under way together. Pure.
///
/// A write that is not whole blocks reads first, and puts back what it read around its own bytes: nothing else may
/// write there in between. Such a write is *alone* in its blocks; all others share. Who waits, waits in line: nobody is
/// overtaken by what is in his way.
///
/// Only what goes through a tree is ordered here. A client of another export that writes other bytes of the same block
/// at the same moment is not: as with a kernel's page cache and somebody beside it.
struct WriteLine {
    private struct Claim {
        let ticket: UInt64
        let range: SectorRange
        let isAlone: Bool

        func isInTheWay(of other: Claim) -> Bool {
            (isAlone || other.isAlone) && range.start < other.range.start &+ other.range.count
                && other.range.start < range.start &+ range.count
        }
    }
    private var active: [Claim] = []
    private var waiting: [Claim] = []
    private var next: UInt64 = 1

    /// Whether nobody writes or waits.
    var isEmpty: Bool { active.isEmpty && waiting.isEmpty }

    /// Takes a place for a write. Not granted: ``end(_:)`` of another one will say when.
    mutating func begin(_ range: SectorRange, isAlone: Bool) -> (ticket: UInt64, isGranted: Bool) {
        let claim = Claim(ticket: next, range: range, isAlone: isAlone)
        next += 1
        guard !active.contains(where: claim.isInTheWay), !waiting.contains(where: claim.isInTheWay) else {
            waiting.append(claim)
            return (claim.ticket, false)
        }
        active.append(claim)
        return (claim.ticket, true)
    }

    /// Gives a place back, granted or not; returns who may go on now, in the order in which they came.
    mutating func end(_ ticket: UInt64) -> [UInt64] {
        active.removeAll { $0.ticket == ticket }
        waiting.removeAll { $0.ticket == ticket }
        var granted: [UInt64] = []
        var left: [Claim] = []
        for claim in waiting {
            if active.contains(where: claim.isInTheWay) || left.contains(where: claim.isInTheWay) {
                left.append(claim)
            } else {
                active.append(claim)
                granted.append(claim.ticket)
            }
        }
        waiting = left
        return granted
    }
}

/// The line of one disk, shared by all files that stand for it or its partitions, in all trees of the process.
final class DiskLine: Sendable {
    /// Keeps the disk, so that nobody else can have its address.
    private let disk: Disk

    // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
    private struct Resumption: Sendable {
        let run: @Sendable () -> Void
    }
    private struct State {
        var line = WriteLine()
        var resumptions: [UInt64: Resumption] = [:]
    }
    private let state = Lock(State())

    private init(_ disk: Disk) { self.disk = disk }

    private struct Known: Sendable {
        weak let line: DiskLine?
    }
    private static let all = Lock<[ObjectIdentifier: Known]>([:])

    static func line(of disk: Disk) -> DiskLine {
        all.withLock { all in
            if let line = all[ObjectIdentifier(disk)]?.line { return line }
            for (key, known) in all where known.line == nil { all[key] = nil }
            let line = DiskLine(disk)
            all[ObjectIdentifier(disk)] = Known(line: line)
            return line
        }
    }

    /// Runs `body` when the range is free for it: now, or on the thread of whoever makes the room.
    /// - Returns: what ``end(_:)`` wants. `told` has had it before `body` runs.
    func begin(
        _ range: SectorRange, isAlone: Bool, told: (UInt64) -> Void, _ body: @escaping @Sendable () -> Void
    ) {
        let isGranted = state.withLock { state in
            let (ticket, isGranted) = state.line.begin(range, isAlone: isAlone)
            told(ticket)
            if !isGranted { state.resumptions[ticket] = Resumption(run: body) }
            return isGranted
        }
        if isGranted { body() }
    }

    /// The write is over, or given up.
    func end(_ ticket: UInt64) {
        let next = state.withLock { state in
            state.resumptions[ticket] = nil
            return state.line.end(ticket).compactMap { state.resumptions.removeValue(forKey: $0) }
        }
        for resumption in next { resumption.run() }
    }

    /// Whether nobody writes or waits: what the tests look at.
    var isEmpty: Bool { state.withLock { $0.line.isEmpty } }
}
