// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockCore
import BlockDrivers
import BlockSystem

/// A device of nothing that answers at once: what is left is the core.
final class InstantDriver: BlockDriver {
    let capacity: UInt64 = 1 << 21
    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        profile.discard = .native
        profile.writeZeroes = .native
        return profile
    }
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
}

/// Counts answers, and keeps the buffers that come back.
final class BenchSink: BioSink, @unchecked Sendable {
    // SAFETY: answers come inside the submission, on its thread; nobody else looks meanwhile.
    struct Shelf: ~Copyable { var buffer: IOBuffer? }
    struct Counts { var answered = 0, failed = 0 }
    static let places = 32
    // Pool memory, because a check for overlapping access would be measured along with the core.
    let shelf = StablePool<Shelf>().take(places) { _ in Shelf(buffer: try? IOBuffer(count: 4096)) }
    private let counts = StablePool<Counts>().take(1) { _ in Counts() }

    var answered: Int { counts.element.answered }
    var failed: Int { counts.element.failed }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        counts.element.answered &+= 1
        if status != .ok { counts.element.failed &+= 1 }
        if let buffer { shelf.advanced(by: Int(token)).element.buffer = consume buffer }
    }

    /// The memory of one of the buffers, lent.
    func memory(_ place: Int) -> IOMemory { shelf.advanced(by: place).element.buffer?.memory ?? .none }

    /// One of the buffers, moved out.
    func data(_ place: Int) -> BioData {
        if let buffer = shelf.advanced(by: place).element.buffer.take() { return .owned(buffer, count: 4096) }
        return .none
    }
}

/// A disk and an opener of it, for one thread.
final class Rig: @unchecked Sendable {
    // SAFETY: used by one worker thread at a time.
    let registry = DiskRegistry()
    let sink = BenchSink()
    let disk: Disk
    var opener: Opener
    private let pageMask: UInt64

    init(_ driver: any BlockDriver) {
        var options = DiskOptions()
        options.keepsStyle = true
        options.scansPartitions = false
        do throws(DiskError) {
            disk = try registry.addBlocking(driver, options)
            opener = try disk.part0.open(.readWrite, as: OpenerIdentity(kind: "bench"), sink: sink)
        } catch {
            invariantBroken(error.reason)
        }
        let pages = driver.capacity / 8
        invariant(pages & (pages - 1) == 0, "a size that is a power of two")
        pageMask = pages - 1
    }

    /// `count` operations in batches of 32.
    @inline(__always)
    func batches(_ count: Int, _ submit: (Int) -> Void) {
        var done = position.add(count) &- count
        let end = done &+ count
        while done < end {
            opener.beginBatch()
            for place in 0..<32 { submit(done &+ place) }
            opener.endBatch()
            done += 32
        }
    }

    /// Where the last measurement ended: the next goes on from there, so that it does not find its own pages in the cache.
    private let position = Counter()

    func dataless(_ count: Int) {
        batches(count) { index in
            opener.submit(.discard, range(index), data: .none, token: UInt64(index & 31))
        }
    }
    func lent(_ operation: BioOperation, _ count: Int) {
        batches(count) { index in
            opener.submit(operation, range(index), data: .borrowed(sink.memory(index & 31)), token: UInt64(index & 31))
        }
    }
    func owned(_ operation: BioOperation, _ count: Int) {
        batches(count) { index in
            opener.submit(operation, range(index), data: sink.data(index & 31), token: UInt64(index & 31))
        }
    }
    func single(_ count: Int) {
        let start = position.add(count) &- count
        for index in start..<start &+ count {
            opener.submit(.read, range(index), data: .borrowed(sink.memory(index & 31)), token: UInt64(index & 31))
        }
    }

    /// Every page once, in an order without pattern: an odd factor permutes what a power of two counts.
    @inline(__always)
    private func range(_ index: Int) -> SectorRange {
        SectorRange(start: (UInt64(truncatingIfNeeded: index) &* 0x9e37_79b1 & pageMask) &* 8, count: 8)
    }

    /// Writes every page once, so that copies copy.
    func fill() {
        for page in 0...pageMask {
            opener.submit(.write, SectorRange(start: page * 8, count: 8), data: .borrowed(sink.memory(0)), token: 0)
        }
    }
}

extension Rig {
    /// Writes an image of whole pages to the start of the disk.
    func write(_ image: [UInt8]) {
        for page in 0..<image.count / 4096 {
            sink.memory(0).copy(from: Array(image[page * 4096..<(page + 1) * 4096]))
            opener.submit(
                .write, SectorRange(start: UInt64(page) * 8, count: 8), data: .borrowed(sink.memory(0)), token: 0)
        }
    }
}

/// One I/O through the core, in this process.
enum DataPathBench {
    static let operations = 2048

    static func runNull() {
        let rig = Rig(InstantDriver())
        figure("null.dataless", rig) { rig.dataless(operations) }
        figure("null.lent", rig) { rig.lent(.read, operations) }
        figure("null.owned", rig) { rig.owned(.read, operations) }
        figure("null.single", rig) { rig.single(operations) }
        let clock = Measure.nanoseconds(per: operations) {
            for _ in 0..<operations { _ = Instant.now }
        }
        Report.figure("clock.read", clock, "ns")
    }

    static func runRam() {
        for (name, bytes) in [("1m", UInt64(1) << 20), ("1g", UInt64(1) << 30)] {
            guard let memory = try? SparseMemory() else { continue }
            let rig = Rig(RamDriver(capacity: bytes / 512, memory: memory))
            Measure.onWorker { rig.fill() }
            figure("ram.\(name).read", rig) { rig.lent(.read, operations) }
            figure("ram.\(name).write", rig) { rig.lent(.write, operations) }
        }
    }

    private static func figure(_ name: String, _ rig: Rig, _ sample: @escaping @Sendable () -> Void) {
        let time = Measure.onWorker { Measure.nanoseconds(per: operations, sample) }
        invariant(rig.sink.failed == 0, "every I/O of a measurement succeeds")
        Report.figure(name, time, "ns")
    }
}
