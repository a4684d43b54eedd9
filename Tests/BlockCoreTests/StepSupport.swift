// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import Testing

/// A driver that writes down what it is asked, request by request, and answers, holds or gives back as the test says.
final class ScriptedDriver: BlockDriver, Sendable {
    enum Behaviour: Sendable { case answer(BlockStatus), hold, requeue(Duration) }

    struct Request: Sendable, Equatable {
        var operation: BioOperation
        var start: UInt64
        var count: UInt64
        init(_ operation: BioOperation, _ start: UInt64 = 0, _ count: UInt64 = 0) {
            self.operation = operation
            self.start = start
            self.count = count
        }
    }
    struct State: ~Copyable {
        var held = BioQueue()
        var behaviour = Behaviour.hold
        var requests: [Request] = []
        var flags: [BioFlags] = []
        var zeroWrites = 0
        var most = 0
    }
    let state = Lock(State())
    let capacity: UInt64
    let profile: DriverProfile
    /// Called inside submit, before anything else.
    let inSubmit = Hook<(@Sendable (Request) -> Void)?>(nil)
    /// What it says of a late request.
    let onTimeout = Hook<(@Sendable (LateRequest) -> TimeoutDecision)?>(nil)

    init(
        capacity: UInt64 = 1 << 20, style: SubmissionStyle = .async, _ behaviour: Behaviour = .hold,
        _ adjust: (inout DriverProfile) -> Void = { _ in }
    ) {
        self.capacity = capacity
        var profile = DriverProfile()
        profile.style = style
        profile.discard = .native
        profile.writeZeroes = .native
        profile.hasWriteCache = true
        adjust(&profile)
        self.profile = profile
        state.withLock { $0.behaviour = behaviour }
    }

    func submit(_ bio: consuming Bio) {
        let request = Request(bio.operation, bio.sector, bio.sectorCount)
        inSubmit.value?(request)
        let isZero = bio.operation == .write && bio.memory.isZero
        let flags = bio.flags
        var bio: Bio? = consume bio
        let behaviour = state.withLock { state in
            state.requests.append(request)
            state.flags.append(flags)
            if isZero { state.zeroWrites += 1 }
            if case .hold = state.behaviour, let bio = bio.take() { state.held.append(bio) }
            state.most = max(state.most, state.held.count)
            return state.behaviour
        }
        switch behaviour {
        case .answer(let status): bio.take()?.complete(status)
        case .requeue(let delay): bio.take()?.requeue(after: delay)
        case .hold: break
        }
    }

    func set(_ behaviour: Behaviour) { state.withLock { $0.behaviour = behaviour } }
    var held: Int { state.withLock { $0.held.count } }
    var requests: [Request] { state.withLock { $0.requests } }

    @discardableResult
    func answerOne(_ status: BlockStatus = .ok) -> Bool {
        guard let bio = state.withLock({ $0.held.popFirst() }) else { return false }
        bio.complete(status)
        return true
    }

    /// Answers what it holds and what comes of that.
    func answerAll(_ status: BlockStatus = .ok) { while answerOne(status) {} }

    func timedOut(_ request: LateRequest) -> TimeoutDecision { onTimeout.value?(request) ?? .fail }
}

/// A write of `count` sectors' worth of ones, owned.
func ones(_ count: UInt64) -> BioData {
    guard let buffer = try? IOBuffer(count: Int(count) * 512) else {
        Issue.record("no memory")
        return .none
    }
    buffer.memory.withMutableBytes { bytes in
        for index in 0..<bytes.byteCount { bytes.storeBytes(of: 1, toByteOffset: index, as: UInt8.self) }
    }
    return .owned(buffer, count: Int(count) * 512)
}

func sectors(_ start: UInt64, _ count: UInt64) -> SectorRange { SectorRange(start: start, count: count) }

extension DriverProfile {
    mutating func limit(_ edit: (inout QueueLimits) -> Void) {
        var new = limits ?? QueueLimits()
        edit(&new)
        limits = new
    }
}

/// What an asynchronous verb came to, looked at without waiting on the cooperative pool.
final class Verb: Sendable {
    private let result = Lock<Result<Void, DiskError>?>(nil)

    init(_ run: @escaping @Sendable () async throws(DiskError) -> Void) {
        Task {
            let outcome: Result<Void, DiskError>
            do throws(DiskError) {
                try await run()
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            result.withLock { $0 = outcome }
        }
    }

    var isOver: Bool { result.withLock { $0 != nil } }

    /// 0: it went well; nil: not over within the limit that makes it a failure.
    func errno() async -> Int32? {
        let deadline = Instant.now + .seconds(60)
        while Instant.now < deadline {
            switch result.withLock({ $0 }) {
            case .success: return 0
            case .failure(let error): return error.errno
            case nil: await Task.yield()
            }
        }
        return nil
    }
}
