// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// What the open files of one disk share, its partitions' too, in all trees of the process: the line of its writes, and
/// how much may be under way.
final class DiskLine: Sendable {
    /// How much may be under way on one disk. What comes beyond is EAGAIN.
    struct Limits: Sendable {
        /// Requests. The kernel has a window of background requests for a whole mount: one disk that does not answer must
        /// not fill it, for the closes of all files go through it.
        var requests = 8192
        /// Bytes of writes that are kept here: the kernel bounds how many requests there are, not how long they are.
        var payload = 512 << 20
    }

    /// Keeps the disk, so that nobody else can have its address.
    private let disk: Disk

    // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
    private struct Resumption: Sendable {
        let run: @Sendable () -> Void
    }
    private struct State {
        var line = WriteLine()
        var resumptions: [UInt64: Resumption] = [:]
        /// Who may go on, by the thread that made the room for them and is about to run them.
        var granted: [UInt: [Resumption]] = [:]
        var requests = 0
        var payload = 0
    }
    private let state = Lock(State())

    private init(_ disk: Disk) { self.disk = disk }

    private struct Known: Sendable {
        weak let line: DiskLine?
    }
    private static let all = Lock<[ObjectIdentifier: Known]>([:])

    static func line(of disk: Disk) -> DiskLine {
        all.withLock { all in
            if let line = all[ObjectIdentifier(disk)]?.line { return line }
            for (key, known) in all where known.line == nil { all[key] = nil }
            let line = DiskLine(disk)
            all[ObjectIdentifier(disk)] = Known(line: line)
            return line
        }
    }

    /// Takes a request in that keeps so many bytes. False: there is too much under way already.
    func admit(_ bytes: Int, _ limits: Limits) -> Bool {
        state.withLock { state in
            guard state.requests < limits.requests, state.payload <= limits.payload - bytes else { return false }
            state.requests += 1
            state.payload += bytes
            return true
        }
    }

    /// A request that was taken in is done with, and keeps nothing any more.
    func dismiss(_ bytes: Int) {
        state.withLock { state in
            state.requests -= 1
            state.payload -= bytes
        }
    }

    /// Runs `body` when the range is free for it: now, or on the thread of whoever makes the room.
    /// - Returns: what ``end(_:)`` wants. `told` has had it before `body` runs.
    func begin(
        _ range: SectorRange, isAlone: Bool, told: (UInt64) -> Void, _ body: @escaping @Sendable () -> Void
    ) {
        let isGranted = state.withLock { state in
            let (ticket, isGranted) = state.line.begin(range, isAlone: isAlone)
            told(ticket)
            if !isGranted { state.resumptions[ticket] = Resumption(run: body) }
            return isGranted
        }
        if isGranted { body() }
    }

    /// The write is over, or will never be: its turn had come.
    ///
    /// Who goes on may be answered at once, and so end here again: that is noted, and done by the loop of the call that
    /// this one is inside of. However long the line, the stack is not.
    func end(_ ticket: UInt64) {
        let thread = ThreadContext.identity
        let begins = state.withLock { state -> Bool in
            let next = state.line.end(ticket).compactMap { state.resumptions.removeValue(forKey: $0) }
            guard !next.isEmpty else { return false }
            let isInside = state.granted[thread] != nil
            state.granted[thread, default: []] += next
            return !isInside
        }
        guard begins else { return }
        while true {
            let next = state.withLock { state -> [Resumption] in
                guard let next = state.granted[thread], !next.isEmpty else {
                    state.granted[thread] = nil
                    return []
                }
                state.granted[thread] = []
                return next
            }
            if next.isEmpty { return }
            for resumption in next { resumption.run() }
        }
    }

    /// Whether nothing is under way and nobody waits: what the tests look at.
    var isEmpty: Bool { state.withLock { $0.line.isEmpty && $0.requests == 0 && $0.payload == 0 } }
}
