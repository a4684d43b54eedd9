// SPDX-License-Identifier: Apache-2.0

import BlockSystem

/// What went wrong between the client and a server.
struct NBDFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// One kind of load: the same request again and again, at places without a pattern.
struct NBDLoad: Sendable {
    var isWrite = false
    var bytes = 4096
    var depth = 32
    /// One place after the other instead.
    var isSequential = false
    /// Sends the next batch only when all of the last is answered, so that every batch is a whole one.
    var isLockstep = false
}

/// The client's end of a connection: requests go out in one send, answers come in as the socket has them.
///
/// It keeps `depth` requests in flight: as many as were answered are sent again, together.
final class NBDConnection: @unchecked Sendable {
    // SAFETY: used by one thread at a time.
    /// Bytes of the export.
    private(set) var size: UInt64 = 0
    private let socket: Descriptor
    private let input: IOBuffer
    private var sent: UInt64 = 0

    /// Connects, and agrees on the export with simple replies.
    init(path: String, export: String) throws {
        do throws(SystemError) {
            socket = try Descriptor.connected(to: .unix(path: path))
            input = try IOBuffer(count: 1 << 20)
        } catch {
            throw NBDFailure("\(path): \(error)")
        }
        try negotiate(export)
    }

    // MARK: The handshake

    private func negotiate(_ export: String) throws {
        let hello = try receive(18)
        guard hello.loadBigEndian(at: 8, as: UInt64.self) == 0x4948_4156_454f_5054 else {
            throw NBDFailure("not a newstyle server")
        }
        let name = Array(export.utf8)
        var bytes: [UInt8] = big(UInt32(3))  // fixed newstyle, no zeroes
        bytes += big(UInt64(0x4948_4156_454f_5054)) + big(UInt32(7)) + big(UInt32(name.count + 6))
        bytes += big(UInt32(name.count)) + name + big(UInt16(0))
        try send(bytes)
        while true {
            let head = try receive(20)
            let kind = head.loadBigEndian(at: 12, as: UInt32.self)
            let length = Int(head.loadBigEndian(at: 16, as: UInt32.self))
            if kind == 1 { return }
            guard kind < 1 << 31 else { throw NBDFailure("the server has no export '\(export)'") }
            guard length > 0 else { continue }
            let data = try receive(length)
            if kind == 3, length >= 12, data.loadBigEndian(at: 0, as: UInt16.self) == 0 {
                size = data.loadBigEndian(at: 2, as: UInt64.self)
            }
        }
    }

