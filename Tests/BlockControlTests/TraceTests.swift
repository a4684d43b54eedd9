// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing

@Suite struct `The tally of a trace` {
    /// A record as it lies in a trace.
    private func record(action: UInt32, following: [UInt8] = []) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 48)
        bytes.replaceSubrange(0..<4, with: [0x07, 0x74, 0x61, 0x65])
        for index in 0..<4 { bytes[28 + index] = UInt8(truncatingIfNeeded: action >> UInt32(index * 8)) }
        bytes[46] = UInt8(following.count)
        return bytes + following
    }

    private var trace: [UInt8] {
        record(action: 1 << 26 | 1, following: Array(repeating: 1, count: 8))
            + record(action: 1 << 26, following: Array("fio".utf8) + Array(repeating: 0, count: 13))
            + record(action: 1 << 19 | 1) + record(action: 1 << 22 | 7)
            + record(action: 1 << 26 | 2, following: Array("platter: 17 records lost".utf8))
            + record(action: 15 | 1 << 19, following: Array(repeating: 2, count: 16))
            + record(action: 1 << 26 | 2, following: Array("a word of somebody's".utf8))
    }

    @Test(arguments: [1, 7, 47, 48, 49, 1000]) func `counts the same however the bytes are cut`(piece: Int) {
        var tally = TraceTally()
        var rest = trace[...]
        while !rest.isEmpty {
            let isTrace = tally.feed(Array(rest.prefix(piece)))
            #expect(isTrace)
            rest = rest.dropFirst(piece)
        }
        #expect(tally.records == 3 && tally.lost == 17 && tally.bytes == UInt64(trace.count))
    }

    @Test func `what is no trace is told`() {
        var tally = TraceTally()
        let (first, second) = (tally.feed(trace), tally.feed(Array(repeating: 0, count: 48)))
        #expect(first && !second)
    }

    @Test func `a query says what the command line said`() {
        var query = TraceQuery()
        query.categories = "issue,write"
        query.first = "8"
        let parameters = Dictionary(uniqueKeysWithValues: query.parameters)
        #expect(parameters == ["actions": "issue,write", "start": "8"])
        let again = TraceQuery { parameters[$0] }
        #expect(again.categories == "issue,write" && again.first == "8" && again.last == nil && again.process == nil)
    }
}
