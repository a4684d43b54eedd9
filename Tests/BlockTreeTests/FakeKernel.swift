// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@testable import BlockTree

/// A registry and a tree of it, with the test in the place of the kernel.
final class FakeKernel {
    let registry: DiskRegistry
    let session: TreeSession
    let channel: FuseChannel
    private var unique: UInt64 = 0
    private var early: [UInt64: Reply] = [:]

    struct Reply {
        var error: Int32
        var body: [UInt8]

        func word(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: integer(offset, 4)) }
        func long(_ offset: Int) -> UInt64 { integer(offset, 8) }
        private func integer(_ offset: Int, _ count: Int) -> UInt64 {
            guard body.count >= offset + count else { return .max }
            return (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(body[offset + $1]) }
        }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    init(_ registry: DiskRegistry = DiskRegistry(), _ flavour: TreeFlavour = .devices, greets: Bool = true) throws {
        self.registry = registry
        let (own, kernel) = try FuseChannel.pair()
        channel = kernel
        session = try TreeSession(registry, flavour, own) {}
        session.begin()
        if greets { #expect(call(26, body: Self.words(7, 45, 65536, 1 << 30, 1 << 4, 0)).error == 0) }
    }

    /// Ends the tree, then the disks: a registry with a disk in it keeps itself alive.
    func stop() async {
        session.stop()
        #expect(session.ended.wait(until: .now + .seconds(10)))
        channel.close()
        for disk in registry.disks(hidden: true) { _ = await disk.remove(.surprise, deadline: .milliseconds(50)) }
        #expect(eventually { self.session.handles.devices.isEmpty })
    }

    // MARK: Messages

    static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        (0..<(T.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
    }
    static func words(_ values: UInt32...) -> [UInt8] { values.flatMap(bytes) }

    /// Sends a request; its number is what the reply is known by.
    @discardableResult
    func send(_ opcode: UInt32, node: UInt64 = 1, process: UInt32 = 0, body: [UInt8] = []) -> UInt64 {
        unique += 2
        let head =
            Self.words(UInt32(40 + body.count), opcode) + Self.bytes(unique) + Self.bytes(node)
            + Self.words(0, 0, process, 0)
        channel.send(head + body)
        return unique
    }

    /// The reply to a request; nil: none has come in time.
    func reply(_ unique: UInt64, within limit: Duration = .seconds(10)) -> Reply? {
        let deadline = Instant.now + limit
        while true {
            if let reply = early.removeValue(forKey: unique) { return reply }
            let left = deadline - Instant.now
            guard left > .zero, channel.isReadable(within: left), let (number, reply) = receive() else { return nil }
            early[number] = reply
        }
    }

    private func receive() -> (UInt64, Reply)? {
        guard let buffer = try? IOBuffer(count: FuseWire.requestMax),
            case .moved(let count) = channel.read(into: buffer.memory), count >= 16
        else { return nil }
        let memory = buffer.memory
        #expect(memory.load(at: 0, as: UInt32.self) == UInt32(count))
        let error = -memory.load(at: 4, as: Int32.self)
        return (memory.load(at: 8, as: UInt64.self), Reply(error: error, body: memory.slice(16, count - 16).array))
    }

    /// Sends and waits.
    func call(_ opcode: UInt32, node: UInt64 = 1, process: UInt32 = 0, body: [UInt8] = []) -> Reply {
        let unique = send(opcode, node: node, process: process, body: body)
        guard let reply = reply(unique) else {
            Issue.record("no reply to \(opcode)")
            return Reply(error: -1, body: [])
        }
        return reply
    }

    // MARK: What programs do

    func lookUp(_ name: String, in parent: UInt64 = 1) -> Reply { call(1, node: parent, body: Array(name.utf8) + [0]) }

    /// The node of a path; 0: there is none.
    func node(_ path: String) -> UInt64 {
        var node: UInt64 = 1
        for part in path.split(separator: "/") {
            let reply = lookUp(String(part), in: node)
            guard reply.error == 0 else { return 0 }
            node = reply.long(0)
        }
        return node
    }

    /// Opens, and returns the handle; 0 if it is refused, with the error.
    func open(_ path: String, flags: UInt32 = 2, process: UInt32 = 0) -> (handle: UInt64, error: Int32) {
        let node = node(path)
        guard node != 0 else { return (0, 2) }
        let reply = call(14, node: node, process: process, body: Self.words(flags, 0))
        return reply.error == 0 ? (reply.long(0), 0) : (0, reply.error)
    }

    func sendRead(_ handle: UInt64, _ offset: UInt64, _ count: UInt32, node: UInt64 = 2) -> UInt64 {
        send(
            15, node: node,
            body: Self.bytes(handle) + Self.bytes(offset) + Self.words(count, 0, 0, 0, 0, 0))
    }

    func sendWrite(_ handle: UInt64, _ offset: UInt64, _ data: [UInt8], flags: UInt32 = 1) -> UInt64 {
        send(
            16, node: 2,
            body: Self.bytes(handle) + Self.bytes(offset) + Self.words(UInt32(data.count), 0, 0, 0, flags, 0) + data)
    }

    func read(_ handle: UInt64, _ offset: UInt64, _ count: UInt32) -> Reply {
        reply(sendRead(handle, offset, count)) ?? Reply(error: -1, body: [])
    }

    func write(_ handle: UInt64, _ offset: UInt64, _ data: [UInt8], flags: UInt32 = 1) -> Reply {
        reply(sendWrite(handle, offset, data, flags: flags)) ?? Reply(error: -1, body: [])
    }

    func release(_ handle: UInt64) -> Reply { call(18, body: Self.bytes(handle) + Self.words(0, 0, 0, 0)) }
    func sync(_ handle: UInt64) -> Reply { call(20, body: Self.bytes(handle) + Self.words(0, 0)) }

    func allocate(_ handle: UInt64, _ offset: UInt64, _ count: UInt64, mode: UInt32) -> Reply {
        call(43, body: Self.bytes(handle) + Self.bytes(offset) + Self.bytes(count) + Self.words(mode, 0))
    }

    /// The names in a directory, without dots.
    func list(_ path: String, isPlus: Bool = false, chunk: UInt32 = 4096) -> [String] {
        let node = node(path)
        let opened = call(27, node: node, body: Self.words(0, 0))
        guard opened.error == 0 else { return [] }
        var names: [String] = []
        var offset: UInt64 = 0
        while true {
            let reply = call(
                isPlus ? 44 : 28, node: node,
                body: Self.bytes(opened.long(0)) + Self.bytes(offset) + Self.words(chunk, 0, 0, 0, 0, 0))
            var place = 0
            while place < reply.body.count {
                let head = place + (isPlus ? 128 : 0)
                let length = Int(reply.word(head + 16))
                offset = reply.long(head + 8)
                names.append(String(decoding: reply.body[(head + 24)..<(head + 24 + length)], as: UTF8.self))
                place = head + (24 + length + 7) & ~7
            }
            guard !reply.body.isEmpty else { break }
        }
        #expect(call(29, node: node, body: Self.bytes(opened.long(0)) + Self.words(0, 0, 0, 0)).error == 0)
        return names.filter { $0 != "." && $0 != ".." }
    }
}
