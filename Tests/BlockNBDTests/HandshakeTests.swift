// SPDX-License-Identifier: Apache-2.0

import BlockNBD
import Testing

/// Drives the machine with answers that are known beforehand.
private struct Bench {
    var machine = NBDHandshake()
    var facts = NBDExportFacts(
        name: "pl0", description: "a disk", size: 1 << 20, abilities: [.hasFlags, .sendFlush], blockSizeMin: 512,
        blockSizePreferred: 4096)
    var refusal: NBDRefusal?
    var lookups: [NBDLookup] = []

    init(greeted: Bool = true, flags: UInt32 = 3) {
        machine.output = []
        if greeted { _ = feed(be32(flags)) }
    }

    /// Feeds bytes, answers lookups, and returns the last step with everything that was put out.
    mutating func feed(_ bytes: [UInt8]) -> (step: NBDHandshakeStep, output: [UInt8]) {
        var input = bytes[...]
        var step = machine.receive(&input)
        while case .lookUp(let lookup) = step {
            lookups.append(lookup)
            step = machine.answer(answer(lookup))
            if step == .more, !input.isEmpty { step = machine.receive(&input) }
        }
        defer { machine.output = [] }
        return (step, machine.output)
    }

    private func answer(_ lookup: NBDLookup) -> NBDLookupAnswer {
        if let refusal { return .refused(refusal) }
        switch lookup {
        case .list: return .names(["pl0", "pl0p1"])
        case .describe("pl0"), .open("pl0"), .describe(""), .open(""): return .facts(facts)
        case .describe(let name), .open(let name): return .refused(.unknown(name))
        }
    }
}

private let ack: UInt32 = 1
private let unsupported: UInt32 = 0x8000_0001
private let invalid: UInt32 = 0x8000_0003
private let unknown: UInt32 = 0x8000_0006
private let tooBig: UInt32 = 0x8000_0009
private let extendedRequired: UInt32 = 0x8000_000a

/// The type of the first reply in what was put out.
private func type(_ output: [UInt8]) -> UInt32? { output.count >= 20 ? read32(output, 12) : nil }

@Suite struct `A handshake` {
    @Test func `begins with the greeting of fixed newstyle`() {
        #expect(NBDHandshake().output == text("NBDMAGIC") + text("IHAVEOPT") + [0, 3])
    }

    @Test func `closes on client flags that it does not know`() {
        var bench = Bench(greeted: false)
        #expect(bench.feed(be32(7)).step == .close("unknown client flags"))
    }

    @Test func `takes a client of plain newstyle, who knows one option`() {
        var bench = Bench(flags: 0)
        let (step, output) = bench.feed(optionBytes(1, text("pl0")))
        #expect(step == .enter(NBDAgreement()))
        #expect(output == be64(1 << 20) + be16(5) + [UInt8](repeating: 0, count: 124))
        var other = Bench(flags: 0)
        #expect(other.feed(optionBytes(3, [])).step == .close("an option of fixed newstyle"))
    }

    @Test func `sends no zeroes to a client that wants none`() {
        var bench = Bench()
        #expect(bench.feed(optionBytes(1, text("pl0"))).output == be64(1 << 20) + be16(5))
    }

    @Test func `closes on an export name that there is not`() {
        var bench = Bench()
        #expect(bench.feed(optionBytes(1, text("nope"))).step == .close("no export named 'nope'"))
    }

    @Test func `closes on bad magic`() {
        var bench = Bench()
        #expect(bench.feed([UInt8](repeating: 7, count: 16)).step == .close("bad magic of an option"))
    }

    @Test func `acknowledges an abort, then closes`() {
        var bench = Bench()
        let (step, output) = bench.feed(optionBytes(2, []))
        #expect(output == optionReply(2, ack))
        #expect(step == .close("the client aborted the handshake"))
    }

    @Test func `lists every name`() {
        var bench = Bench()
        let expected = optionReply(3, 2, counted("pl0")) + optionReply(3, 2, counted("pl0p1")) + optionReply(3, ack)
        #expect(bench.feed(optionBytes(3, [])).output == expected)
        #expect(type(bench.feed(optionBytes(3, [0])).output) == invalid)
    }

    @Test func `refuses TLS and goes on`() {
        var bench = Bench()
        #expect(type(bench.feed(optionBytes(5, [])).output) == unsupported)
        #expect(type(bench.feed(optionBytes(3, [])).output) == 2)
    }

    @Test(arguments: [4, 12, 99, UInt32.max])
    func `does not know other options`(code: UInt32) {
        var bench = Bench()
        let (step, output) = bench.feed(optionBytes(code, [1, 2, 3]))
        #expect(type(output) == unsupported)
        #expect(step == .more)
    }

