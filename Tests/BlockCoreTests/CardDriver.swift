// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem

/// A slot for cards in memory, which a test puts in and pulls out, with or without a word to anybody.
final class CardDriver: BlockDriver, Sendable {
    struct State: Sendable {
        var number: UInt64 = 0
        var bytes: [UInt8] = []
        var insertions: UInt64 = 0
        var events: MediaEventSet = []
        var checks = 0
        var flushes = 0
        var failsFlush = false
    }
    private struct Report: Sendable {
        var call: (@Sendable () -> Void)?
    }
    private let state: Lock<State>
    private let report = Lock(Report())
    private let declared: MediaProfile
    private let cached: Bool
    /// Called in each check, before it looks.
    let inCheck = Hook<(@Sendable () -> Void)?>(nil)
    /// Called whenever it is asked what is in.
    let inMedium = Hook<(@Sendable () -> Void)?>(nil)
    /// Called when the card is to come out, before it does.
    let inEject = Hook<(@Sendable () -> Void)?>(nil)
    /// What `insert` takes, by name.
    let cards = Lock<[String: [UInt8]]>([:])

    init(_ card: [UInt8]? = nil, hasWriteCache: Bool = false, _ adjust: (inout MediaProfile) -> Void = { _ in }) {
        var profile = MediaProfile()
        adjust(&profile)
        declared = profile
        cached = hasWriteCache
        state = Lock(State())
        if let card { put(card) }
        state.withLock { $0.events = [] }
    }

    var capacity: UInt64 { medium.capacity }
    var media: MediaProfile? { declared }
    var medium: Medium {
        inMedium.value?()
        return state.withLock { Medium(number: $0.number, capacity: UInt64($0.bytes.count / 512)) }
    }
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        profile.hasWriteCache = cached
        return profile
    }
    var checks: Int { state.withLock { $0.checks } }
    var flushes: Int { state.withLock { $0.flushes } }

    // MARK: What a hand does

    func put(_ card: [UInt8]) {
        state.withLock { state in
            state.insertions += 1
            state.number = state.insertions
            state.bytes = card
            state.events.insert(.change)
        }
    }

    func pull() {
        state.withLock { state in
            state.number = 0
            state.bytes = []
            state.events.insert(.change)
        }
    }

    func press() { state.withLock { _ = $0.events.insert(.ejectRequest) } }
    func failFlush(_ fails: Bool) { state.withLock { $0.failsFlush = fails } }
    /// The device says that there is something to ask for.
    func call() { report.withLock { $0 }.call?() }

    // MARK: What the core asks

    func checkEvents(clearing: MediaEventSet) -> MediaEventSet {
        state.withLock { $0.checks += 1 }
        inCheck.value?()
        return state.withLock { state in
            defer { state.events = [] }
            return state.events
        }
    }

    func onMediaEvent(_ report: @escaping @Sendable () -> Void) { self.report.withLock { $0.call = report } }

    func insert(_ source: String) throws(MediumError) {
        guard let card = cards.withLock({ $0[source] }) else {
            throw MediumError(errno: 2, "there is no card '\(source)'")
        }
        guard state.withLock({ $0.number }) == 0 else { throw MediumError(errno: 16, "there is a card in it already") }
        put(card)
    }

    func eject() throws(MediumError) {
        inEject.value?()
        pull()
    }

    func submit(_ bio: consuming Bio) {
        let status = state.withLock { state -> BlockStatus in
            guard state.number != 0, bio.medium == state.number else { return .noMedium }
            let offset = Int(bio.sector) * 512
            switch bio.operation {
            case .read:
                bio.memory.copy(from: state.bytes.span.extracting(offset..<offset + bio.byteCount).bytes)
            case .write: state.bytes.replaceSubrange(offset..<offset + bio.byteCount, with: bio.memory.array)
            case .flush:
                state.flushes += 1
                if state.failsFlush { return .ioError }
            case .discard, .writeZeroes: break
            }
            return .ok
        }
        bio.complete(status)
    }
}

/// A card with an MBR, and `fill` everywhere behind it.
func card(_ sectors: Int = 4096, fill: UInt8 = 0, table: [(start: UInt32, count: UInt32)] = []) -> [UInt8] {
    var bytes = [UInt8](repeating: fill, count: sectors * 512)
    bytes.replaceSubrange(0..<512, with: [UInt8](repeating: 0, count: 512))
    for (slot, entry) in table.enumerated() {
        let base = 0x1be + slot * 16
        bytes[base + 4] = 0x83
        for byte in 0..<4 {
            bytes[base + 8 + byte] = UInt8(truncatingIfNeeded: entry.start >> (8 * UInt32(byte)))
            bytes[base + 12 + byte] = UInt8(truncatingIfNeeded: entry.count >> (8 * UInt32(byte)))
        }
    }
    bytes[510] = 0x55
    bytes[511] = 0xaa
    return bytes
}
