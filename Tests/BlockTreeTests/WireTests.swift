// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

@testable import BlockTree

/// Numbers from a seed, the same on every machine.
private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return (state ^ (state >> 29)) &* 0x9e37_79b9_7f4a_7c15
    }
}

@Suite struct `A FUSE request` {
    private func decode(_ bytes: [UInt8]) throws -> FuseRequest? {
        let buffer = try IOBuffer(count: max(bytes.count, 1))
        buffer.memory.store(bytes[...], at: 0)
        return FuseRequest(buffer.memory.slice(0, bytes.count))
    }

    private func request(_ opcode: UInt32, _ body: [UInt8], length: UInt32? = nil) -> [UInt8] {
        FakeKernel.words(length ?? UInt32(40 + body.count), opcode) + FakeKernel.bytes(UInt64(8))
            + FakeKernel.bytes(UInt64(1)) + FakeKernel.words(1000, 100, 42, 0) + body
    }

    @Test func `says who asks, and for what`() throws {
        let request = try #require(try decode(request(1, Array("pl0".utf8) + [0])))
        #expect(request.unique == 8)
        #expect(request.node == 1)
        #expect((request.user, request.group, request.process) == (1000, 100, 42))
        #expect(request.call == .lookup("pl0"))
    }

    @Test func `of a wrong length is nobody's`() throws {
        #expect(try decode([]) == nil)
        #expect(try decode([UInt8](repeating: 0, count: 39)) == nil)
        #expect(try decode(request(3, [], length: 41)) == nil)
    }

    @Test func `that is too short for what it asks is refused`() throws {
        for opcode: UInt32 in [2, 4, 14, 15, 16, 18, 20, 26, 28, 36, 42, 43, 44, 46] {
            #expect(try decode(request(opcode, [1]))?.call == .refused(FuseErrno.invalid), "\(opcode)")
        }
    }

    @Test func `names only what can be a name`() throws {
        for bytes in [[0], [0x2f, 0], Array("a/b".utf8) + [0], [0xff, 0xfe, 0], [UInt8](repeating: 65, count: 300)] {
            #expect(try decode(request(1, bytes + (bytes.count < 2 ? [0] : [])))?.call == .refused(FuseErrno.noEntry))
        }
    }

    @Test func `forgets at most what it lists`() throws {
        let one = FakeKernel.bytes(UInt64(7)) + FakeKernel.bytes(UInt64(3))
        let call = try decode(request(42, FakeKernel.words(1_000_000, 0) + one))?.call
        #expect(call == .forget([FuseRequest.Forgotten(node: 7, count: 3)]))
    }

    @Test func `writes exactly what it carries`() throws {
        let head = FakeKernel.bytes(UInt64(5)) + FakeKernel.bytes(UInt64(512))
        let body = head + FakeKernel.words(3, 0, 0, 0, 1, 0) + [1, 2, 3]
        let transfer = FuseRequest.Transfer(handle: 5, offset: 512, count: 3, flags: 1)
        #expect(try decode(request(16, body))?.call == .write(transfer, data: 80))
        #expect(try decode(request(16, body + [4]))?.call == .refused(FuseErrno.invalid))
        #expect(try decode(request(16, body.dropLast()))?.call == .refused(FuseErrno.invalid))
    }

    @Test func `of any bytes at all is taken apart within them`() throws {
        var numbers = Numbers(state: 20_260_601)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...160, using: &numbers)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) }
            // Most with a head that is believed, or nothing behind it would ever be looked at.
            if count >= 40, Bool.random(using: &numbers) {
                bytes.replaceSubrange(0..<4, with: FakeKernel.bytes(UInt32(count)))
                bytes.replaceSubrange(4..<8, with: FakeKernel.bytes(UInt32.random(in: 0...55, using: &numbers)))
            }
            guard let request = try decode(bytes) else { continue }
            switch request.call {
            case .write(let transfer, let data): #expect(data + transfer.count == count)
            case .read(let transfer), .readDirectory(let transfer, _): #expect(transfer.count <= FuseWire.ioMax)
            case .forget(let list): #expect(list.count <= count)
            default: break
            }
        }
    }
}

