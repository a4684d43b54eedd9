// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem

/// Reads a disk for the scan of its table, and writes one: one I/O at a time, waited for, with one deadline for all of them.
final class DeviceReader: PartitionSource {
    let capacity: UInt64
    let logicalBlockSize: Int
    /// The deadline passed; every read after that fails.
    private(set) var hasTimedOut = false
    private let opener: Opener
    private let sink: Answer
    private let deadline: Instant

    init?(_ disk: Disk, deadline: Instant, writes: Bool = false) {
        capacity = disk.capacity
        logicalBlockSize = disk.profile.logicalBlockSize
        self.deadline = deadline
        let sink = Answer()
        self.sink = sink
        do throws(DiskError) {
            opener = try disk.open(
                disk.part0, writes ? .readWrite : .read, OpenerIdentity(kind: "scan"), depth: 1, sink: sink,
                delegate: nil, isPrivate: true)
        } catch {
            return nil
        }
    }

    func read(sector: UInt64, count: Int) -> [UInt8]? {
        guard !hasTimedOut, count > 0 else { return nil }
        // Whole logical blocks, whatever the parser asks for.
        let factor = UInt64(logicalBlockSize / sectorSize)
        let first = sector / factor * factor
        let (end, overflow) = sector.addingReportingOverflow(UInt64(count))
        guard !overflow, end <= capacity else { return nil }
        let last = min((end + factor - 1) / factor * factor, capacity / factor * factor)
        guard last >= end else { return nil }
        let bytes = Int(last - first) * sectorSize
        do throws(SystemError) {
            if opener.device.disk.options.faults?.fails(.memory) == true { return nil }
            let buffer = try IOBuffer(count: bytes)
            opener.submit(
                .read, SectorRange(start: first, count: last - first), data: .owned(buffer, count: bytes), token: 0)
        } catch {
            return nil
        }
        guard let all = sink.wait(until: deadline) else {
            hasTimedOut = Instant.now >= deadline
            return nil
        }
        let from = Int(sector - first) * sectorSize
        return Array(all[from..<from + count * sectorSize])
    }

    /// Writes whole logical blocks. The status is never `ok` once the deadline has passed.
    func write(_ bytes: [UInt8], at offset: UInt64) -> BlockStatus {
        guard !hasTimedOut else { return .timedOut }
        do throws(SystemError) {
            let buffer = try IOBuffer(count: bytes.count)
            buffer.memory.copy(from: bytes)
            let range = SectorRange(start: offset / UInt64(sectorSize), count: UInt64(bytes.count / sectorSize))
            opener.submit(.write, range, data: .owned(buffer, count: bytes.count), token: 0)
        } catch {
            return BlockStatus(errno: error.errno)
        }
        return status()
    }

    /// What was written is on the medium.
    func flush() -> BlockStatus {
        guard !hasTimedOut else { return .timedOut }
        opener.submit(.flush, SectorRange(start: 0, count: 0), data: .none, token: 0)
        return status()
    }

    private func status() -> BlockStatus {
        if let status = sink.waitForStatus(until: deadline) { return status }
        hasTimedOut = true
        return .timedOut
    }
}

/// Where the scan waits for its read.
private final class Answer: BioSink, Sendable {
    private struct State {
        var bytes: [UInt8]?
        var status: BlockStatus?
    }
    private let state = Lock(State())
    private let bell = Bell()

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        var bytes: [UInt8]?
        if let buffer = consume buffer, status == .ok { bytes = buffer.memory.array }
        let filled = bytes
        state.withLock { $0 = State(bytes: filled, status: status) }
        bell.ring()
    }

    /// The bytes; nil when the read failed or the deadline passed.
    func wait(until deadline: Instant) -> [UInt8]? {
        guard let answer = answer(until: deadline), answer.status == .ok else { return nil }
        return answer.bytes
    }

    /// How it ended; nil when the deadline passed.
    func waitForStatus(until deadline: Instant) -> BlockStatus? { answer(until: deadline)?.status }

    private func answer(until deadline: Instant) -> State? {
        while true {
            let heard = bell.value
            let answer = state.withLock { state -> State? in
                guard state.status != nil else { return nil }
                defer { state = State() }
                return state
            }
            if let answer { return answer }
            if Instant.now >= deadline { return nil }
            bell.wait(after: heard, until: deadline)
        }
    }
}
