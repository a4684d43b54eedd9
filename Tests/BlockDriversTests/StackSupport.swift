// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Testing

extension TestRegistry {
    /// Makes a disk from the words of a command line; its lowers are found here.
    func add(_ driver: String, _ words: String...) async throws -> Disk {
        try await add(driver, words)
    }

    func add(_ driver: String, _ words: [String]) async throws -> Disk {
        let made = try DriverCatalogue.makeWithOptions(
            driver: driver, keys: DriverKeys.split(words), context: DriverContext(registry))
        var options = made.common.options
        options.scansPartitions = false
        return try await registry.add(made.driver, options)
    }

    /// The line that a disk is refused with; nil: it is not.
    func refusal(_ driver: String, _ words: String...) async -> String? {
        do {
            let disk = try await add(driver, words)
            _ = await disk.remove(.surprise)
            return nil
        } catch let error as ConfigurationError {
            return error.reason
        } catch let error as DiskError {
            return error.reason
        } catch {
            return "\(error)"
        }
    }
}

/// A device at the bottom of a stack: it answers, or keeps what it gets until it is told of its death.
final class BottomDriver: BlockDriver, Sendable {
    private struct State: ~Copyable {
        var held = BioQueue()
        var holds = false
        var counts: [BioOperation: Int] = [:]
    }
    private let state = Lock(State())
    let capacity: UInt64
    let profile: DriverProfile
    /// Whether it answers what it keeps when it is told of its death.
    let isLive: Bool

    init(
        capacity: UInt64 = 4096, holds: Bool = false, isLive: Bool = true,
        _ adjust: (inout DriverProfile) -> Void = { _ in }
    ) {
        self.capacity = capacity
        self.isLive = isLive
        var profile = DriverProfile()
        profile.style = .async
        profile.discard = .native
        profile.writeZeroes = .native
        adjust(&profile)
        self.profile = profile
        state.withLock { $0.holds = holds }
    }

    func submit(_ bio: consuming Bio) {
        let operation = bio.operation
        var bio: Bio? = consume bio
        state.withLock { state in
            state.counts[operation, default: 0] += 1
            if state.holds, let bio = bio.take() { state.held.append(bio) }
        }
        bio.take()?.complete(.ok)
    }

    var held: Int { state.withLock { $0.held.count } }
    func count(_ operation: BioOperation) -> Int { state.withLock { $0.counts[operation] ?? 0 } }
    func hold(_ holds: Bool) { state.withLock { $0.holds = holds } }

    func answerAll(_ status: BlockStatus = .ok) {
        var all = state.withLock { $0.held.takeAll() }
        while let bio = all.popFirst() { bio.complete(status) }
    }

    func abort() { if isLive { answerAll(.ioError) } }
    /// Not even a deadline leaves bios behind when the test is over.
    deinit { answerAll(.ioError) }
}

/// Everything that a stack must leave as it found it.
struct Baseline: Equatable {
    let slots: Int
    let bytes: Int
    let threads: Int

    static var now: Baseline {
        Baseline(
            slots: BlockCoreCounts.slotsAlive, bytes: IOBuffer.bytesAlive.value, threads: WorkerThread.running.value)
    }

    /// Whether nothing more is alive than then; the reaper's thread may have begun meanwhile.
    var isBack: Bool {
        let now = Baseline.now
        return now.slots <= slots && now.bytes <= bytes && now.threads <= threads + 1
    }
}
