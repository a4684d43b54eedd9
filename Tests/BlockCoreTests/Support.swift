// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import Testing

/// A driver that does with its bios what the test says: answers at once, keeps them, or drops them.
final class HeldDriver: BlockDriver, Sendable {
    enum Behaviour: Sendable { case answer(BlockStatus), hold, drop }

    struct State: ~Copyable {
        var held = BioQueue()
        var behaviour = Behaviour.answer(.ok)
        var log: [String] = []
        var submitted = 0
    }
    let state = Lock(State())
    let capacity: UInt64
    let profile: DriverProfile
    /// Answers everything it holds when it is aborted, as a live driver does.
    let answersAbort: Bool
    /// Called inside submit, before anything else.
    let inSubmit = Hook<(@Sendable (BioOperation) -> Void)?>(nil)
    /// Called inside submit with the sector, counted from the start of the disk.
    let inSector = Hook<(@Sendable (UInt64) -> Void)?>(nil)
    /// Called by stop.
    let inStop = Hook<(@Sendable () -> Void)?>(nil)

    init(
        capacity: UInt64 = 2048, style: SubmissionStyle = .async, behaviour: Behaviour = .answer(.ok),
        answersAbort: Bool = false, _ adjust: (inout DriverProfile) -> Void = { _ in }
    ) {
        self.capacity = capacity
        self.answersAbort = answersAbort
        var profile = DriverProfile()
        profile.style = style
        profile.discard = .native
        profile.writeZeroes = .native
        adjust(&profile)
        self.profile = profile
        state.withLock { $0.behaviour = behaviour }
    }

    var driverName: String { "held" }

    func submit(_ bio: consuming Bio) {
        inSubmit.value?(bio.operation)
        inSector.value?(bio.sector)
        var bio: Bio? = consume bio
        let behaviour = state.withLock { state in
            state.submitted += 1
            if case .hold = state.behaviour, let bio = bio.take() { state.held.append(bio) }
            return state.behaviour
        }
        switch behaviour {
        case .answer(let status): bio.take()?.complete(status)
        case .hold: break
        case .drop: bio = nil
        }
    }

    func set(_ behaviour: Behaviour) { state.withLock { $0.behaviour = behaviour } }
    var held: Int { state.withLock { $0.held.count } }
    var submitted: Int { state.withLock { $0.submitted } }
    var log: [String] { state.withLock { $0.log } }
    private func note(_ line: String) { state.withLock { $0.log.append(line) } }

    /// Answers the oldest that it holds; false: it holds none.
    @discardableResult
    func answerOne(_ status: BlockStatus = .ok) -> Bool {
        guard let bio = state.withLock({ $0.held.popFirst() }) else { return false }
        bio.complete(status)
        return true
    }

    @discardableResult
    func answerAll(_ status: BlockStatus = .ok) -> Int {
        var count = 0
        while answerOne(status) { count += 1 }
        return count
    }

    func abort() {
        note("abort")
        if answersAbort { answerAll(.ioError) }
    }
    func stop() {
        inStop.value?()
        note("stop")
    }
    func opened() throws(BlockStatus) { note("opened") }
    func closed() { note("closed") }
    func released() { note("released") }
}

/// Counts the answers of every token; waits for them.
final class CountingSink: BioSink, Sendable {
    struct Answers: Sendable {
        var statuses: [UInt64: [BlockStatus]] = [:]
        var total = 0
    }
    private let answers = Lock(Answers())
    private let bell = Bell()
    /// Called in each answer, with its token.
    let onAnswer = Hook<(@Sendable (UInt64, BlockStatus) -> Void)?>(nil)

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        onAnswer.value?(token, status)
        answers.withLock { answers in
            answers.statuses[token, default: []].append(status)
            answers.total += 1
        }
        bell.ringAll()
    }

    var total: Int { answers.withLock { $0.total } }
    func statuses(of token: UInt64) -> [BlockStatus] { answers.withLock { $0.statuses[token] ?? [] } }
    var all: [UInt64: [BlockStatus]] { answers.withLock { $0.statuses } }

    /// Waits until that many answers have come; false when they have not within the limit that makes it a failure.
    func wait(for count: Int, limit: Duration = .seconds(30)) -> Bool {
        let deadline = Instant.now + limit
        while true {
            let heard = bell.value
            if total >= count { return true }
            if Instant.now >= deadline { return false }
            bell.wait(after: heard, until: deadline)
        }
    }
}

/// Hears what a holder hears.
final class CountingDelegate: OpenerDelegate, Sendable {
    let asked = Counter()
    let died = Counter()
    let resizes = Lock<[UInt64]>([])
    func askedToLeave() { asked.add() }
    func died(_ mode: RemovalMode) { died.add() }
    func resized(to sectors: UInt64) { resizes.withLock { $0.append(sectors) } }
}

let tester = OpenerIdentity(kind: "test")

extension RemovalOutcome {
    var report: RemovalReport? {
        switch self {
        case .removed(let report), .pending(let report), .busy(let report), .failed(let report): report
        case .neverPublished, .cancelled, .noSuchDisk: nil
        }
    }
    var word: String {
        switch self {
        case .removed: "removed"
        case .pending: "pending"
        case .busy: "busy"
        case .failed: "failed"
        case .neverPublished: "never published"
        case .cancelled: "cancelled"
        case .noSuchDisk: "no such disk"
        }
    }
}

/// An add without a scan, unless asked for.
func plain(_ name: String? = nil, _ adjust: (inout DiskOptions) -> Void = { _ in }) -> DiskOptions {
    var options = DiskOptions()
    options.name = name
    options.scansPartitions = false
    adjust(&options)
    return options
}

let oneSector = SectorRange(start: 0, count: 1)

/// A removal that was asked for and not waited for yet.
final class BegunRemoval: Sendable {
    private let outcome = Lock<RemovalOutcome?>(nil)
    private let done = Parker()

    init(_ disk: Disk, _ mode: RemovalMode, deadline: Duration? = .seconds(30), wait: Bool = false) {
        disk.requestRemoval(mode, deadline: deadline, wait: wait) { [self] outcome in
            self.outcome.withLock { $0 = outcome }
            done.raise()
        }
    }

    var isOver: Bool { done.isRaised }

    /// How it ended; nil: not within the limit that makes it a failure.
    func end() -> RemovalOutcome? {
        done.wait(until: Instant.now + .seconds(60)) ? outcome.withLock { $0 } : nil
    }
}

/// A closure that a test sets and others call. Read without an inout access: through one, a closure in generic storage
/// is wrapped anew with every look at it, and a chain of a hundred thousand wrappers is slow.
final class Hook<Body: Sendable>: Sendable {
    private struct Held: Sendable {
        var body: Body
    }
    private let held: Lock<Held>
    init(_ body: Body) { held = Lock(Held(body: body)) }
    /// What was set.
    var value: Body { held.withLock { $0.body } }
    /// Sets it.
    func withLock(_ use: (inout Body) -> Void) { held.withLock { use(&$0.body) } }
}