    @Test func `tells what was asked for, and with INFO stays where it is`() {
        var bench = Bench()
        let (step, output) = bench.feed(optionBytes(6, exportRequest("pl0", [1, 2, 3])))
        let expected =
            optionReply(6, 3, be16(0) + be64(1 << 20) + be16(5)) + optionReply(6, 3, be16(1) + text("pl0"))
            + optionReply(6, 3, be16(2) + text("a disk"))
            + optionReply(6, 3, be16(3) + be32(512) + be32(4096) + be32(32 << 20)) + optionReply(6, ack)
        #expect(output == expected)
        #expect(step == .more)
        #expect(bench.lookups == [.describe("pl0")])
    }

    @Test func `enters the transmission with GO`() {
        var bench = Bench()
        let (step, output) = bench.feed(optionBytes(7, exportRequest("")))
        #expect(output == optionReply(7, 3, be16(0) + be64(1 << 20) + be16(5)) + optionReply(7, ack))
        #expect(step == .enter(NBDAgreement()))
        #expect(bench.lookups == [.open("")])
    }

    @Test func `tells the block size unasked where a sector is not 512 bytes`() {
        var bench = Bench()
        bench.facts.blockSizeMin = 4096
        let output = bench.feed(optionBytes(7, exportRequest("pl0"))).output
        #expect(output.count == 20 + 12 + 20 + 14 + 20)
    }

    @Test func `refuses an unknown export, with INFO and GO, and goes on`() {
        var bench = Bench()
        #expect(type(bench.feed(optionBytes(6, exportRequest("nope"))).output) == unknown)
        #expect(type(bench.feed(optionBytes(7, exportRequest("nope"))).output) == unknown)
        #expect(bench.feed(optionBytes(7, exportRequest("pl0"))).step == .enter(NBDAgreement()))
    }

    @Test(arguments: [
        [], be32(3) + text("pl0"), be32(4) + text("pl0") + be16(0), be32(3) + text("pl0") + be16(1),
        be32(3) + text("pl0") + be16(0) + [9], be32(.max) + text("pl0") + be16(0), be32(2) + [0xff, 0xfe] + be16(0),
        be32(2) + [65, 0] + be16(0), be32(5000) + [UInt8](repeating: 65, count: 5000) + be16(0),
    ])
    func `refuses malformed data of INFO and GO`(data: [UInt8]) {
        var bench = Bench()
        #expect(type(bench.feed(optionBytes(6, data)).output) == invalid)
        #expect(type(bench.feed(optionBytes(7, data)).output) == invalid)
        #expect(bench.lookups.isEmpty)
    }

    @Test func `agrees on structured replies, and announces that reads may be kept whole`() {
        var bench = Bench()
        #expect(bench.feed(optionBytes(8, [])).output == optionReply(8, ack))
        #expect(type(bench.feed(optionBytes(8, [1])).output) == invalid)
        let (step, output) = bench.feed(optionBytes(7, exportRequest("pl0")))
        #expect(output.prefix(32) == (optionReply(7, 3, be16(0) + be64(1 << 20) + be16(5 | 128)))[...])
        #expect(step == .enter(NBDAgreement(framing: .structured)))
    }

    @Test func `prefers extended headers to structured replies, in either order`() {
        var bench = Bench()
        #expect(bench.feed(optionBytes(8, [])).output == optionReply(8, ack))
        #expect(bench.feed(optionBytes(11, [])).output == optionReply(11, ack))
        #expect(type(bench.feed(optionBytes(11, [1])).output) == invalid)
        #expect(type(bench.feed(optionBytes(8, [])).output) == extendedRequired)
        #expect(bench.feed(optionBytes(7, exportRequest("pl0"))).step == .enter(NBDAgreement(framing: .extended)))
    }

    @Test func `closes on EXPORT_NAME after extended headers`() {
        var bench = Bench()
        _ = bench.feed(optionBytes(11, []))
        #expect(bench.feed(optionBytes(1, text("pl0"))).step == .close("EXPORT_NAME after extended headers"))
    }

    @Test func `wants structured replies before metadata contexts`() {
        var bench = Bench()
        for option: UInt32 in [9, 10] {
            #expect(type(bench.feed(optionBytes(option, metaContext("pl0", []))).output) == invalid)
        }
    }

    @Test(arguments: [[], ["base:"], ["base:allocation"], ["other:", "base:allocation"]])
    func `lists the allocation context`(queries: [String]) {
        var bench = Bench()
        _ = bench.feed(optionBytes(8, []))
        let output = bench.feed(optionBytes(9, metaContext("pl0", queries))).output
        #expect(output == optionReply(9, 4, be32(0) + text("base:allocation")) + optionReply(9, ack))
    }

    @Test func `selects the allocation context by its full name only`() {
        var bench = Bench()
        _ = bench.feed(optionBytes(8, []))
        for query in ["base:", "base", "other:x", "base:allocation2"] {
            #expect(bench.feed(optionBytes(10, metaContext("pl0", [query]))).output == optionReply(10, ack))
        }
        let output = bench.feed(optionBytes(10, metaContext("pl0", ["x:y", "base:allocation"]))).output
        #expect(output == optionReply(10, 4, be32(1) + text("base:allocation")) + optionReply(10, ack))
        let step = bench.feed(optionBytes(7, exportRequest("pl0"))).step
        #expect(step == .enter(NBDAgreement(framing: .structured, hasAllocationContext: true)))
    }

