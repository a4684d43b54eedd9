// SPDX-License-Identifier: Apache-2.0

package import BlockCore
package import BlockSystem
internal import Synchronization

/// One bio as a sequence of system calls: what to call first, and what after each result. It makes no call itself, so
/// that a ring and a thread do the same.
///
/// ```
///   read, write ─▶ transfer ─(short)─▶ transfer …                       ─▶ done
///   flush ───────────────────────────────────────────────▶ sync         ─▶ done
///   discard ─────▶ punch ──────────────────(fua)─────────▶ sync         ─▶ done
///   writeZeroes ─▶ punch ─(refused)─▶ zero range ─(refused)─▶ write zeroes ─▶ done, each with the sync if fua
/// ```
package struct FileJob: Sendable {
    /// What to do next.
    package enum Step: Sendable {
        /// Make this call, and ask again with its result.
        case call(FileCall)
        /// The answer.
        case done(BlockStatus)
    }

    private enum Phase {
        case transfer, punch, zeroRange, writeZeroes, sync

        /// The first; for zeroes `start` looks for a better one.
        init(_ operation: BioOperation) {
            self =
                switch operation {
                case .read, .write: .transfer
                case .flush: .sync
                case .discard: .punch
                case .writeZeroes: .zeroRange
                }
        }
    }

    /// The bio, owed until the job is done.
    let token: UInt64
    private let operation: BioOperation
    private let flags: BioFlags
    private let offset: UInt64
    private let count: UInt64
    /// The bio's memory.
    private let memory: IOMemory
    private let bounce: BounceBuffer?
    private var phase: Phase
    private var done: UInt64 = 0

    /// Takes the bio over. `nil` and an answered bio where there is no memory for what direct I/O needs.
    init?(_ bio: consuming Bio, _ backing: FileBacking) {
        operation = bio.operation
        flags = bio.flags
        offset = bio.sector * UInt64(sectorSize)
        count = bio.sectorCount * UInt64(sectorSize)
        memory = bio.memory
        phase = Phase(bio.operation)
        if let alignment = backing.memoryAlignment, bio.operation.hasData, !bio.memory.isAligned(to: alignment) {
            guard let bounce = try? BounceBuffer(count: bio.memory.count) else {
                bio.complete(.noMemory)
                return nil
            }
            if bio.operation == .write { bounce.memory.copy(from: bio.memory) }
            self.bounce = bounce
        } else {
            bounce = nil
        }
        token = bio.intoToken()
    }

    /// For tests: a job without a bio.
    package init(
        _ operation: BioOperation, flags: BioFlags = [], offset: UInt64, count: UInt64, memory: IOMemory = .none
    ) {
        token = 0
        bounce = nil
        (self.operation, self.flags, self.offset, self.count, self.memory) = (operation, flags, offset, count, memory)
        phase = Phase(operation)
    }

    /// The first step.
    package mutating func start(_ backing: FileBacking) -> Step {
        if operation == .writeZeroes { phase = firstZeroing(backing) }
        return call(backing)
    }

    /// The next step, after the call of the last one gave `result`.
    package mutating func next(after result: Int, _ backing: FileBacking) -> Step {
        if result < 0 { return failed(Int32(-result), backing) }
        switch phase {
        case .transfer, .writeZeroes:
            guard result > 0 else { return .done(operation == .read ? backing.endedEarly() : .ioError) }
            done += UInt64(result)
            guard done >= count else {
                // Direct I/O that stopped within a block met the end of the file, and cannot go on from there.
                if done % backing.offsetAlignment != 0 {
                    return .done(operation == .read ? backing.endedEarly() : .ioError)
                }
                return call(backing)
            }
            if operation == .read, let bounce { memory.copy(from: bounce.memory) }
            return .done(.ok)
        case .punch, .zeroRange:
            guard flags.contains(.fua) else { return .done(.ok) }
            phase = .sync
            return call(backing)
        case .sync: return .done(.ok)
        }
    }

    private mutating func failed(_ errno: Int32, _ backing: FileBacking) -> Step {
        switch (phase, SystemError(errno: errno).name) {
        case (_, "EAGAIN"), (_, "EINTR"):
            return call(backing)
        // Only these mean "not here"; any other failure of a hole is a failure of the medium.
        case (.punch, "EOPNOTSUPP"), (.punch, "ENOSYS"), (.punch, "EINVAL"):
            backing.punches.store(false, ordering: .relaxed)
            guard operation == .writeZeroes else { return .done(.notSupported) }
            phase = firstZeroing(backing)
            return call(backing)
        case (.zeroRange, "EOPNOTSUPP"), (.zeroRange, "ENOSYS"), (.zeroRange, "EINVAL"):
            backing.zeroesRanges.store(false, ordering: .relaxed)
            phase = firstZeroing(backing)
            return call(backing)
        default:
            return .done(backing.failure(errno))
        }
    }

    /// The best way to zeroes that the flags allow and the file system has not refused.
    private func firstZeroing(_ backing: FileBacking) -> Phase {
        if !flags.contains(.noUnmap), backing.punches.load(ordering: .relaxed) { return .punch }
        if backing.zeroesRanges.load(ordering: .relaxed) { return .zeroRange }
        return .writeZeroes
    }

    private func call(_ backing: FileBacking) -> Step {
        switch phase {
        case .transfer:
            let rest = (bounce?.memory ?? memory).slice(Int(done), Int(count - done))
            return .call(
                operation == .read
                    ? .read(at: offset + done, into: rest)
                    : .write(at: offset + done, from: rest, durable: flags.contains(.fua)))
        case .punch:
            if operation == .discard, !backing.punches.load(ordering: .relaxed) { return .done(.notSupported) }
            return .call(.space(.punchHole, at: offset, count: count))
        case .zeroRange:
            // The kernel zeroes a device's range by writing where the device cannot do it: not what "fast" means.
            if flags.contains(.fastZero), backing.isBlockDevice { return .done(.notSupported) }
            return .call(.space(.zeroRange, at: offset, count: count))
        case .writeZeroes:
            if flags.contains(.fastZero) { return .done(.notSupported) }
            guard let zeroes = backing.zeroes(count - done) else { return .done(.noMemory) }
            return .call(.write(at: offset + done, from: zeroes, durable: flags.contains(.fua)))
        case .sync:
            return .call(.sync)
        }
    }

    /// Answers the bio.
    func answer(_ status: BlockStatus) {
        if let bio = Bio.fromToken(token) { bio.complete(status) }
    }
}
