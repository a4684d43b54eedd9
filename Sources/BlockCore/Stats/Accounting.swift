// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// What a disk counts that is not for every I/O. In the disk itself: an idle one is to be small.
struct Accounts: ~Copyable, Sendable {
    /// I/O that the statistics leave out: what was let in while `queue/iostats` was off. Remembered on the slot, so that
    /// no toggle amid an I/O counts its one end and not the other (T74). The ledger has all of it.
    let uncountedStarted = Atomic<UInt64>(0)
    let uncountedCompleted = Atomic<UInt64>(0)
    let uncountedWrittenSectors = Atomic<UInt64>(0)
    /// Flush commands of the driver that have ended, and how long they took.
    let flushCommands = Atomic<UInt64>(0)
    let flushCommandNanoseconds = Atomic<UInt64>(0)
    /// When the one that is out went out; 0: none is.
    let flushCommandStart = Atomic<UInt64>(0)
    /// How many I/Os were answered with each status.
    private let statuses = InlineArray<14, Atomic<UInt64>> { _ in Atomic(0) }

    func add(_ status: BlockStatus) { statuses[Int(status.rawValue)].wrappingAdd(1, ordering: .relaxed) }
    func count(_ status: BlockStatus) -> UInt64 { statuses[Int(status.rawValue)].load(ordering: .relaxed) }
}

extension RequestQueue {
    /// Whether I/O is counted in the statistics: the switch `queue/iostats`.
    var isCounting: Bool { countsIO.load(ordering: .relaxed) }

    /// Sets that, for I/O that is handed over from now on.
    func setCounting(_ isOn: Bool) {
        countsIO.store(isOn, ordering: .relaxed)
        lookAgain()
    }
}

extension OpenerCore {
    /// Takes out of the statistics what was just let in; its end will not be in them either.
    func leaveOut(_ slot: Stable<BioSlot>) {
        slot.element.todo.insert(.uncounted)
        let cell = slot.element.askedOperation == .read ? DiskStatistics.startedReads : DiskStatistics.startedOthers
        disk.accounts.uncountedStarted.wrappingAdd(1, ordering: .relaxed)
        // Less one: the sums of all threads wrap as one number.
        cells.add(.max, to: cell)
        partitionCells?.add(.max, to: cell)
    }

    /// The end of one that is left out.
    func endLeftOut(_ slot: Stable<BioSlot>) {
        disk.accounts.uncountedCompleted.wrappingAdd(1, ordering: .relaxed)
        if DiskStatistics.group(of: slot.element.askedOperation) == 1 {
            disk.accounts.uncountedWrittenSectors.wrappingAdd(slot.element.askedSectors, ordering: .relaxed)
        }
    }

    /// Says how long one took, and that the disk was busy until now.
    @inline(__always)
    func noteTime(_ spent: UInt64, _ group: Int, _ now: UInt64) {
        cells.add(spent, to: group * 3 + 2)
        partitionCells?.add(spent, to: group * 3 + 2)
        latency.record(spent, group: group)
        noteBusy(now, isEnd: true)
    }

    /// The clock for an I/O that no batch has read it for.
    @inline(never)
    func startAlone() -> UInt64 {
        let now = Instant.now.nanoseconds
        noteBusy(now, isEnd: false)
        return now
    }

    /// The clock was read, at the beginning of something or at its end: once in a millisecond of the clock the busy time
    /// moves on, on the disk and on the partition.
    @inline(__always)
    func noteBusy(_ now: UInt64, isEnd: Bool) {
        if cells.isBehind(now) { moveBusy(now, isEnd) }
        if let partitionCells, partitionCells.isBehind(now) { movePartitionBusy(now, isEnd) }
    }

    @inline(never)
    private func moveBusy(_ now: UInt64, _ isEnd: Bool) {
        cells.moveBusy(to: now, wasBusy: isEnd || disk.isBusy)
    }

    @inline(never)
    private func movePartitionBusy(_ now: UInt64, _ isEnd: Bool) {
        partitionCells?.moveBusy(to: now, wasBusy: isEnd || device.isBusy)
    }
}

extension Disk {
    /// What is under way in it this moment, each I/O looked at: reads, and everything else. Without what the statistics
    /// leave out. Exact when nothing moves, and of one I/O at any moment.
    /// - Parameter partition: a partition's number; nil: the whole disk.
    func underWay(in partition: Int?) -> (reads: Int, others: Int) {
        let cores = state.withLock { Array($0.openers.values) }
        var found = (reads: 0, others: 0)
        for core in cores where partition == nil || core.device.partitionNumber == partition {
            let here = core.underWay
            found.reads += here.reads
            found.others += here.others
        }
        return found
    }

    /// The driver's one flush command goes out now.
    func noteFlushCommand() { accounts.flushCommandStart.store(Instant.now.nanoseconds, ordering: .relaxed) }

    /// It has ended, if it had gone out.
    func noteFlushCommandEnd() {
        let start = accounts.flushCommandStart.exchange(0, ordering: .relaxed)
        guard start != 0 else { return }
        accounts.flushCommands.wrappingAdd(1, ordering: .relaxed)
        accounts.flushCommandNanoseconds.wrappingAdd(Instant.now.nanoseconds &- start, ordering: .relaxed)
    }
}
