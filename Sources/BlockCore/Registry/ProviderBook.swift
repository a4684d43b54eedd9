// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who makes which disks, and which are being made: pure, behind the lock of ``ProviderTable``.
///
/// ```
///   nothing ──ask──▶ flight (probe, add) ──land──▶ nothing        a second ask for the key joins the flight
///   provider: active ──unregister──▶ ending ──its last flight has landed──▶ gone      no probe begins while it is ending
/// ```
struct ProviderBook {
    struct Provider {
        let range: ProviderRange
        var flights = 0
        var isEnding = false
    }
    struct Flight {
        let id: UInt64
        let provider: UInt64
        /// Who waits for it: as many may open the disk that it brings.
        var waiting = 1
    }
    enum Ask: Equatable {
        /// Nobody makes such a disk.
        case nobody
        /// This provider is to be asked, for this flight.
        case begin(provider: UInt64, flight: UInt64)
        /// It is on its way.
        case join(flight: UInt64)
    }

    private(set) var providers: [UInt64: Provider] = [:]
    private(set) var flights: [DiskKey: Flight] = [:]
    private var nextID: UInt64 = 1

    private mutating func newID() -> UInt64 {
        defer { nextID += 1 }
        return nextID
    }

    /// nil: the range is taken by another.
    mutating func register(_ range: ProviderRange) -> UInt64? {
        guard !providers.values.contains(where: { $0.range.collides(with: range) }) else { return nil }
        let id = newID()
        providers[id] = Provider(range: range)
        return id
    }

    /// Somebody wants to open what is not there. The key is that of the disk that has to be made.
    mutating func ask(_ asked: DiskKey) -> (key: DiskKey, ask: Ask) {
        // The first that was registered, where patterns overlap.
        for (id, provider) in providers.sorted(by: { $0.key < $1.key }) where !provider.isEnding {
            guard let key = provider.range.covers(asked) else { continue }
            if let flight = flights[key] {
                flights[key]?.waiting += 1
                return (key, .join(flight: flight.id))
            }
            let flight = newID()
            flights[key] = Flight(id: flight, provider: id)
            providers[id]?.flights += 1
            return (key, .begin(provider: id, flight: flight))
        }
        return (asked, .nobody)
    }

    /// Somebody no longer waits. False: it has landed already, and what it brought is his, too.
    mutating func leave(_ key: DiskKey, _ flight: UInt64) -> Bool {
        guard flights[key]?.id == flight else { return false }
        flights[key]?.waiting -= 1
        return true
    }

    /// The disk is there, or will not be. Returns how many wait for it, and whether that ended its provider.
    mutating func land(_ key: DiskKey) -> (waiting: Int, ended: UInt64?) {
        guard let flight = flights.removeValue(forKey: key) else { invariantBroken("only what flies can land") }
        providers[flight.provider]?.flights -= 1
        return (flight.waiting, endIfIdle(flight.provider) ? flight.provider : nil)
    }

    /// No probe of it begins any more. True: none is under way either, and it is gone.
    mutating func unregister(_ id: UInt64) -> Bool {
        guard providers[id] != nil else { return true }
        providers[id]?.isEnding = true
        return endIfIdle(id)
    }

    private mutating func endIfIdle(_ id: UInt64) -> Bool {
        guard let provider = providers[id], provider.isEnding, provider.flights == 0 else { return false }
        providers[id] = nil
        return true
    }

    /// The providers of numbers under a major.
    func providers(of major: Int) -> [UInt64] {
        providers.filter { if case .numbers(major, _, _) = $0.value.range { true } else { false } }.map(\.key)
    }
}

extension ProviderRange {
    /// Whether two cannot be registered together: the same pattern, or minors in common.
    func collides(with other: ProviderRange) -> Bool {
        switch (self, other) {
        case (.names(let left), .names(let right)): left == right
        case (.numbers(let left, let minors, _), .numbers(let right, let others, _)):
            left == right && minors.overlaps(others)
        case (.names, .numbers), (.numbers, .names): false
        }
    }
}
