// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Synchronization

/// Many requests in flight on many connections; every reply is counted once and every byte that is read is checked.
///
/// Each place in a connection's pipeline has a block of its own, which it writes and reads back in turn, so that what
/// must come back is known whatever the order of the answers.
final class PipelineClient: @unchecked Sendable {
    // SAFETY: each connection's state belongs to its two threads, and what they share is locked or atomic.

    static let blockSize = 4096

    /// What was seen, over all connections.
    struct Report: Equatable, Sendable {
        var replies = 0
        var errors = 0
        /// Data that was not what had been written.
        var mismatches = 0
        /// Replies to something that was not asked, or asked and answered already.
        var strangers = 0
        /// Requests without a reply when the connection ended.
        var unanswered = 0
    }

    private let pipelines: [Pipeline]
    private var threads: [WorkerThread] = []

    /// Connects and enters the transmission; nothing is asked yet.
    init(_ address: SocketAddress, name: String = "pl0", connections: Int = 4, depth: Int = 128) throws {
        pipelines = try (0..<connections).map { index in
            try Pipeline(address, name, firstBlock: index * depth, depth: depth)
        }
    }

    /// Sectors that a disk must have.
    static func sectors(connections: Int = 4, depth: Int = 128) -> UInt64 {
        UInt64(connections * depth * blockSize / 512)
    }

    /// Begins. Goes on until ``finish()`` or until a request fails.
    func start() throws {
        for pipeline in pipelines {
            threads.append(try WorkerThread.start(name: "test-send") { pipeline.sendAll() })
            threads.append(try WorkerThread.start(name: "test-receive") { pipeline.receiveAll() })
        }
    }

    /// Replies so far.
    var replies: Int { pipelines.reduce(0) { $0 + $1.report.withLock { $0.replies } } }

    /// Errors among them.
    var errors: Int { pipelines.reduce(0) { $0 + $1.report.withLock { $0.errors } } }

    /// Asks nothing more, waits for what is in flight, and says what was seen.
    func finish() -> Report {
        for pipeline in pipelines { pipeline.end() }
        for thread in threads { thread.join() }
        var total = Report()
        for pipeline in pipelines {
            let report = pipeline.report.withLock { $0 }
            total.replies += report.replies
            total.errors += report.errors
            total.mismatches += report.mismatches
            total.strangers += report.strangers
            total.unanswered += report.unanswered
        }
        return total
    }
}

private final class Pipeline: @unchecked Sendable {
    // SAFETY: as its client's.

    private enum Ask { case write, read }
    private struct Place {
        var isOut = false
        var ask = Ask.write
        var version: UInt8 = 0
    }
    private struct Shared {
        var free: [Int]
        var places: [Place]
        var isEnding = false
    }

    let report = Lock(PipelineClient.Report())
    private let shared: Lock<Shared>
    private let bell = Parker()
    private let socket: Descriptor
    private let firstBlock: Int
    private let depth: Int
    private let outgoing: IOBuffer
    private let incoming: IOBuffer

    init(_ address: SocketAddress, _ name: String, firstBlock: Int, depth: Int) throws {
        socket = try Descriptor.connected(to: address)
        self.firstBlock = firstBlock
        self.depth = depth
        outgoing = try IOBuffer(count: 28 + PipelineClient.blockSize)
        incoming = try IOBuffer(count: 256 << 10)
        shared = Lock(Shared(free: Array(0..<depth), places: Array(repeating: Place(), count: depth)))
        _ = receive(18)
        send(be32(3) + optionBytes(7, exportRequest(name)))
        // One information reply and the acknowledgement.
        guard receive(32)?.isEmpty == false, let last = receive(20), read32(last, 12) == 1 else {
            throw SystemError(errno: 111)
        }
    }

    func end() {
        shared.withLock { $0.isEnding = true }
        bell.raise()
    }

    // MARK: Sending

    func sendAll() {
        while true {
            bell.wait()
            bell.lower()
            while let (index, place) = next() { send(index, place) }
            if shared.withLock({ $0.isEnding }) { break }
        }
        // Nothing was under way: the other thread waits for a reply that will not come, until the server hangs up.
        let isIdle = shared.withLock { shared in !shared.places.contains { $0.isOut } }
        if isIdle { socket.finishSending() }
    }

