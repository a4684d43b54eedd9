// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

/// Which writes to a disk may be under way together. Pure.
///
/// A write that is not whole blocks reads first, and puts back what it read around its own bytes: nothing else may
/// write there in between. Such a write is *alone* in its blocks; all others share. Who waits, waits in line: nobody is
/// overtaken by what is in his way.
///
/// Only what goes through a tree is ordered here. A client of another export that writes other bytes of the same block
/// at the same moment is not: as with a kernel's page cache and somebody beside it.
///
/// Cost: a write of whole blocks costs a look at a counter while nobody is alone. Else a new claim looks back through
/// those before it, as far as one that is alone and covers all its blocks: whatever is in its way before that one is in
/// that one's way, too. An end costs what waited for just that claim.
struct WriteLine {
    private struct Claim {
        let ticket: UInt64
        let range: SectorRange
        let isAlone: Bool
        /// How many that came before are to end first.
        var blockers = 0
        /// Who counts this one among them.
        var blocked: [UInt64] = []
        var hasEnded = false

        func isInTheWay(of other: Claim) -> Bool {
            !hasEnded && (isAlone || other.isAlone) && range.start < other.range.start &+ other.range.count
                && other.range.start < range.start &+ range.count
        }

        func covers(_ other: Claim) -> Bool {
            isAlone && range.start <= other.range.start
                && other.range.start &+ other.range.count <= range.start &+ range.count
        }
    }
    /// In the order in which they came, with gaps where one has ended.
    private var claims: [Claim] = []
    private var ended = 0
    private var alone = 0
    private var next: UInt64 = 1

    /// Whether nobody writes or waits.
    var isEmpty: Bool { claims.count == ended }

    /// Takes a place for a write. Not granted: ``end(_:)`` of another one will say when.
    mutating func begin(_ range: SectorRange, isAlone: Bool) -> (ticket: UInt64, isGranted: Bool) {
        var claim = Claim(ticket: next, range: range, isAlone: isAlone)
        next += 1
        if isAlone || alone > 0 {
            for index in claims.indices.reversed() where claims[index].isInTheWay(of: claim) {
                claims[index].blocked.append(claim.ticket)
                claim.blockers += 1
                if claims[index].covers(claim) { break }
            }
        }
        if isAlone { alone += 1 }
        claims.append(claim)
        return (claim.ticket, claim.blockers == 0)
    }

    /// Gives a place back that was granted; returns who may go on now, in the order in which they came.
    mutating func end(_ ticket: UInt64) -> [UInt64] {
        guard let index = index(of: ticket), !claims[index].hasEnded else { return [] }
        // Those behind it look back no further than to it.
        assert(claims[index].blockers == 0, "a claim that waits is not given up")
        claims[index].hasEnded = true
        ended += 1
        if claims[index].isAlone { alone -= 1 }
        var granted: [UInt64] = []
        let behind = claims[index].blocked
        claims[index].blocked = []
        for ticket in behind {
            guard let waiting = self.index(of: ticket) else { continue }
            claims[waiting].blockers -= 1
            if claims[waiting].blockers == 0 { granted.append(ticket) }
        }
        if ended > 32, ended > claims.count / 2 {
            claims.removeAll(where: \.hasEnded)
            ended = 0
        }
        return granted
    }

    /// Tickets only grow.
    private func index(of ticket: UInt64) -> Int? {
        var (low, high) = (0, claims.count)
        while low < high {
            let middle = (low + high) / 2
            if claims[middle].ticket < ticket { low = middle + 1 } else { high = middle }
        }
        return low < claims.count && claims[low].ticket == ticket ? low : nil
    }
}
