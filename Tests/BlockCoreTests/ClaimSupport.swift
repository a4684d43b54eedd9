// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Glibc
import Testing

/// A disk with a partition table that stops where the test says: when it is opened, set, or aborted.
final class DoorDriver: BlockDriver, Sendable {
    private let table: TableDriver
    private let lines = Lock<[String]>([])
    let inOpened = Hook<(@Sendable () -> Void)?>(nil)
    let inSet = Hook<(@Sendable () -> Void)?>(nil)
    let inAbort = Hook<(@Sendable () -> Void)?>(nil)
    let refusal = Lock<BlockStatus?>(nil)

    init(sectors: UInt64 = 4096) { table = TableDriver(sectors: sectors) }

    var capacity: UInt64 { table.capacity }
    var profile: DriverProfile { table.profile }
    func submit(_ bio: consuming Bio) { table.submit(bio) }
    func write(table entries: [(start: UInt32, count: UInt32)]) { table.write(table: entries) }

    var log: [String] { lines.withLock { $0 } }
    private func note(_ line: String) { lines.withLock { $0.append(line) } }

    func opened() throws(BlockStatus) {
        note("opened")
        inOpened.value?()
        if let refusal = refusal.withLock({ $0 }) { throw refusal }
    }
    func closed() { note("closed") }
    func set(_ key: String, to value: String) throws(DriverSettingError) {
        note("set")
        inSet.value?()
        note("set done")
    }
    func abort() {
        note("abort")
        inAbort.value?()
    }
    func stop() { note("stop") }
    func released() { note("released") }
}

/// A place where a thread of the core is made to stop until the test lets it go on.
final class Door: Sendable {
    private let arrived = Parker()
    private let opened = Parker()

    /// Called by who is to stop.
    func pass() {
        arrived.raise()
        opened.wait(until: Instant.now + .seconds(60))
    }

    /// Whether somebody stands before it.
    func isReached() -> Bool { arrived.wait(until: Instant.now + .seconds(30)) }
    func open() { opened.raise() }
}

/// Hears what a holder hears, of each device.
final class CountingHolder: HolderDelegate, Sendable {
    let holder: Holder
    private let lines = Lock<[String]>([])
    /// Called inside `died`.
    let inDied = Hook<(@Sendable (BlockDevice) -> Void)?>(nil)

    init(_ name: String) { holder = Holder(kind: "test", name: name) }

    var log: [String] { lines.withLock { $0 } }
    private func note(_ line: String) { lines.withLock { $0.append(line) } }

    func died(_ device: BlockDevice, _ mode: RemovalMode) {
        note("\(device.name) died")
        inDied.value?(device)
    }
    func resized(_ device: BlockDevice, to sectors: UInt64) { note("\(device.name) resized to \(sectors)") }
    func frozen(_ device: BlockDevice) { note("\(device.name) frozen") }
    func thawed(_ device: BlockDevice) { note("\(device.name) thawed") }
    func askedToLeave(_ device: BlockDevice) { note("\(device.name) asked") }
}

extension BlockDevice {
    /// Opens it for a holder that hears for itself.
    func hold(_ by: CountingHolder, _ mode: OpenMode = .readWrite, sink: any BioSink = CountingSink())
        async throws(DiskError)
        -> Opener
    {
        try await open(mode, as: tester, for: by.holder, sink: sink, delegate: by)
    }
}

/// Runs on a thread of its own, so that what it waits for can be brought about meanwhile.
final class OnThread<Result: Sendable>: Sendable {
    private struct Held: Sendable { var result: Result }
    private let held = Lock<Held?>(nil)
    private let done = Parker()

    init(_ body: @escaping @Sendable () -> Result) {
        WorkerThread.detach(name: "test") { [self] in
            let result = body()
            held.withLock { $0 = Held(result: result) }
            done.raise()
        }
    }

    var isOver: Bool { done.isRaised }
    /// What came of it; nil: nothing within the limit that makes it a failure.
    func end() -> Result? { done.wait(until: Instant.now + .seconds(60)) ? held.withLock { $0 }?.result : nil }
}

/// The error number of what a body throws; 0 if it does not.
func thrown(_ body: () throws(DiskError) -> Void) -> Int32 {
    do throws(DiskError) {
        try body()
        return 0
    } catch {
        return error.errno
    }
}

func thrown(_ body: () async throws(DiskError) -> Void) async -> Int32 {
    do throws(DiskError) {
        try await body()
        return 0
    } catch {
        return error.errno
    }
}