    private func next() -> (Int, Place)? {
        shared.withLock { shared in
            guard !shared.isEnding, let index = shared.free.popLast() else { return nil }
            var place = shared.places[index]
            place.isOut = true
            place.ask = place.ask == .write ? .read : .write
            // The first ask of a place must be a write: there is nothing to compare with before.
            if place.version == 0 { place.ask = .write }
            if place.ask == .write { place.version = place.version == 255 ? 1 : place.version + 1 }
            shared.places[index] = place
            return (index, place)
        }
    }

    private func send(_ index: Int, _ place: Place) {
        let memory = outgoing.memory
        memory.storeBigEndian(UInt32(0x2560_9513), at: 0)
        memory.storeBigEndian(UInt16(0), at: 4)
        memory.storeBigEndian(UInt16(place.ask == .write ? 1 : 0), at: 6)
        memory.storeBigEndian(UInt64(index), at: 8)
        memory.storeBigEndian(UInt64((firstBlock + index) * PipelineClient.blockSize), at: 16)
        memory.storeBigEndian(UInt32(PipelineClient.blockSize), at: 24)
        if place.ask == .write { memory.store(content(index, place.version)[...], at: 28) }
        send(memory.slice(0, place.ask == .write ? memory.count : 28))
    }

    private func content(_ index: Int, _ version: UInt8) -> [UInt8] {
        [UInt8](repeating: version &+ UInt8(truncatingIfNeeded: index), count: PipelineClient.blockSize - 8)
            + be64(UInt64(firstBlock + index))
    }

    private func send(_ memory: IOMemory) {
        var sent = 0
        while sent < memory.count {
            switch socket.send(memory.slice(sent, memory.count - sent)) {
            case .moved(let count): sent += count
            // The socket is in blocking mode, but a send of ours never waits: see that the other side reads.
            case .wouldBlock: yieldThread()
            default: return
            }
        }
    }

    private func send(_ bytes: [UInt8]) {
        let memory = outgoing.memory
        memory.store(bytes[...], at: 0)
        send(memory.slice(0, bytes.count))
    }

    // MARK: Receiving

    func receiveAll() {
        bell.raise()
        while let head = receive(16) {
            let cookie = Int(clamping: read64(head, 8))
            let error = read32(head, 4)
            guard read32(head, 0) == 0x6744_6698, cookie < depth, let place = takeBack(cookie) else {
                report.withLock { $0.strangers += 1 }
                break
            }
            var isRight = true
            if place.ask == .read, error == 0 {
                guard let data = receive(PipelineClient.blockSize) else { break }
                isRight = data == content(cookie, place.version)
            }
            report.withLock { report in
                report.replies += 1
                if error != 0 { report.errors += 1 }
                if !isRight { report.mismatches += 1 }
            }
            giveBack(cookie, failed: error != 0)
            if isOver { break }
        }
        let out = shared.withLock { shared in
            shared.isEnding = true
            return shared.places.count { $0.isOut }
        }
        report.withLock { $0.unanswered += out }
        bell.raise()
        socket.finishSending()
    }

    private func takeBack(_ index: Int) -> Place? {
        shared.withLock { shared in
            guard shared.places[index].isOut else { return nil }
            shared.places[index].isOut = false
            return shared.places[index]
        }
    }

    private func giveBack(_ index: Int, failed: Bool) {
        shared.withLock { shared in
            shared.free.append(index)
            if failed { shared.isEnding = true }
        }
        bell.raise()
    }

    private var isOver: Bool { shared.withLock { shared in shared.isEnding && !shared.places.contains { $0.isOut } } }

    private var start = 0
    private var limit = 0

    /// The next `count` bytes, at most a block; nil when the server has closed.
    private func receive(_ count: Int) -> [UInt8]? {
        let memory = incoming.memory
        while limit - start < count {
            if memory.count - start < count {
                let rest = memory.slice(start, limit - start).array
                memory.store(rest[...], at: 0)
                limit -= start
                start = 0
            }
            guard case .moved(let moved) = socket.read(into: memory.slice(limit, memory.count - limit)) else {
                return nil
            }
            limit += moved
        }
        defer { start += count }
        return memory.slice(start, count).array
    }
}
