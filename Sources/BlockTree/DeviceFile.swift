// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// An open file of `dev/`: an opener of the device, and what is under way through it.
///
/// Replies go to the kernel from wherever the core's answer comes: nothing waits for the thread that reads requests.
/// The memory is owned by the core while the driver has it, so an answer at a deadline leaves nothing of ours behind.
final class DeviceFile: BioSink {
    let device: BlockDevice
    let isWritable: Bool
    private let channel: FuseChannel
    private let line: DiskLine
    private let blockSize: Int
    private let limits: DiskLine.Limits
    // SAFETY: set before anybody else knows of the file, and only read from then on.
    private let opener = Confined<SharedOpener?>(nil)

    private struct State {
        /// What the core has, by request.
        var transfers: [UInt64: DeviceTransfer] = [:]
        /// What waits for a place at the opener.
        var waiting = TransferQueue()
        /// What the core has, that which was given up included.
        var active = 0
        var isClosed = false
    }
    private let state = Lock(State())
    private static let depth = 128

    init(
        _ device: BlockDevice, isWritable: Bool, _ channel: FuseChannel, limits: DiskLine.Limits = DiskLine.Limits()
    ) {
        self.limits = limits
        self.device = device
        self.isWritable = isWritable
        self.channel = channel
        line = DiskLine.line(of: device.disk)
        blockSize = device.disk.profile.logicalBlockSize
    }

    /// Opens the device.
    /// - Context: may block. Before the file is known to anybody.
    func open(as identity: OpenerIdentity, noDelay: Bool) throws(DiskError) {
        // What is written in part is read first.
        var mode: OpenMode = isWritable ? .readWrite : .read
        if noDelay { mode.insert(.noDelay) }
        opener.value = SharedOpener(try device.open(mode, as: identity, depth: Self.depth, sink: self))
    }

    /// Closes it, as soon as the core has answered what it has: until then the driver may write, and others keep out of
    /// those blocks. What was not submitted never is.
    /// - Context: may block.
    func close() {
        let (left, isIdle) = state.withLock { state -> ([DeviceTransfer], Bool) in
            state.isClosed = true
            return (state.waiting.takeAll(), state.active == 0)
        }
        for transfer in left { leave(transfer) }
        if isIdle { opener.value?.close() }
    }

    var bytes: UInt64 { device.size * UInt64(sectorSize) }

    // MARK: What is asked for

    /// Reads what lies on the device; less at its end, nothing behind it.
    func read(_ unique: UInt64, at offset: UInt64, _ wanted: Int) {
        let size = bytes
        // Without a size there is no end to read to: the driver's side says why.
        if size == 0 { return probe(unique, orElse: 0) }
        guard offset < size, wanted > 0 else { return channel.send(FuseReply.dataHead(unique, 0)) }
        let count = Int(min(UInt64(wanted), size - offset))
        let (range, lead) = blocks(offset, count)
        begin(DeviceTransfer(unique, .read, .read, range, lead: lead, count: count))
    }

    /// A copy of what is to be written; nil: there is no memory.
    static func payload(_ data: IOMemory) -> IOBuffer? {
        guard let payload = try? IOBuffer(count: max(data.count, 1)) else { return nil }
        payload.memory.slice(0, data.count).copy(from: data)
        return payload
    }

    /// Writes what fits; nothing fits behind the end.
    func write(
        _ unique: UInt64, at offset: UInt64, _ payload: consuming IOBuffer?, count wanted: Int, durable: Bool
    ) {
        let size = bytes
        // A disk that is gone hears all that it loses, so that its report is true.
        let isLost = size == 0 && device.disk.isDead && offset < UInt64(Int64.max)
        if size == 0, !isLost { return probe(unique, orElse: FuseErrno.noSpace) }
        guard isWritable else { return refuse(unique, FuseErrno.badHandle) }
        guard offset < size || isLost else { return refuse(unique, FuseErrno.noSpace) }
        let count = isLost ? wanted : Int(min(UInt64(wanted), size - offset))
        guard count > 0 else { return channel.send(FuseReply.written(unique, 0)) }
        guard let payload else { return refuse(unique, FuseErrno.noMemory) }
        let (range, lead) = blocks(offset, count)
        let isWhole = lead == 0 && Int(range.count) * sectorSize == count
        let transfer = DeviceTransfer(
            unique, isWhole ? .write : .patch, .write, range, flags: durable ? .fua : [], lead: lead, count: count,
            payload: consume payload)
        guard admit(transfer) else { return }
        startInLine(transfer, isAlone: !isWhole)
    }

    /// Makes what was written durable.
    func flush(_ unique: UInt64) {
        begin(DeviceTransfer(unique, .command, .flush, SectorRange(start: 0, count: 0)))
    }