    private func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        stride(from: T.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> T($0)) }
    }

    /// Exactly `count` bytes, at the start of the input buffer.
    private func receive(_ count: Int) throws -> IOMemory {
        var done = 0
        while done < count { done += try moved(socket.read(into: input.memory.slice(done, count - done))) }
        return input.memory.slice(0, count)
    }

    private func send(_ bytes: [UInt8]) throws {
        let buffer = try IOBuffer(count: bytes.count)
        for (offset, byte) in bytes.enumerated() { buffer.memory.storeBigEndian(byte, at: offset) }
        try send(buffer.memory.slice(0, bytes.count))
    }

    private func send(_ memory: IOMemory) throws {
        var done = 0
        while done < memory.count { done += try moved(socket.send(memory.slice(done, memory.count - done))) }
    }

    private func moved(_ transfer: Transfer) throws -> Int {
        switch transfer {
        case .moved(let count): return count
        case .wouldBlock: return 0
        case .ended: throw NBDFailure("the server closed the connection")
        case .failed(let error): throw NBDFailure("\(error)")
        }
    }

    // MARK: Load

    private static let headerBytes = 28
    private static let replyBytes = 16

    /// Keeps the load up until `limit` requests are answered, or `isOver` says so; then waits for what is in flight.
    ///
    /// - Parameter answered: hears of each batch of answers.
    func run(_ load: NBDLoad, limit: Int, isOver: () -> Bool, answered: (Int) -> Void) throws {
        let frame = Self.headerBytes + (load.isWrite ? load.bytes : 0)
        let output = try IOBuffer(count: frame * load.depth)
        for index in 0..<load.depth { prepare(output.memory.slice(index * frame, frame), load) }
        var places = NBDPlaces(count: size / UInt64(load.bytes), isSequential: load.isSequential)
        var reader = NBDReplyReader(payload: load.isWrite ? 0 : load.bytes)
        var inFlight = 0
        var left = limit
        while true {
            let waits = load.isLockstep && inFlight > 0
            let count = waits || isOver() ? 0 : min(load.depth - inFlight, left)
            if count > 0 {
                for index in 0..<count {
                    let header = output.memory.slice(index * frame, Self.headerBytes)
                    header.storeBigEndian(sent &+ UInt64(index), at: 8)
                    header.storeBigEndian(places.next() * UInt64(load.bytes), at: 16)
                }
                try send(output.memory.slice(0, count * frame))
                sent += UInt64(count)
                inFlight += count
                left -= count
            }
            if inFlight == 0 { return }
            let room = input.memory.slice(reader.kept, input.count - reader.kept)
            let taken = try moved(socket.read(into: room))
            let done = try reader.take(input.memory.slice(0, reader.kept + taken))
            inFlight -= done
            if done > 0 { answered(done) }
        }
    }

    private func prepare(_ memory: IOMemory, _ load: NBDLoad) {
        memory.storeBigEndian(UInt32(0x2560_9513), at: 0)
        memory.storeBigEndian(UInt32(load.isWrite ? 1 : 0), at: 4)
        memory.storeBigEndian(UInt32(load.bytes), at: 24)
        var value: UInt64 = 0x0123_4567_89ab_cdef
        for offset in stride(from: Self.headerBytes, to: memory.count, by: 8) {
            memory.storeBigEndian(value, at: offset)
            value = value &* 6_364_136_223_846_793_005 &+ 1
        }
    }

    /// Says goodbye.
    func disconnect() {
        try? send(big(UInt32(0x2560_9513)) + big(UInt32(2)) + big(UInt64(0)) + big(UInt64(0)) + big(UInt32(0)))
    }
}

/// Finds the answers in what the socket gives, wherever it cuts them.
struct NBDReplyReader {
    private let payload: Int
    /// Bytes of the payload that are still to come.
    private var owed = 0
    /// Bytes of a cut header, which stand at the start of the memory.
    private(set) var kept = 0

    init(payload: Int) { self.payload = payload }

    /// Returns how many answers ended in `memory`.
    mutating func take(_ memory: IOMemory) throws -> Int {
        var done = 0
        var at = 0
        while true {
            if owed > 0 {
                let here = min(owed, memory.count - at)
                at += here
                owed -= here
                if owed > 0 { break }
                done += 1
            }
            guard memory.count - at >= 16 else { break }
            guard memory.loadBigEndian(at: at, as: UInt32.self) == 0x6744_6698 else { throw NBDFailure("not a reply") }
            let error = memory.loadBigEndian(at: at + 4, as: UInt32.self)
            guard error == 0 else { throw NBDFailure("a request failed with error \(error)") }
            at += 16
            owed = payload
            if payload == 0 { done += 1 }
        }
        kept = memory.count - at
        if kept > 0, at > 0 { memory.slice(0, kept).copy(from: memory.slice(at, kept)) }
        return done
    }
}

/// Where the requests go.
struct NBDPlaces {
    private let count: UInt64
    private let isSequential: Bool
    private var at: UInt64 = 0
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    init(count: UInt64, isSequential: Bool) {
        self.count = max(count, 1)
        self.isSequential = isSequential
    }

    mutating func next() -> UInt64 {
        if isSequential {
            defer { at = at &+ 1 == count ? 0 : at &+ 1 }
            return at
        }
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (state >> 11) % count
    }
}
