// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem

/// Another disk or partition, only slower: each I/O is held for a time and then handed on. A flush where nothing below
/// has a write cache has nothing to do, and is not held.
///
/// When it is told of its death it answers what it holds at once. The times can be set while it runs; what is held keeps
/// the time it came with.
public final class DelayDriver: BlockDriver {
    /// How long what kind of I/O is held.
    struct Times: Sendable, Equatable {
        var read = Duration.zero
        /// Also for discard and write zeroes.
        var write = Duration.zero
        var flush = Duration.zero

        func time(of operation: BioOperation) -> Duration {
            switch operation {
            case .read: read
            case .write, .discard, .writeZeroes: write
            case .flush: flush
            }
        }
    }

    private let engine: StackEngine
    private let line: DelayLine
    private let times: Lock<Times>

    init(_ engine: StackEngine, _ times: Times) {
        self.engine = engine
        self.times = Lock(times)
        line = DelayLine(isOpen: true) { engine.submit($0) }
    }

    deinit {
        line.stop()
        engine.close()
    }

    /// That of what it stands on.
    public var capacity: UInt64 { engine.capacity }
    /// That of what it stands on.
    public var profile: DriverProfile { engine.profile }
    /// For whom it claims that.
    public var holder: Holder? { engine.holder }

    /// Hands it on when its time has come.
    public func submit(_ bio: consuming Bio) {
        let operation = bio.operation
        let time = times.withLock { $0.time(of: operation) }
        if time <= .zero { engine.submit(bio) } else { line.hold(bio, for: time) }
    }

    /// As that below knows it, and at once.
    public func extents(of range: SectorRange) -> [DeviceExtent] { engine.extents(of: range) }

    /// `read=5ms`, `write=5ms`, `flush=5ms`.
    public func set(_ key: String, to value: String) throws(DriverSettingError) {
        let time: Duration
        do throws(ConfigurationError) {
            time = try DurationText.parse(value, key: key)
        } catch {
            throw DriverSettingError("delay: \(error.reason)")
        }
        let isKnown = times.withLock { times in
            switch key {
            case "read": times.read = time
            case "write": times.write = time
            case "flush": times.flush = time
            default: return false
            }
            return true
        }
        guard isKnown else { throw DriverSettingError("delay: \(key)= cannot be set: use read=, write= or flush=") }
    }

    /// What it stands on, and the times.
    public var settings: [(key: String, value: String)] {
        let times = times.withLock { $0 }
        return [
            ("lower", engine.windowTexts.joined(separator: " ")),
            ("orphaned", engine.goesWhenLost ? "remove" : "stay"),
            ("read", DurationText.format(times.read)), ("write", DurationText.format(times.write)),
            ("flush", DurationText.format(times.flush)),
        ]
    }
    /// Whether that is dead.
    public var notes: [String] { engine.notes }
    /// That is dead.
    public func onDeath(_ report: @escaping @Sendable () -> Void) { engine.onDeath(report) }
    /// That has another size.
    public func onCapacityChange(_ report: @escaping @Sendable () -> Void) { engine.onCapacityChange(report) }

    /// Answers what it holds.
    public func abort() {
        line.die()
        engine.abort()
    }

    /// Ends the line's thread, and gives what it stands on back.
    public func stop() {
        line.stop()
        engine.close()
    }
}
