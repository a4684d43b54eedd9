// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem

/// A sink that keeps answers until somebody asks.
final class Answers: BioSink {
    struct Answer: Sendable {
        var status: BlockStatus
        var bytes: [UInt8]?
    }
    private let answers = Lock<[UInt64: [Answer]]>([:])
    private let bell = Parker()

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        let bytes = buffer?.memory.array
        answers.withLock { $0[token, default: []].append(Answer(status: status, bytes: bytes)) }
        bell.raise()
    }

    /// Waits for the answer. One thread at a time.
    func wait(_ token: UInt64) -> Answer {
        while true {
            bell.lower()
            if let answer = answers.withLock({ $0[token]?.first }) { return answer }
            bell.wait()
        }
    }

    func isAnswered(_ token: UInt64) -> Bool { answers.withLock { $0[token] != nil } }
    var count: Int { answers.withLock { $0.values.reduce(0) { $0 + $1.count } } }
    /// Whether nobody was answered twice.
    var isOnceEach: Bool { answers.withLock { $0.values.allSatisfy { $0.count == 1 } } }
}

/// One opener of a disk; used by one thread at a time.
final class DiskClient {
    let answers = Answers()
    private var opener: Opener
    private var next: UInt64 = 0

    convenience init(_ disk: Disk, depth: Int = 256) throws(DiskError) {
        try self.init(disk.part0, .readWrite, depth: depth)
    }

    init(_ device: BlockDevice, _ mode: OpenMode, depth: Int = 256) throws(DiskError) {
        opener = try device.open(mode, as: OpenerIdentity(kind: "test"), depth: depth, sink: answers, delegate: nil)
    }

    var size: UInt64 { opener.device.size }
    var mode: OpenMode { opener.mode }
    func rescan() throws(DiskError) { _ = try opener.rescanDisk() }

    /// Submits with memory of its own, and returns the token.
    func send(
        _ operation: BioOperation, _ start: UInt64 = 0, _ count: UInt64 = 0, flags: BioFlags = [], bytes: [UInt8] = []
    ) throws -> UInt64 {
        next += 1
        let range = SectorRange(start: start, count: count)
        guard operation.hasData else {
            opener.submit(operation, range, flags: flags, data: .none, token: next)
            return next
        }
        let length = Int(count) * sectorSize
        let buffer = try IOBuffer(count: length)
        if operation == .write { buffer.memory.copy(from: bytes.span.bytes) } else { buffer.memory.fill(0xee) }
        opener.submit(operation, range, flags: flags, data: .owned(buffer, count: length), token: next)
        return next
    }

    func run(
        _ operation: BioOperation, _ start: UInt64 = 0, _ count: UInt64 = 0, flags: BioFlags = [], bytes: [UInt8] = []
    ) throws -> BlockStatus {
        answers.wait(try send(operation, start, count, flags: flags, bytes: bytes)).status
    }

    /// Writes sectors full of `value`.
    func write(_ value: UInt8, _ start: UInt64, _ count: UInt64, flags: BioFlags = []) throws -> BlockStatus {
        try run(.write, start, count, flags: flags, bytes: [UInt8](repeating: value, count: Int(count) * sectorSize))
    }

    /// Reads sectors; fails the test's way if it cannot.
    func read(_ start: UInt64, _ count: UInt64) throws -> [UInt8] {
        let answer = answers.wait(try send(.read, start, count))
        guard answer.status == .ok, let bytes = answer.bytes else { throw answer.status }
        return bytes
    }

    /// Borrows memory that begins `shift` bytes after a page's start.
    func readShifted(_ start: UInt64, _ count: UInt64, by shift: Int) throws -> [UInt8] {
        let length = Int(count) * sectorSize
        let buffer = try IOBuffer(count: length + shift)
        next += 1
        let memory = buffer.memory.slice(shift, length)
        opener.submit(.read, SectorRange(start: start, count: count), data: .borrowed(memory), token: next)
        let answer = answers.wait(next)
        guard answer.status == .ok else { throw answer.status }
        return memory.array
    }

    func extents(_ start: UInt64, _ count: UInt64) throws -> [DeviceExtent] {
        try opener.extents(of: SectorRange(start: start, count: count)).get()
    }
}

extension IOMemory {
    func fill(_ value: UInt8) { copy(from: [UInt8](repeating: value, count: count).span.bytes) }
}

extension [UInt8] {
    /// Whether there is nothing but `value`; quick without optimisation.
    func isAll(_ value: UInt8) -> Bool { self == [UInt8](repeating: value, count: count) }
}

/// A registry whose disks are pulled when the test is over.
final class TestRegistry: Sendable {
    let registry = DiskRegistry()

    func add(_ driver: any BlockDriver, sectorSize: Int? = nil, readOnly: Bool = false) async throws -> Disk {
        var options = DiskOptions()
        options.scansPartitions = false
        options.logicalBlockSize = sectorSize
        options.isReadOnly = readOnly
        return try await registry.add(driver, options)
    }

    deinit { for disk in registry.disks { disk.requestRemoval(.surprise) { _ in } } }
}
