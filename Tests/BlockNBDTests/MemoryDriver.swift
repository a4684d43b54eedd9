// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization

/// A disk in memory for the tests: it answers inline, or keeps what it gets, or may block; it can be told where its
/// holes are, and to fail.
final class MemoryDriver: BlockDriver {
    let capacity: UInt64
    let driverName = "memory"
    let profile: DriverProfile
    private let data: IOMemory
    private let buffer: Lock<Kept>
    private let held = Lock(Held())
    private let keeping = Atomic<Bool>(false)
    private let failing = Atomic<UInt8>(0)
    let flushes = Counter()
    let reads = Counter()
    let writes = Counter()
    let durableWrites = Counter()
    let holes: Lock<[DeviceExtent]?>

    private final class Held {
        var bios = BioQueue()
    }

    /// Keeps the memory: an IOBuffer cannot be in a lock.
    private final class Kept: Sendable {
        let buffer: IOBuffer
        init(_ count: Int) throws(SystemError) { buffer = try IOBuffer(count: count) }
    }

    init(
        sectors: UInt64, style: SubmissionStyle = .inline, _ change: (inout DriverProfile) -> Void = { _ in }
    ) throws(SystemError) {
        capacity = sectors
        var profile = DriverProfile()
        profile.style = style
        profile.discard = .native
        profile.writeZeroes = .native
        profile.fua = .native
        profile.hasWriteCache = true
        change(&profile)
        self.profile = profile
        let kept = try Kept(Int(sectors) * sectorSize)
        data = kept.buffer.memory
        data.zero()
        buffer = Lock(kept)
        holes = Lock(nil)
    }

    /// Everything that comes from now on is kept unanswered.
    func keep() { keeping.store(true, ordering: .sequentiallyConsistent) }

    /// Answers everything that was kept, in the order it came, and what comes from now on.
    func letGo() {
        keeping.store(false, ordering: .sequentiallyConsistent)
        while let bio = takeKept() {
            // An inline driver was done with the memory in its submit; it is somebody else's by now.
            if profile.style == .inline { bio.complete(.ok) } else { run(bio) }
        }
    }

    private func takeKept() -> Bio? {
        var first: Bio?
        held.withLock { held in
            first = held.bios.popFirst()
        }
        return first
    }

    /// How many are kept.
    var keptCount: Int { held.withLock { $0.bios.count } }

    /// From now on every I/O is answered with this.
    func fail(_ status: BlockStatus) { failing.store(status.rawValue, ordering: .relaxed) }

    func fill(_ pattern: (Int) -> UInt8) {
        data.withMutableBytes { bytes in
            for index in 0..<bytes.byteCount {
                bytes.storeBytes(of: pattern(index), toByteOffset: index, as: UInt8.self)
            }
        }
    }

    func submit(_ bio: consuming Bio) {
        if keeping.load(ordering: .relaxed) {
            // An inline driver is done with the memory when it returns.
            if profile.style == .inline, bio.operation.hasData { touch(bio.operation, bio.sector, bio.memory) }
            var kept: Bio? = consume bio
            held.withLock { held in if let bio = kept.take() { held.bios.append(bio) } }
            return
        }
        run(bio)
    }

    private func run(_ bio: consuming Bio) {
        let failing = BlockStatus(rawValue: failing.load(ordering: .relaxed)) ?? .ok
        guard failing == .ok else { return bio.complete(failing) }
        if bio.flags.contains(.fua) { durableWrites.add() }
        switch bio.operation {
        case .read: reads.add()
        case .write: writes.add()
        case .flush: flushes.add()
        case .discard, .writeZeroes:
            data.slice(Int(bio.sector) * sectorSize, Int(bio.sectorCount) * sectorSize).zero()
        }
        if bio.operation.hasData { touch(bio.operation, bio.sector, bio.memory) }
        bio.complete(.ok)
    }

    private func touch(_ operation: BioOperation, _ sector: UInt64, _ memory: IOMemory) {
        let place = data.slice(Int(sector) * sectorSize, memory.count)
        if operation == .read { memory.copy(from: place) } else { place.copy(from: memory) }
    }

    func abort() { letGo() }

    func extents(of range: SectorRange) -> [DeviceExtent] {
        guard let map = holes.withLock({ $0 }) else { return [DeviceExtent(count: range.count, kind: .data)] }
        var position: UInt64 = 0
        var found: [DeviceExtent] = []
        for extent in map {
            let start = max(position, range.start)
            let end = min(position + extent.count, range.start + range.count)
            if start < end { found.append(DeviceExtent(count: end - start, kind: extent.kind)) }
            position += extent.count
        }
        return found
    }
}
