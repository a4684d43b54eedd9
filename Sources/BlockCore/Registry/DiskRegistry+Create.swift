// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Keeps a provider registered.
public struct ProviderRegistration: Sendable {
    let id: UInt64
}

extension DiskRegistry {
    /// How often an open looks again when what it found was on its way out.
    static let openRetries = 3

    /// Registers who makes disks of a range when somebody opens them with ``openOrCreate(_:_:as:depth:sink:delegate:deadline:)``.
    ///
    /// - Throws: EINVAL for a range that cannot be or a major that is not registered, EBUSY for one that is taken.
    public func register(
        _ provider: any DiskProvider, for range: ProviderRange
    ) throws(DiskError) -> ProviderRegistration {
        switch range {
        case .names(let pattern):
            guard Self.isValidPattern(pattern) else {
                throw DiskError(
                    errno: DiskError.invalid,
                    reason: "'\(pattern)' cannot be a pattern of names: a letter, then letters, digits and _.-*")
            }
        case .numbers(let major, let minors, let perDisk):
            guard isRegistered(major) else {
                throw DiskError(
                    errno: DiskError.invalid, reason: "major \(major) has a provider only once it is registered")
            }
            guard !minors.isEmpty, minors.lowerBound >= 0, minors.upperBound <= Self.minorLimit,
                (1...Self.deviceLimit).contains(perDisk), minors.count % perDisk == 0
            else {
                throw DiskError(
                    errno: DiskError.invalid,
                    reason: "minors \(minors.lowerBound) to \(minors.upperBound - 1) cannot be disks of \(perDisk) each"
                )
            }
        }
        guard let id = providers.register(provider, range) else {
            throw DiskError(errno: DiskError.busy, reason: "another provider makes these disks already")
        }
        return ProviderRegistration(id: id)
    }

    /// Ends a provider: waits for a probe that is running, and when this returns it is not called any more (T78). Disks
    /// that it has made stay. A provider that ended before is fine.
    public func unregister(_ registration: ProviderRegistration) async {
        await onOwnThread("pl-unregister") { [providers] in providers.remove(registration.id) }
    }

    /// Gives a major back. Disks that use it stay; providers of its numbers end, which waits for a running probe (T78).
    public func unregisterMajor(_ major: Int) async {
        forgetMajor(major)
        await onOwnThread("pl-unregister") { [providers] in
            for id in providers.providers(of: major) { providers.remove(id) }
        }
    }

    /// A letter, then up to thirty letters, digits, underscores, dots, dashes or stars.
    private static func isValidPattern(_ pattern: String) -> Bool {
        isValidName(String(pattern.map { $0 == "*" ? "x" : $0 })) && pattern.first != "*"
    }

    /// Opens a device by its name or number, and lets a provider make it first if it is not there.
    ///
    /// Of several that ask for one key at a time one has it made, and all get the same disk, or the same error. A disk that
    /// is found on its way out is waited for, and looked for again, up to three times; so an open meets the living disk or
    /// a fresh one, never half a one (T24, T25).
    ///
    /// - Parameter deadline: how long all of it may take.
    /// - Throws: what ``BlockDevice/open(_:as:depth:sink:delegate:)`` throws; ENXIO when there is no such disk and nobody
    ///   makes it, ETIMEDOUT at the deadline.
    public func openOrCreate(
        _ key: DiskKey, _ mode: OpenMode, as identity: OpenerIdentity, depth: Int = 128, sink: any BioSink,
        delegate: (any OpenerDelegate)? = nil, deadline: Duration = .seconds(30)
    ) async throws(DiskError) -> Opener {
        let box = try await onControlThread("pl-open") { [self] () throws(DiskError) in
            let opener = try openOrCreateBlocking(
                key, mode, as: identity, depth: depth, sink: sink, delegate: delegate, deadline: deadline)
            return OpenedBox(opener)
        }
        guard let opener = box.take() else { invariantBroken("an opener was taken twice") }
        return opener
    }