@Suite struct `The table of nodes` {
    @Test func `gives a file one number until it is forgotten as often as it was looked up`() {
        var table = NodeTable()
        let first = table.lookUp(.folder("dev"))
        #expect(first != FuseWire.root)
        #expect(table.lookUp(.folder("dev")) == first)
        table.forget(first, 1)
        #expect(table.node(first) == .folder("dev"))
        table.forget(first, 1)
        #expect(table.node(first) == nil)
        #expect(table.count == 1)
    }

    @Test func `uses no number again`() {
        var table = NodeTable()
        let first = table.lookUp(.folder("dev"))
        table.forget(first, 1)
        #expect(table.lookUp(.folder("dev")) != first)
    }

    @Test func `keeps the root whatever is forgotten, and minds no lie`() {
        var table = NodeTable()
        table.forget(FuseWire.root, .max)
        table.forget(99, 1)
        let number = table.lookUp(.folder("dev"))
        table.forget(number, .max)
        #expect(table.node(number) == nil)
        #expect(table.node(FuseWire.root) == .folder(""))
    }
}

@Suite struct `The line of writes to a disk` {
    private func range(_ start: UInt64, _ count: UInt64) -> SectorRange { SectorRange(start: start, count: count) }

    @Test func `lets whole blocks share, and a part be alone in its blocks`() {
        var line = WriteLine()
        let first = line.begin(range(0, 8), isAlone: false)
        #expect(first.isGranted)
        #expect(line.begin(range(0, 8), isAlone: false).isGranted)
        let part = line.begin(range(4, 1), isAlone: true)
        #expect(!part.isGranted)
        #expect(line.begin(range(9, 1), isAlone: true).isGranted)
        #expect(line.end(first.ticket).isEmpty)
        #expect(line.end(first.ticket + 1) == [part.ticket])
    }

    @Test func `is not jumped`() {
        var line = WriteLine()
        let first = line.begin(range(0, 8), isAlone: false)
        let part = line.begin(range(4, 1), isAlone: true)
        let later = line.begin(range(0, 8), isAlone: false)
        #expect(!later.isGranted)
        #expect(line.end(first.ticket) == [part.ticket])
        #expect(line.end(part.ticket) == [later.ticket])
        #expect(line.end(later.ticket).isEmpty)
        #expect(line.isEmpty)
    }

    /// The rule in its plainest words: in the way is whoever came before, has not ended, and may not share.
    @Test(arguments: seeds(1, 2, 3)) func `is what its rule says, whatever comes`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<40 {
            var line = WriteLine()
            var plain: [(ticket: UInt64, range: SectorRange, isAlone: Bool, isGranted: Bool)] = []
            func isBlocked(_ index: Int) -> Bool {
                let one = plain[index]
                return plain[..<index].contains { other in
                    (one.isAlone || other.isAlone) && one.range.start < other.range.start + other.range.count
                        && other.range.start < one.range.start + one.range.count
                }
            }
            for _ in 0..<200 {
                if generator.roll(5) < 3 || !plain.contains(where: \.isGranted) {
                    let place = range(UInt64(generator.roll(24)), UInt64(generator.roll(8) + 1))
                    let isAlone = generator.roll(3) > 0
                    let (ticket, isGranted) = line.begin(place, isAlone: isAlone)
                    plain.append((ticket, place, isAlone, isGranted))
                    #expect(isGranted == !isBlocked(plain.count - 1))
                } else {
                    let granted = plain.indices.filter { plain[$0].isGranted }
                    let ends = plain.remove(at: granted[generator.roll(granted.count)])
                    let next = plain.indices.filter { !plain[$0].isGranted && !isBlocked($0) }
                    #expect(line.end(ends.ticket) == next.map { plain[$0].ticket })
                    for index in next { plain[index].isGranted = true }
                }
            }
            while let index = plain.firstIndex(where: \.isGranted) {
                let going = line.end(plain.remove(at: index).ticket)
                for index in plain.indices where going.contains(plain[index].ticket) { plain[index].isGranted = true }
            }
            #expect(plain.isEmpty && line.isEmpty)
        }
    }
}
