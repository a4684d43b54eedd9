// SPDX-License-Identifier: Apache-2.0

public import BlockCore
public import BlockSystem
internal import Synchronization

/// A disk in memory. It takes room only for the pages that were written; discard and write zeroes give them back.
///
/// When memory runs out, a write is answered `noSpace`; what was written before stays readable.
public final class RamDriver: BlockDriver {
    private let memory: SparseMemory
    private let sectors: Atomic<UInt64>

    /// A disk of `capacity` sectors, with what `memory` holds.
    public init(capacity: UInt64, memory: SparseMemory) {
        self.memory = memory
        sectors = Atomic(capacity)
    }

    /// Sectors now.
    public var capacity: UInt64 { sectors.load(ordering: .relaxed) }

    /// Everything at once, nothing outlives the process; pages are what is stored.
    public var profile: DriverProfile {
        var profile = DriverProfile.volatile(.inline)
        profile.physicalBlockSize = SparseMemory.pageSize
        return profile
    }

    /// Does it here and now.
    public func submit(_ bio: consuming Bio) {
        let status = perform(bio)
        bio.complete(status)
    }

    private func perform(_ bio: borrowing Bio) -> BlockStatus {
        let offset = bio.sector * UInt64(sectorSize)
        do throws(SystemError) {
            switch bio.operation {
            case .read: memory.read(at: offset, into: bio.memory)
            case .write: try memory.write(at: offset, from: bio.memory)
            case .flush: break
            case .discard: memory.punch(at: offset, count: bio.sectorCount * UInt64(sectorSize))
            case .writeZeroes where bio.flags.contains(.noUnmap):
                try memory.zero(at: offset, count: Int(bio.sectorCount) * sectorSize)
            case .writeZeroes: memory.punch(at: offset, count: bio.sectorCount * UInt64(sectorSize))
            }
            return .ok
        } catch {
            return .noSpace
        }
    }

    /// Pages that were written are data, all else is a hole.
    public func extents(of range: SectorRange) -> [DeviceExtent] {
        memory.runs(at: range.start * UInt64(sectorSize), count: range.count * UInt64(sectorSize)).map { run in
            DeviceExtent(count: run.count / UInt64(sectorSize), kind: run.isPresent ? .data : .hole)
        }
    }

    /// Up to 256 TiB. What a smaller size cuts off is given back, and zero when the disk grows again.
    public func resize(to newSize: UInt64) throws(BlockStatus) {
        guard newSize <= SparseMemory.limit / UInt64(sectorSize) else { throw .noSpace }
        let old = capacity
        // What I/O that was under way during an earlier shrink left behind the end must not come back.
        if newSize > old { clear(old, newSize) }
        sectors.store(newSize, ordering: .relaxed)
        if newSize < old { clear(newSize, old) }
    }

    private func clear(_ start: UInt64, _ end: UInt64) {
        memory.punch(at: start * UInt64(sectorSize), count: (end - start) * UInt64(sectorSize))
    }

    /// The bytes that it takes up.
    public var settings: [(key: String, value: String)] {
        [("allocated", ByteSize.format(UInt64(memory.presentBytes)))]
    }
}

extension DriverProfile {
    /// What devices without a medium have in common: everything is done at once, and nothing outlives the process.
    static func volatile(_ style: SubmissionStyle) -> DriverProfile {
        var profile = DriverProfile()
        profile.style = style
        profile.fua = .native
        profile.discard = .native
        profile.writeZeroes = .native
        profile.hasFastZeroes = true
        profile.isVolatile = true
        return profile
    }
}
