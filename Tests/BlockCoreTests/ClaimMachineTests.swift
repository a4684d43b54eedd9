// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

private final class Ear: Sendable {}

/// Its argument, which may change what it is asked of.
private func yes(_ value: Bool) -> Bool { value }

@Suite("The table of claims") struct ClaimMachineTests {
    private typealias Claimant = ClaimTable.Claimant

    private static func claim(_ table: inout ClaimTable, _ partition: Int, _ who: ClaimTable.Claimant) -> Bool {
        guard case .prepared(let ticket) = table.prepare(partition, who) else { return false }
        return table.finish(ticket)
    }

    @Test("lets in and refuses as the matrix says, in every cell (T54)") func matrix() {
        let ears = (Ear(), Ear())
        let x = Claimant(holder: 1, delegate: ObjectIdentifier(ears.0))
        let xOther = Claimant(holder: 1, delegate: ObjectIdentifier(ears.1))
        let y = Claimant(holder: 2, delegate: nil)
        typealias Row = (there: (Int, Claimant)?, wanted: [ClaimTable.Conflict?])
        // Wanted by X: the whole, part 1, part 2.
        let rows: [Row] = [
            (nil, [nil, nil, nil]),
            ((0, x), [nil, .whole, .whole]),
            ((0, y), [.whole, .whole, .whole]),
            ((0, xOther), [.otherDelegate, .whole, .whole]),
            ((1, x), [.somePartition, nil, nil]),
            ((1, y), [.somePartition, .partition, nil]),
            ((1, xOther), [.somePartition, .otherDelegate, nil]),
        ]
        for row in rows {
            for (partition, expected) in row.wanted.enumerated() {
                var table = ClaimTable()
                if let (there, who) = row.there { #expect(Self.claim(&table, there, who)) }
                switch (table.prepare(partition, x), expected) {
                case (.prepared, nil): break
                case (.refused(let conflict), let wanted?): #expect(conflict == wanted)
                case (let answer, _): Issue.record("\(String(describing: row.there)) then \(partition): \(answer)")
                }
            }
        }
    }

    @Test("holds a device until the last claim of its holder has ended") func nesting() {
        let x = Claimant(holder: 1, delegate: nil)
        let y = Claimant(holder: 2, delegate: nil)
        for partition in [0, 1] {
            var table = ClaimTable()
            for _ in 0..<3 { #expect(Self.claim(&table, partition, x)) }
            for left in [2, 1, 0] {
                #expect(!Self.claim(&table, partition, y))
                table.end(partition, x)
                #expect(table.count == left)
            }
            #expect(
                table
                    == {
                        var fresh = table; return Self.claim(&fresh, partition, y) ? table : ClaimTable()
                    }())
            #expect(Self.claim(&table, 0, y), "nothing is left behind, the mark on the whole neither")
        }
    }

    @Test("has one slot for claims in progress, emptied by finish, abort and death, each once") func slot() {
        let x = Claimant(holder: 1, delegate: nil)
        let y = Claimant(holder: 2, delegate: nil)
        var table = ClaimTable()
        guard case .prepared(let first) = table.prepare(1, x) else {
            Issue.record("not prepared")
            return
        }
        #expect(
            table.prepare(2, y) == .wait && table.prepare(1, x) == .wait, "also for the same holder, also elsewhere")
        #expect(table.abort(first) && !table.abort(first) && !table.finish(first))
        guard case .prepared(let second) = table.prepare(2, y) else {
            Issue.record("not prepared again")
            return
        }
        #expect(second != first && !table.finish(first), "an old ticket is worth nothing")
        // A finished claim in the way is said at once, whoever has the slot.
        #expect(yes(table.finish(second)))
        guard case .prepared(let third) = table.prepare(1, x) else {
            Issue.record("not prepared a third time")
            return
        }
        #expect(table.prepare(2, x) == .refused(.partition))
        table.die()
        #expect(!table.isBusy && !table.finish(third) && !table.abort(third))
        #expect(table.prepare(1, x) == .dead)
        table.end(2, y)
        #expect(table.whole == .free, "claims end after the death, too")
    }

