// SPDX-License-Identifier: Apache-2.0

import BlockNBD
import BlockSystem
import Testing

/// A client that sends and expects bytes, one call after the other.
final class WireClient {
    var socket: Descriptor?
    private let room: IOBuffer

    init(_ server: TestServer) throws {
        socket = try Descriptor.connected(to: server.address)
        room = try IOBuffer(count: 1 << 20)
    }

    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            switch socket?.send(rest) {
            case .moved(let count): rest.removeFirst(count)
            case .wouldBlock: continue
            default: return
            }
        }
    }

    /// The next `count` bytes; fewer when the server closes.
    func receive(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let place = room.memory.slice(0, min(count - bytes.count, room.count))
            guard case .moved(let moved)? = socket?.read(into: place) else { break }
            bytes += place.slice(0, moved).array
        }
        return bytes
    }

    func expect(_ expected: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
        let got = receive(expected.count)
        #expect(got == expected, "\(hex(got)) is not \(hex(expected))", sourceLocation: sourceLocation)
    }

    /// Everything until the server closes.
    func rest() -> [UInt8] { receive(.max) }

    func close() { socket = nil }

    // MARK: The handshake, for tests that are about what comes after it

    func greet() {
        #expect(receive(18).count == 18)
        send(be32(3))
    }

    /// An option, and the type and data of its replies up to the final one.
    @discardableResult
    func option(_ code: UInt32, _ data: [UInt8] = []) -> [(type: UInt32, data: [UInt8])] {
        send(optionBytes(code, data))
        var replies: [(type: UInt32, data: [UInt8])] = []
        while true {
            let head = receive(20)
            guard head.count == 20 else { return replies }
            let type = read32(head, 12)
            let data = receive(Int(read32(head, 16)))
            replies.append((type, data))
            if type == 1 || type >= 0x8000_0000 { return replies }
        }
    }

    /// Greets, agrees on a framing and enters the transmission.
    func go(_ name: String = "pl0", _ framing: NBDFraming = .simple, context: Bool = false) {
        greet()
        switch framing {
        case .simple: break
        case .structured: option(8)
        case .extended: option(11)
        }
        if context { option(10, metaContext(name, ["base:allocation"])) }
        let replies = option(7, exportRequest(name))
        #expect(replies.last?.type == 1, "GO was answered \(replies)")
    }
}

func be16(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
func be32(_ value: UInt32) -> [UInt8] { be16(UInt16(value >> 16)) + be16(UInt16(value & 0xffff)) }
func be64(_ value: UInt64) -> [UInt8] { be32(UInt32(value >> 32)) + be32(UInt32(value & 0xffff_ffff)) }
func read32(_ bytes: [UInt8], _ at: Int) -> UInt32 { bytes[at..<(at + 4)].reduce(0) { $0 << 8 | UInt32($1) } }
func read64(_ bytes: [UInt8], _ at: Int) -> UInt64 { bytes[at..<(at + 8)].reduce(0) { $0 << 8 | UInt64($1) } }
func hex(_ bytes: [UInt8]) -> String {
    bytes.prefix(200).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}
func text(_ string: String) -> [UInt8] { [UInt8](string.utf8) }
func counted(_ string: String) -> [UInt8] { be32(UInt32(string.utf8.count)) + text(string) }

func optionBytes(_ code: UInt32, _ data: [UInt8]) -> [UInt8] {
    text("IHAVEOPT") + be32(code) + be32(UInt32(data.count)) + data
}
func exportRequest(_ name: String, _ infos: [UInt16] = []) -> [UInt8] {
    counted(name) + be16(UInt16(infos.count)) + infos.flatMap(be16)
}
func metaContext(_ name: String, _ queries: [String]) -> [UInt8] {
    counted(name) + be32(UInt32(queries.count)) + queries.flatMap(counted)
}
func optionReply(_ code: UInt32, _ type: UInt32, _ data: [UInt8] = []) -> [UInt8] {
    be64(0x0003_e889_0455_65a9) + be32(code) + be32(type) + be32(UInt32(data.count)) + data
}

/// A compact request.
func request(
    _ type: UInt16, flags: UInt16 = 0, cookie: UInt64 = 1, offset: UInt64 = 0, length: UInt32 = 0, _ data: [UInt8] = []
) -> [UInt8] {
    be32(0x2560_9513) + be16(flags) + be16(type) + be64(cookie) + be64(offset) + be32(length) + data
}

/// An extended request.
func extendedRequest(
    _ type: UInt16, flags: UInt16 = 0, cookie: UInt64 = 1, offset: UInt64 = 0, length: UInt64 = 0, _ data: [UInt8] = []
) -> [UInt8] {
    be32(0x21e4_1c71) + be16(flags) + be16(type) + be64(cookie) + be64(offset) + be64(length) + data
}
func simpleReply(_ error: UInt32 = 0, cookie: UInt64 = 1, _ data: [UInt8] = []) -> [UInt8] {
    be32(0x6744_6698) + be32(error) + be64(cookie) + data
}
func chunk(_ type: UInt16, done: Bool = true, cookie: UInt64 = 1, _ data: [UInt8] = []) -> [UInt8] {
    be32(0x668e_33ef) + be16(done ? 1 : 0) + be16(type) + be64(cookie) + be32(UInt32(data.count)) + data
}
func extendedChunk(_ type: UInt16, done: Bool = true, cookie: UInt64 = 1, offset: UInt64, _ data: [UInt8] = [])
    -> [UInt8]
{
    be32(0x6e8a_278c) + be16(done ? 1 : 0) + be16(type) + be64(cookie) + be64(offset) + be64(UInt64(data.count)) + data
}
