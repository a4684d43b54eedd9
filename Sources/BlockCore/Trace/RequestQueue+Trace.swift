// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// Where an I/O is written down. All of it lies on the careful way, which a traced disk's I/O goes: on the other way
/// nobody asks.
extension RequestQueue {
    /// A trace has begun or ended.
    func noteTracer() {
        // Under the tracer's lock, so that of a begin and an end the later one is what is seen.
        tracer.withLock { isTraced.store($0 != nil, ordering: .relaxed) }
        lookAgain()
    }

    /// No more comes. False: there was none.
    @discardableResult
    func endTrace() -> Bool {
        let last = tracer.withLock { $0.take() }
        noteTracer()
        last?.end()
        return last != nil
    }

    private var trace: TraceWriter? {
        isTraced.load(ordering: .relaxed) ? tracer.withLock { $0 } : nil
    }

    /// It has come to the disk: where from, and as what it was submitted. Once for each I/O.
    func traceArrival(_ slot: Stable<BioSlot>, _ core: OpenerCore) {
        guard !slot.element.todo.contains(.traced), let trace else { return }
        slot.element.todo.insert(.traced)
        let isPlanned = slot.element.todo.contains(.planned)
        let operation = slot.element.askedOperation
        var what = TraceCategories(operation, isPlanned ? slot.element.whole.flags : slot.element.flags)
        // What its plan does in steps is asked no more of any one of them.
        if isPlanned, slot.element.whole.stage == .before { what.insert(.flush) }
        if isPlanned, slot.element.whole.flushesAfter { what.insert(.fua) }
        let start = isPlanned ? slot.element.whole.sector : slot.element.sector
        let range = SectorRange(start: operation == .flush ? 0 : start, count: slot.element.askedSectors)
        let device = core.device
        let identity = core.record.identity
        if device.partitionNumber > 0, operation != .flush {
            let from = [
                TraceRecord.bigEndian(device.number.packed, device.disk.number.packed),
                (range.start - device.start).byteSwapped,
            ]
            trace.write(
                .remapped, what, range, time: slot.element.start, process: identity, following: from)
        }
        trace.write(.queued, what, range, time: slot.element.start, process: identity)
    }

    /// A step on its way to the driver.
    func trace(_ action: TraceAction, _ slot: Stable<BioSlot>, _ core: OpenerCore) {
        trace(action, TraceStep(slot, core))
    }

    /// The same, of a slot that may be another thread's by now.
    func trace(_ action: TraceAction, _ step: TraceStep?) {
        guard let step, let trace else { return }
        trace.write(action, step.what, step.range, time: step.time, process: step.process)
    }

    /// The present step was cut from what it was; the rest begins at `rest`.
    func traceSplit(_ slot: Stable<BioSlot>, _ core: OpenerCore, whole: SectorRange, rest: UInt64) {
        guard slot.element.todo.contains(.traced), let trace else { return }
        trace.write(
            .split, slot.element.traceCategories, whole, time: Instant.now.nanoseconds, process: core.record.identity,
            following: [rest.byteSwapped])
    }

    /// Answered, by whomever. The slot still says what the step was.
    func traceAnswer(_ slot: Stable<BioSlot>, _ core: OpenerCore, _ status: BlockStatus) {
        guard slot.element.todo.contains(.traced), let trace else { return }
        trace.write(
            .completed, slot.element.traceCategories, slot.element.range, time: Instant.now.nanoseconds,
            process: core.record.identity, error: status)
    }
}

/// What a record says of a slot's present step; nil: it is not traced.
struct TraceStep {
    let what: TraceCategories
    let range: SectorRange
    let time: UInt64
    let process: OpenerIdentity

    init?(_ slot: Stable<BioSlot>, _ core: OpenerCore) {
        guard slot.element.todo.contains(.traced) else { return nil }
        what = slot.element.traceCategories
        range = slot.element.range
        time = Instant.now.nanoseconds
        process = core.record.identity
    }
}

extension BioSlot {
    fileprivate var range: SectorRange { SectorRange(start: sector, count: sectorCount) }
    fileprivate var traceCategories: TraceCategories { TraceCategories(operation, flags) }
}

extension BlockDevice {
    /// Notes in the trace of its disk, if one runs, that an I/O which is about to be submitted comes from another device: a
    /// driver that stands on this one calls it.
    ///
    /// - Parameters:
    ///   - range: relative to this device.
    ///   - source: the device it comes from, with the sector there.
    public func traceRemap(
        _ operation: BioOperation, _ flags: BioFlags, _ range: SectorRange,
        from source: (number: DeviceNumber, sector: UInt64)
    ) {
        guard disk.isTraced, let trace = disk.queue.tracer.withLock({ $0 }) else { return }
        let from = [TraceRecord.bigEndian(source.number.packed, number.packed), source.sector.byteSwapped]
        trace.write(
            .remapped, TraceCategories(operation, flags), SectorRange(start: range.start + start, count: range.count),
            time: Instant.now.nanoseconds, process: nil, following: from)
    }
}