    @Test("never has two holders where the rule allows one, in any order of steps", arguments: seeds(1, 42))
    func model(seed: UInt64) {
        var dice = SeededGenerator(seed: seed)
        var table = ClaimTable()
        var claims: [(partition: Int, who: Claimant)] = []
        var inProgress: (ticket: UInt64, partition: Int, who: Claimant)?
        for _ in 0..<50_000 {
            let who = Claimant(holder: UInt64.random(in: 1...3, using: &dice), delegate: nil)
            let partition = Int.random(in: 0...2, using: &dice)
            switch Int.random(in: 0...4, using: &dice) {
            case 0, 1:
                let isAllowed = claims.allSatisfy {
                    $0.partition == partition ? $0.who == who : $0.partition != 0 && partition != 0
                }
                switch table.prepare(partition, who) {
                case .prepared(let ticket):
                    #expect(isAllowed && inProgress == nil)
                    inProgress = (ticket, partition, who)
                case .wait: #expect(isAllowed && inProgress != nil)
                case .refused: #expect(!isAllowed)
                case .dead: Issue.record("dead")
                }
            case 2:
                guard let (ticket, partition, who) = inProgress else { break }
                #expect(yes(table.finish(ticket)))
                claims.append((partition, who))
                inProgress = nil
            case 3:
                guard let (ticket, _, _) = inProgress else { break }
                #expect(yes(table.abort(ticket)))
                inProgress = nil
            default:
                guard !claims.isEmpty else { break }
                let (partition, who) = claims.remove(at: Int.random(in: 0..<claims.count, using: &dice))
                table.end(partition, who)
            }
            #expect(table.count == claims.count && table.isBusy == (inProgress != nil))
        }
    }
}

@Suite("Write access") struct WriteAccessTests {
    @Test("is refused as the table says, and not at all where it is allowed") func table() {
        let read: OpenMode = .read
        let write: OpenMode = .readWrite
        let hold: OpenMode = [.read, .restrictWrites]
        let holdToWrite: OpenMode = [.readWrite, .restrictWrites]
        let wanted = [read, write, hold, holdToWrite]
        let rows: [(there: [OpenMode], refused: [Bool])] = [
            ([], [false, false, false, false]),
            ([read], [false, false, false, false]),
            ([write], [false, false, true, true]),
            ([write, write], [false, false, true, true]),
            ([hold], [false, true, false, true]),
            ([hold, hold], [false, true, false, true]),
            ([holdToWrite], [false, true, false, true]),
        ]
        for row in rows {
            for isOn in [true, false] {
                var access = WriteAccess(isOn: isOn)
                for mode in row.there { access.take(mode, of: 1) }
                for (mode, refused) in zip(wanted, row.refused) {
                    #expect(access.refuses(mode, of: 1) == (isOn && refused), "\(row.there) then \(mode)")
                    #expect(!access.refuses(mode, of: 2), "each device for itself")
                }
                for mode in row.there { access.giveBack(mode, of: 1) }
                #expect(access == WriteAccess(isOn: isOn))
            }
        }
    }
}

@Suite("The stack") struct StackGraphTests {
    private typealias Link = StackGraph.Link

    @Test("counts links, and forgets a pair with its last") func counting() {
        var graph = StackGraph()
        let link = Link(upper: 1, lower: 2, partition: 0)
        #expect(graph.reserve(link) && graph.reserve(link))
        #expect(graph.count(link) == 0 && graph.lowers(of: 1).isEmpty, "what is only reserved is not shown")
        graph.make(link)
        #expect(graph.lowers(of: 1) == [link] && graph.uppers(of: 2) == [link])
        #expect(yes(!graph.cancel(link)))
        #expect(yes(graph.reserve(link)))
        graph.make(link)
        #expect(graph.count(link) == 2)
        #expect(yes(!graph.unlink(link)))
        #expect(graph.unlink(link) && graph.isEmpty)
        #expect(graph.reserve(link) && graph.cancel(link) && graph.isEmpty)
    }

    @Test("has no circles, of any length, reserved links included") func circles() {
        for length in 1...10 {
            var graph = StackGraph()
            for node in 1..<UInt64(length) {
                #expect(yes(graph.reserve(Link(upper: node + 1, lower: node, partition: 0))))
                if node.isMultiple(of: 2) { graph.make(Link(upper: node + 1, lower: node, partition: 0)) }
            }
            let closing = Link(upper: 1, lower: UInt64(length), partition: 1)
            #expect(yes(!graph.reserve(closing)))
            #expect(
                yes(graph.reserve(Link(upper: UInt64(length) + 1, lower: 1, partition: 0))), "two on one is no circle")
            #expect(yes(graph.reserve(Link(upper: UInt64(length) + 1, lower: UInt64(length), partition: 0))))
        }
    }
}