    /// fallocate(2), as a block device does it: a hole and zeroes read as zeroes afterwards; nothing else is there.
    func allocate(_ unique: UInt64, at offset: UInt64, _ count: UInt64, mode: UInt32) {
        let size = bytes
        if size == 0 { return probe(unique, orElse: FuseErrno.invalid) }
        guard isWritable else { return refuse(unique, FuseErrno.badHandle) }
        let keepsSize = mode & 1 != 0
        let isHole = mode & ~1 == 2 && keepsSize
        let isZeroes = mode & ~1 == 16
        let profile = device.disk.profile
        guard isHole || isZeroes, profile.writeZeroes != .unsupported else {
            return refuse(unique, FuseErrno.notSupported)
        }
        // Whoever punches wants room back: writing zeroes all over a disk is not that.
        guard isZeroes || profile.writeZeroes == .native else { return refuse(unique, FuseErrno.notSupported) }
        guard offset < size, count > 0 else { return refuse(unique, FuseErrno.invalid) }
        guard keepsSize || count <= size - offset else { return refuse(unique, FuseErrno.invalid) }
        let length = min(count, size - offset)
        guard (offset | length) % UInt64(blockSize) == 0 else { return refuse(unique, FuseErrno.invalid) }
        let range = SectorRange(start: offset / UInt64(sectorSize), count: length / UInt64(sectorSize))
        let transfer = DeviceTransfer(unique, .command, .writeZeroes, range, flags: isZeroes ? .noUnmap : [])
        guard admit(transfer) else { return }
        startInLine(transfer, isAlone: false)
    }

    /// The next data (`whence` 3) or hole (4) at or after an offset.
    /// - Context: may block.
    func seek(_ unique: UInt64, from offset: UInt64, _ whence: UInt32) {
        let size = bytes
        guard whence == 3 || whence == 4 else { return refuse(unique, FuseErrno.invalid) }
        guard offset < size else { return refuse(unique, size == 0 ? FuseErrno.noDevice : FuseErrno.noSuchAddress) }
        var sector = offset / UInt64(sectorSize)
        let end = size / UInt64(sectorSize)
        while sector < end {
            switch opener.value?.extents(of: SectorRange(start: sector, count: end - sector)) {
            case .success(let extents):
                for extent in extents {
                    if (extent.kind == .data) == (whence == 3) {
                        return channel.send(FuseReply.sought(unique, max(offset, sector * UInt64(sectorSize))))
                    }
                    sector += extent.count
                }
                if extents.isEmpty { return refuse(unique, FuseErrno.ioError) }
            case .failure(let status): return refuse(unique, status.errno)
            case nil: return refuse(unique, FuseErrno.noDevice)
            }
        }
        if whence == 4 { return channel.send(FuseReply.sought(unique, size)) }
        refuse(unique, FuseErrno.noSuchAddress)
    }

    /// Lets the submitter of what only reads or flushes go, if it is still waited for: its answer is dropped.
    func giveUp(_ unique: UInt64) -> Bool {
        let (isGivenUp, unsent) = state.withLock { state -> (Bool, DeviceTransfer?) in
            if let transfer = state.waiting.remove(where: { $0.unique == unique && $0.mayBeGivenUp }) {
                return (true, transfer)
            }
            guard state.transfers[unique]?.mayBeGivenUp == true else { return (false, nil) }
            // The core has it still, and counts.
            state.transfers[unique] = nil
            return (true, nil)
        }
        if let unsent { leave(unsent) }
        if isGivenUp { refuse(unique, FuseErrno.interrupted) }
        return isGivenUp
    }

    // MARK: The way down

    private func blocks(_ offset: UInt64, _ count: Int) -> (range: SectorRange, lead: Int) {
        let block = UInt64(blockSize)
        let first = offset / block * block
        let end = (offset + UInt64(count) + block - 1) / block * block
        return (
            SectorRange(start: first / UInt64(sectorSize), count: (end - first) / UInt64(sectorSize)),
            Int(offset - first)
        )
    }

    /// Hears from the driver's side why there is no size: the disk is gone, or has no medium. Always by a read: nobody
    /// knows what a write would meet.
    private func probe(_ unique: UInt64, orElse error: Int32) {
        let range = SectorRange(start: 0, count: UInt64(blockSize / sectorSize))
        begin(DeviceTransfer(unique, .probe(error), .read, range, count: blockSize))
    }

    /// What needs no place in the line.
    private func begin(_ transfer: DeviceTransfer) {
        if admit(transfer) { start(transfer) }
    }

    /// Counts it with what is under way on the disk, or refuses it.
    private func admit(_ transfer: DeviceTransfer) -> Bool {
        if line.admit(transfer.kept, limits) { return true }
        refuse(transfer.unique, FuseErrno.tryAgain)
        return false
    }

    /// It is no longer under way, however it ended.
    private func leave(_ transfer: DeviceTransfer) {
        if transfer.ticket != 0 { line.end(transfer.ticket) }
        line.dismiss(transfer.kept)
    }

    private func startInLine(_ transfer: DeviceTransfer, isAlone: Bool) {
        let range = SectorRange(start: device.start + transfer.range.start, count: transfer.range.count)
        line.begin(range, isAlone: isAlone, told: { transfer.ticket = $0 }) { [self] in start(transfer) }
    }

