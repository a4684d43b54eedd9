// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockCore
import BlockSystem
import Synchronization

/// Keeps what it is given; a live one answers it when told that the disk died, a silent one does not.
final class KeepingDriver: BlockDriver, Sendable {
    let capacity: UInt64 = 1 << 21
    private let isSilent: Bool
    private let held = Lock(Held())
    private struct Held: ~Copyable { var bios = BioQueue() }

    init(isSilent: Bool) { self.isSilent = isSilent }

    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .async
        profile.discard = .native
        return profile
    }
    func submit(_ bio: consuming Bio) {
        var bio: Bio? = consume bio
        held.withLock { held in if let bio = bio.take() { held.bios.append(bio) } }
    }
    func abort() { if !isSilent { answerAll() } }
    func answerAll() {
        var all = held.withLock { $0.bios.takeAll() }
        while let bio = all.popFirst() { bio.complete(.ioError) }
    }
}

/// Notes when the last of a number of answers came.
final class LastSink: BioSink, Sendable {
    private let left: Atomic<Int>
    private let at = Atomic<UInt64>(0)
    private let done = Parker()

    init(_ count: Int) { left = Atomic(count) }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        guard left.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        at.store(Instant.now.nanoseconds, ordering: .relaxed)
        done.raise()
    }

    /// When that was; nil: not within ten seconds.
    func wait() -> UInt64? {
        done.wait(until: Instant.now + .seconds(10)) ? at.load(ordering: .relaxed) : nil
    }
}

/// From the request to pull a disk to the last failure that a submitter hears of.
enum RemovalBench {
    static let depth = 1024

    static func run() {
        let alone = live(rounds: 200, openers: 0, disks: 0)
        figure("removal.live", alone)
        figure("removal.live.crowd", live(rounds: 200, openers: 64, disks: 100))
        figure("removal.silent.over", silent(rounds: 40))
    }

    private static func figure(_ name: String, _ times: [Double]) {
        let spread = Spread(times)
        Report.figure("\(name).median", spread.median, "us")
        Report.figure("\(name).p99", spread.quantile(0.99), "us")
    }

    private static func live(rounds: Int, openers: Int, disks: Int) -> [Double] {
        let registry = DiskRegistry()
        for _ in 0..<disks { _ = add(KeepingDriver(isSilent: false), registry) }
        return (0..<rounds).map { _ in
            Measure.onWorker {
                round(registry, KeepingDriver(isSilent: false), openers: openers, deadline: .seconds(5)) ?? .nan
            }
        }
    }

    /// How long after the deadline the last failure came.
    private static func silent(rounds: Int) -> [Double] {
        let registry = DiskRegistry()
        let deadline = Duration.milliseconds(20)
        return (0..<rounds).map { _ in
            let driver = KeepingDriver(isSilent: true)
            let time = Measure.onWorker { round(registry, driver, openers: 0, deadline: deadline) ?? .nan }
            driver.answerAll()
            return time - Double(deadline.nanoseconds) / 1000
        }
    }

    private static func add(_ driver: any BlockDriver, _ registry: DiskRegistry) -> Disk {
        var options = DiskOptions()
        options.scansPartitions = false
        do throws(DiskError) {
            return try registry.addBlocking(driver, options)
        } catch {
            invariantBroken(error.reason)
        }
    }

    private static func open(_ disk: Disk, _ sink: any BioSink) -> Opener {
        do throws(DiskError) {
            return try disk.part0.open(.readWrite, as: OpenerIdentity(kind: "bench"), depth: depth, sink: sink)
        } catch {
            invariantBroken(error.reason)
        }
    }

    private static func round(
        _ registry: DiskRegistry, _ driver: KeepingDriver, openers: Int, deadline: Duration
    ) -> Double? {
        let disk = add(driver, registry)
        let sink = LastSink(depth)
        let opener = open(disk, sink)
        let others = OpenerShelf(count: openers) { open(disk, sink) }
        for token in 0..<depth {
            opener.submit(
                .discard, SectorRange(start: UInt64(token) * 8, count: 8), data: .none, token: UInt64(token))
        }
        let gone = Parker()
        let start = Instant.now.nanoseconds
        disk.requestRemoval(.surprise, deadline: deadline) { _ in gone.raise() }
        let last = sink.wait()
        gone.wait()
        opener.close()
        others.closeAll()
        return last.map { Double($0 &- start) / 1000 }
    }
}

/// Openers in a row, which no array can hold.
struct OpenerShelf: ~Copyable {
    private struct Link: ~Copyable {
        var opener: Opener?
    }
    private static let pool = StablePool<Link>()
    private let links: Stable<Link>?
    private let count: Int

    init(count: Int, _ make: () -> Opener) {
        self.count = count
        guard count > 0 else {
            links = nil
            return
        }
        let links = Self.pool.take(count) { _ in Link(opener: nil) }
        for index in 0..<count { links.advanced(by: index).element.opener = make() }
        self.links = links
    }

    consuming func closeAll() {
        guard let links else { return }
        for index in 0..<count { links.advanced(by: index).element.opener = nil }
        Self.pool.giveBack(links, count: count)
    }
}
