// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The side of a trace that the disk has: a buffer of records, and who is told of them.
final class TraceWriter: Sendable {
    private struct State {
        var words: [UInt64] = []
        var sequence: UInt32 = 0
        var records: UInt64 = 0
        var dropped: UInt64 = 0
        /// Of those, the ones that no message has told of.
        var untold: UInt64 = 0
        var named: Set<UInt32> = []
        var hasEnded = false
        var tell: (@Sendable () -> Void)?
    }
    private let state: Lock<State>
    let filter: TraceFilter
    private let device: UInt32
    private let wordLimit: Int

    init(_ number: DeviceNumber, _ filter: TraceFilter, capacity: Int) {
        self.filter = filter
        device = number.packed
        wordLimit = max(capacity / 8, 4096)
        var state = State()
        let now = Instant.now.nanoseconds
        let wall = Instant.wallClock
        let (seconds, rest) = (UInt32(clamping: Int64(wall)), UInt32((wall - wall.rounded(.down)) * 1e9))
        // Of this machine's byte order, unlike what follows other records.
        Self.note(.timestamp, [UInt64(seconds) | UInt64(rest) << 32], length: 8, at: now, device, &state)
        self.state = Lock(state)
    }

    var counts: (records: UInt64, dropped: UInt64) { state.withLock { ($0.records, $0.dropped) } }
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    func onData(_ tell: @escaping @Sendable () -> Void) {
        // At its end nobody is told any more, so nobody is kept.
        state.withLock { state in if !state.hasEnded { state.tell = tell } }
        tell()
    }

    /// What was written since, word for word.
    func take() -> [UInt64] {
        state.withLock { state in
            if state.untold > 0 { Self.tellOfLoss(device, &state) }
            defer { state.words = [] }
            return state.words
        }
    }

    /// Nothing more comes.
    func end() {
        let tell = state.withLock { state -> (@Sendable () -> Void)? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            defer { state.tell = nil }
            return state.tell
        }
        tell?()
    }

    // MARK: Writing

    /// Writes a record of an I/O, if it is wanted.
    func write(
        _ action: TraceAction, _ what: TraceCategories, _ range: SectorRange, time: UInt64, process: OpenerIdentity?,
        error: BlockStatus = .ok, following: [UInt64] = []
    ) {
        var record = TraceRecord()
        record.time = time
        record.sector = range.start
        // More than the field holds is as much as it holds of whole sectors.
        record.bytes = UInt32(min(range.count, UInt64(UInt32.max / 512))) * 512
        record.action = action.rawValue | UInt32(action.categories.union(what).rawValue) << 16
        record.process = UInt32(bitPattern: process?.process ?? 0)
        record.device = device
        record.error = UInt16(truncatingIfNeeded: -error.errno)
        guard record.isWanted(filter.categories), filter.sectors?.contains(range.start) ?? true,
            filter.process.map({ UInt32(bitPattern: $0) == record.process }) ?? true
        else { return }
        let tell = state.withLock { state -> (@Sendable () -> Void)? in
            guard !state.hasEnded else { return nil }
            guard state.words.count < wordLimit else {
                state.dropped += 1
                state.untold += 1
                return nil
            }
            // What was lost is told of by now: there is room again only where somebody has taken it all.
            let wasEmpty = state.words.isEmpty
            if let name = process?.program, state.named.count < 4096, state.named.insert(record.process).inserted {
                let bytes = Array(name.utf8.prefix(15))
                let words = TraceRecord.words(of: bytes + Array(repeating: 0, count: 16 - bytes.count))
                Self.note(.process, words, length: 16, at: time, device, process: record.process, &state)
            }
            record.write(
                to: &state.words, sequence: state.sequence, following: following, length: following.count * 8)
            state.sequence &+= 1
            state.records += 1
            return wasEmpty ? state.tell : nil
        }
        tell?()
    }

    private static func tellOfLoss(_ device: UInt32, _ state: inout State) {
        let text = "platter: \(state.untold) records lost"
        state.untold = 0
        note(
            .message, TraceRecord.words(of: text.utf8), length: text.utf8.count, at: Instant.now.nanoseconds, device,
            &state)
    }

    private static func note(
        _ notice: TraceNotice, _ words: [UInt64], length: Int, at time: UInt64, _ device: UInt32, process: UInt32 = 0,
        _ state: inout State
    ) {
        var record = TraceRecord()
        record.time = time
        record.action = notice.action
        record.process = process
        // As Linux has it: the name of a process is no disk's.
        record.device = notice == .message ? device : 0
        record.write(to: &state.words, sequence: state.sequence, following: words, length: length)
        state.sequence &+= 1
    }
}