    @Test func `forgets a context when the next selection fails, or the export is another`() {
        let select = optionBytes(10, metaContext("pl0", ["base:allocation"]))
        var failing = Bench()
        _ = failing.feed(optionBytes(8, []) + select + optionBytes(10, metaContext("nope", ["base:allocation"])))
        #expect(
            failing.feed(optionBytes(7, exportRequest("pl0"))).step == .enter(NBDAgreement(framing: .structured)))
        var malformed = Bench()
        _ = malformed.feed(optionBytes(8, []) + select + optionBytes(10, [1]))
        #expect(
            malformed.feed(optionBytes(7, exportRequest("pl0"))).step == .enter(NBDAgreement(framing: .structured)))
        var other = Bench()
        _ = other.feed(optionBytes(8, []) + select)
        #expect(other.feed(optionBytes(7, exportRequest(""))).step == .enter(NBDAgreement(framing: .structured)))
    }

    @Test(arguments: [
        [], be32(3) + text("pl0"), be32(3) + text("pl0") + be32(1), be32(3) + text("pl0") + be32(.max),
        metaContext("pl0", ["base:allocation"]) + [0], be32(3) + text("pl0") + be32(1) + be32(9) + text("short"),
    ])
    func `refuses malformed data of metadata contexts`(data: [UInt8]) {
        var bench = Bench()
        _ = bench.feed(optionBytes(8, []))
        #expect(type(bench.feed(optionBytes(9, data)).output) == invalid)
        #expect(type(bench.feed(optionBytes(10, data)).output) == invalid)
    }

    @Test func `skips data that is too long, and answers when it is through`() {
        var bench = Bench()
        let data = [UInt8](repeating: 1, count: 70_000)
        #expect(bench.feed(text("IHAVEOPT") + be32(7) + be32(70_000)).output.isEmpty)
        #expect(bench.feed(Array(data.prefix(69_999))).output.isEmpty)
        #expect(type(bench.feed([1]).output) == tooBig)
        #expect(bench.feed(optionBytes(7, exportRequest("pl0"))).step == .enter(NBDAgreement()))
    }

    @Test func `closes on an export name that is too long`() {
        var bench = Bench()
        #expect(bench.feed(text("IHAVEOPT") + be32(1) + be32(4097)).step == .close("an export name that is too long"))
    }

    @Test func `passes on why an export is not to be had`() {
        var bench = Bench()
        bench.refusal = NBDRefusal(reply: .policy, reason: "busy")
        #expect(bench.feed(optionBytes(7, exportRequest("pl0"))).output == optionReply(7, 0x8000_0002, text("busy")))
        #expect(bench.feed(optionBytes(3, [])).output == optionReply(3, 0x8000_0002, text("busy")))
    }

    @Test func `comes out the same however the bytes are cut`() {
        let conversation =
            be32(3) + optionBytes(8, []) + optionBytes(3, []) + optionBytes(99, [1, 2])
            + optionBytes(10, metaContext("pl0", ["base:allocation"]))
            + optionBytes(6, exportRequest("pl0", [1, 2, 3]))
            + optionBytes(7, exportRequest("pl0", [3]))
        var whole = Bench(greeted: false)
        let expected = whole.feed(conversation)
        for size in [1, 2, 3, 5, 7, 16, 17, 64] {
            var cut = Bench(greeted: false)
            var output: [UInt8] = []
            var step = NBDHandshakeStep.more
            for start in stride(from: 0, to: conversation.count, by: size) {
                let result = cut.feed(Array(conversation[start..<min(start + size, conversation.count)]))
                output += result.output
                step = result.step
            }
            #expect(output == expected.output)
            #expect(step == expected.step)
        }
    }

    @Test func `leaves bytes behind its end alone`() {
        var bench = Bench()
        var input = (optionBytes(7, exportRequest("pl0")) + request(3))[...]
        #expect(bench.machine.receive(&input) == .lookUp(.open("pl0")))
        #expect(Array(input) == request(3))
    }

    @Test func `survives any bytes`() {
        for seed in UInt64(1)...300 {
            var random = Seeded(seed)
            var bench = Bench()
            for _ in 0..<20 {
                var bytes = optionBytes(UInt32.random(in: 0...13, using: &random), [])
                let length = Int.random(in: 0...40, using: &random)
                let data = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
                if Bool.random(using: &random) { bytes = optionBytes(UInt32.random(in: 0...13, using: &random), data) }
                if Int.random(in: 0..<8, using: &random) == 0 {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
                }
                let step = bench.feed(bytes).step
                guard step == .more else { break }
            }
        }
    }
}

/// A generator whose numbers follow from its seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
