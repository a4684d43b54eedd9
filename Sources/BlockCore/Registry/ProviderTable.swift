// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The providers of a registry, and the disks that are being made by them.
final class ProviderTable: Sendable {
    /// What a flight brought.
    enum Landed: Sendable {
        /// A disk, with a hold for each who waited.
        case disk(Disk)
        /// Somebody else has the name or number by now: look again.
        case taken
        /// There is none, and why.
        case nothing(String)
    }

    /// One disk that is being made.
    final class Flight: Sendable {
        let done = Parker()
        private let result = Lock<Landed?>(nil)
        var landed: Landed? { result.withLock { $0 } }
        func land(_ landed: Landed) {
            result.withLock { $0 = landed }
            done.raise()
        }
    }

    private struct State {
        var book = ProviderBook()
        var providers: [UInt64: any DiskProvider] = [:]
        var flights: [UInt64: Flight] = [:]
        /// Who waits for the end of a provider.
        var enders: [UInt64: [Parker]] = [:]
    }
    private let state = Lock(State())

    func register(_ provider: any DiskProvider, _ range: ProviderRange) -> UInt64? {
        state.withLock { state in
            guard let id = state.book.register(range) else { return nil }
            state.providers[id] = provider
            return id
        }
    }

    /// What comes of asking: a flight to wait for, and whom to ask if it begins here.
    struct Asked {
        let key: DiskKey
        let id: UInt64
        let flight: Flight
        /// Whom the caller has to ask; nil: somebody does already.
        let provider: (any DiskProvider)?
    }

    func ask(_ asked: DiskKey) -> Asked? {
        state.withLock { state in
            let (key, ask) = state.book.ask(asked)
            switch ask {
            case .nobody: return nil
            case .join(let id):
                guard let flight = state.flights[id] else { invariantBroken("a flight without its place") }
                return Asked(key: key, id: id, flight: flight, provider: nil)
            case .begin(let provider, let id):
                let flight = Flight()
                state.flights[id] = flight
                return Asked(key: key, id: id, flight: flight, provider: state.providers[provider])
            }
        }
    }

    /// Whoever waited no longer does. False: it has landed.
    func leave(_ asked: Asked) -> Bool { state.withLock { $0.book.leave(asked.key, asked.id) } }

    /// Ends a flight. A disk that it brings must have a hold of the flight's own; each who waits gets another.
    func land(_ asked: Asked, _ landed: Landed) {
        let (waiting, enders, dropped) = state.withLock { state in
            let (waiting, ended) = state.book.land(asked.key)
            state.flights[asked.id] = nil
            guard let ended else { return (waiting, [Parker](), nil as (any DiskProvider)?) }
            // Dropped outside the lock: what a provider holds is foreign.
            return (waiting, state.enders.removeValue(forKey: ended) ?? [], state.providers.removeValue(forKey: ended))
        }
        // Nobody joins any more, and whoever has joined waits for the line after this one.
        if case .disk(let disk) = landed { disk.hold(waiting) }
        asked.flight.land(landed)
        _ = consume dropped
        for ender in enders { ender.raise() }
    }

    /// Ends a provider, and waits for its probes on the calling thread.
    func remove(_ id: UInt64) {
        let parker = Parker()
        let (isGone, dropped) = state.withLock { state in
            guard state.book.unregister(id) else {
                state.enders[id, default: []].append(parker)
                return (false, nil as (any DiskProvider)?)
            }
            return (true, state.providers.removeValue(forKey: id))
        }
        _ = consume dropped
        if !isGone { parker.wait() }
    }

    func providers(of major: Int) -> [UInt64] { state.withLock { $0.book.providers(of: major) } }

    /// Who waits for disks that are being made.
    var waiting: Int { state.withLock { $0.book.flights.values.reduce(0) { $0 + $1.waiting } } }
    /// Providers, those too that are ending.
    var count: Int { state.withLock { $0.book.providers.count } }
    /// Those that are ending.
    var ending: Int { state.withLock { $0.book.providers.values.count { $0.isEnding } } }
}

/// Runs each job on a thread of its own: a probe may block.
final class ControlExecutor: TaskExecutor {
    static let shared = ControlExecutor()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // SAFETY: the executor is immortal, and each job is run once.
        WorkerThread.detach(name: "pl-probe") { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