    /// The same for callers with a thread of their own: it may wait for providers and drivers, up to the deadline.
    public func openOrCreateBlocking(
        _ key: DiskKey, _ mode: OpenMode, as identity: OpenerIdentity, depth: Int = 128, sink: any BioSink,
        delegate: (any OpenerDelegate)? = nil, deadline: Duration = .seconds(30)
    ) throws(DiskError) -> Opener {
        let end = Instant.now + deadline
        for _ in 0...Self.openRetries {
            // Held until the open is in or refused: a disk that was made for it does not vanish in between.
            let hold: DiskHold?
            if find(key) == nil {
                guard let made = try create(key, until: end) else { continue }
                hold = made
            } else {
                hold = nil
            }
            guard let device = find(key, in: hold?.disk) else {
                hold?.end()
                continue
            }
            do throws(DiskError) {
                let opener = try device.open(
                    mode, as: identity, depth: depth, sink: sink, delegate: delegate)
                hold?.end()
                return opener
            } catch {
                hold?.end()
                guard device.disk.wasDying(error, until: end) else { throw error }
            }
        }
        throw Self.noSuchDevice(key, "it was on its way out each time it was found")
    }

    /// Opens that wait for a disk that is being made.
    package var providersWaiting: Int { providers.waiting }
    /// Providers that are registered, and those of them that are ending.
    package var providerCount: Int { providers.count }
    package var providersEnding: Int { providers.ending }

    private func find(_ key: DiskKey) -> BlockDevice? {
        switch key {
        case .name(let name): device(named: name)
        case .number(let number): device(numbered: number)
        }
    }

    /// The device of a key; on the disk that was made for it, hidden or not, where there is one.
    private func find(_ key: DiskKey, in disk: Disk?) -> BlockDevice? {
        guard let disk else { return find(key) }
        switch key {
        case .name: return disk.part0
        case .number(let number): return disk.devices.first { $0.number == number }
        }
    }

    private static func noSuchDevice(_ key: DiskKey, _ why: String) -> DiskError {
        var name: String?
        if case .name(let text) = key { name = text }
        return DiskError(errno: DiskError.noSuchDevice, disk: name, reason: "there is no disk \(key): \(why)")
    }

    /// Has the disk made, or waits for whoever does. nil: look again.
    private func create(_ key: DiskKey, until end: Instant) throws(DiskError) -> DiskHold? {
        // Before anything is made that no disk could be called by.
        if case .name(let name) = key, !Self.isValidName(name) {
            throw Self.noSuchDevice(key, "no disk can have this name")
        }
        guard let asked = providers.ask(key) else { throw Self.noSuchDevice(key, "and nobody makes it") }
        if let provider = asked.provider {
            // On threads of its own: whoever asked leaves at his deadline, the probe goes on.
            Task.detached(executorPreference: ControlExecutor.shared) { [self] in await fly(asked, provider) }
        }
        if !asked.flight.done.wait(until: end) {
            guard !providers.leave(asked) else {
                throw DiskError(
                    errno: DiskError.timedOut, reason: "the provider of \(key) did not answer in time: try again later")
            }
            // It is just landing, with a hold that is ours.
            asked.flight.done.wait()
        }
        switch asked.flight.landed {
        case .disk(let disk): return DiskHold(adopting: disk)
        case .taken:
            // By one who is about to give it back, perhaps: then not before that.
            owner(of: asked.key)?.awaitEnd(until: end)
            return nil
        case .nothing(let why): throw Self.noSuchDevice(key, why)
        case nil: invariantBroken("a flight landed without anything")
        }
    }

    private func fly(_ asked: ProviderTable.Asked, _ provider: any DiskProvider) async {
        let landed: ProviderTable.Landed
        do {
            if let provided = try await provider.probe(asked.key) {
                var options = provided.options
                switch asked.key {
                case .name(let name): options.name = name
                case .number(let number):
                    options.major = number.major
                    options.firstMinor = number.minor
                    options.minors = max(options.minors, 1)
                }
                options.initialHolds = 1
                do throws(DiskError) {
                    landed = .disk(try addBlocking(provided.driver, options))
                } catch {
                    provided.undo?()
                    throw error
                }
            } else {
                landed = .nothing("its provider has none")
            }
        } catch let error as DiskError where error.errno == DiskError.exists {
            landed = .taken
        } catch {
            landed = .nothing("its provider failed: \(error)")
        }
        providers.land(asked, landed)
        if case .disk(let disk) = landed { disk.endHold() }
    }
}

/// Carries an opener out of a thread.
private final class OpenedBox: Sendable {
    private let held: Lock<Opener?>
    init(_ opener: consuming Opener) { held = Lock(consume opener) }
    func take() -> Opener? { held.withLock { $0.take() } }
}

/// Runs what may wait on a thread of its own, and waits for it without one.
func onOwnThread(_ name: String, _ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
        WorkerThread.detach(name: name) {
            body()
            continuation.resume()
        }
    }
}