    private func start(_ transfer: DeviceTransfer) {
        enum Turn { case now, later, never }
        let turn = state.withLock { state -> Turn in
            if state.isClosed { return .never }
            if state.active >= Self.depth {
                state.waiting.append(transfer)
                return .later
            }
            state.active += 1
            state.transfers[transfer.unique] = transfer
            return .now
        }
        switch turn {
        case .now: submit(transfer)
        case .later: break
        case .never:
            refuse(transfer.unique, FuseErrno.noDevice)
            leave(transfer)
        }
    }

    /// In a loop: one for which there is no memory makes room for the next at once.
    private func submit(_ transfer: DeviceTransfer) {
        var next: DeviceTransfer? = transfer
        while let transfer = next { next = handOver(transfer) }
    }

    /// - Returns: who has its place, if it was not handed over.
    private func handOver(_ transfer: DeviceTransfer) -> DeviceTransfer? {
        let unique = transfer.unique
        switch transfer.kind {
        case .command:
            opener.value?.submit(
                transfer.operation, transfer.range, flags: transfer.flags, data: .none, token: unique)
        case .write:
            guard let payload = transfer.payload.take() else { return finish(unique, .noMemory, nil) }
            opener.value?.submit(
                .write, transfer.range, flags: transfer.flags, data: .owned(consume payload, count: transfer.bytes),
                token: unique)
        case .read, .patch, .probe:
            guard let buffer = try? IOBuffer(count: transfer.bytes) else { return finish(unique, .noMemory, nil) }
            opener.value?.submit(
                .read, transfer.range, data: .owned(consume buffer, count: transfer.bytes), token: unique)
        }
        return nil
    }

    // MARK: The way back

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        if let next = finish(token, status, consume buffer) { submit(next) }
    }

    /// What becomes of the table with an answer.
    private struct Turn {
        var transfer: DeviceTransfer?
        var next: DeviceTransfer?
        var goesOn = false
        var closes = false
    }

    /// Answers one, or has a patch go on with its second half.
    /// - Returns: who has its place.
    private func finish(
        _ unique: UInt64, _ status: BlockStatus, _ buffer: consuming IOBuffer?
    ) -> DeviceTransfer? {
        var buffer = consume buffer
        // Taken out before it is answered: whoever gives up finds it, or finds it answered.
        let turn = state.withLock { state -> Turn in
            if let transfer = state.transfers[unique], transfer.kind == .patch, !transfer.isWritingBack, status == .ok {
                transfer.isWritingBack = true
                return Turn(transfer: transfer, goesOn: true)
            }
            var turn = Turn(transfer: state.transfers.removeValue(forKey: unique))
            if let next = state.waiting.popFirst() {
                state.transfers[next.unique] = next
                turn.next = next
            } else {
                state.active -= 1
                turn.closes = state.isClosed && state.active == 0
            }
            return turn
        }
        if turn.goesOn, let transfer = turn.transfer {
            guard let blocks = buffer.take(), let payload = transfer.payload.take() else {
                return finish(unique, .ioError, nil)
            }
            blocks.memory.slice(transfer.lead, transfer.count).copy(from: payload.memory)
            opener.value?.submit(
                .write, transfer.range, flags: transfer.flags, data: .owned(consume blocks, count: transfer.bytes),
                token: unique)
            return nil
        }
        if let transfer = turn.transfer {
            reply(transfer, status, buffer)
            leave(transfer)
        } else {
            // Given up before: it read or flushed.
            line.dismiss(0)
        }
        // The last answer after the close. The driver is told, who may take his time.
        if turn.closes { WorkerThread.detach(name: "pl-tree-close") { [self] in opener.value?.close() } }
        return turn.next
    }

    private func reply(_ transfer: DeviceTransfer, _ status: BlockStatus, _ buffer: borrowing IOBuffer?) {
        let unique = transfer.unique
        switch (status, transfer.kind) {
        case (.ok, .command): channel.send(FuseReply.error(unique, 0))
        case (.ok, .write), (.ok, .patch): channel.send(FuseReply.written(unique, transfer.count))
        case (.ok, .read):
            switch buffer {
            case .some(let filled):
                channel.send(
                    FuseReply.dataHead(unique, transfer.count), filled.memory.slice(transfer.lead, transfer.count))
            case .none: refuse(unique, FuseErrno.ioError)
            }
        case (.ok, .probe(let error)), (.outOfRange, .probe(let error)):
            channel.send(error == 0 ? FuseReply.dataHead(unique, 0) : FuseReply.error(unique, error))
        // The device has shrunk meanwhile: that is its end.
        case (.outOfRange, .read): channel.send(FuseReply.dataHead(unique, 0))
        case (.outOfRange, _): refuse(unique, FuseErrno.noSpace)
        // Only of a device that owes so many answers to this file that nobody could be asked any more.
        case (.again, _): refuse(unique, FuseErrno.timedOut)
        default: refuse(unique, status.errno)
        }
    }

    private func refuse(_ unique: UInt64, _ error: Int32) { channel.send(FuseReply.error(unique, error)) }
}
