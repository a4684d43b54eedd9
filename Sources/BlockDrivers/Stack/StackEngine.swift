// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// Windows of other devices, one behind the other, as one range of sectors: what `linear` is, and `delay` stands on.
///
/// An I/O is parked in a table while its pieces, one for each window that it touches, are done through handles of the
/// engine's own. The devices are claimed for ``holder`` from the making of the engine until ``close()``. A piece on a dead
/// device is answered `ioError`, as long as another one lives; when all are dead, so is the disk.
final class StackEngine: Sendable {
    /// As deep as each handle; what comes beyond waits in line.
    static let depth = 256

    let holder: Holder
    let windows: [Window]
    /// One window for each device, for flushes.
    private let devices: [Window]
    private let table = BioTable(capacity: depth)
    /// The sectors of the last window.
    private let lastCount: Atomic<UInt64>
    /// Whether the disk goes when all it stands on is dead.
    let goesWhenLost: Bool

    private struct Reports {
        var death: (@Sendable () -> Void)?
        var capacity: (@Sendable () -> Void)?
        var notes: [String] = []
    }
    private let reports = Lock(Reports())

    /// Claims and opens the devices.
    /// - Context: may wait for other claims, and for drivers.
    init(
        _ kind: String, _ plans: [WindowPlan], goesWhenLost: Bool, _ context: DriverContext
    ) throws(ConfigurationError) {
        var found: [BlockDevice] = []
        for plan in plans { found.append(try context.device(plan.lower, for: kind)) }
        let block = UInt64(found.map(\.disk.profile.logicalBlockSize).max() ?? sectorSize)
        var windows: [Window] = []
        var start: UInt64 = 0
        for (index, plan) in plans.enumerated() {
            let size = try Self.check(plan, found[index].size, block, kind)
            let isLast = index == plans.count - 1
            windows.append(
                Window(
                    lower: Lower(found[index]), lowerStart: plan.offset / UInt64(sectorSize), start: start,
                    count: isLast && plan.size == nil ? nil : size))
            start += size
        }
        holder = Holder(kind: kind)
        self.windows = windows
        self.goesWhenLost = goesWhenLost
        devices = windows.enumerated().filter { index, window in
            !windows[..<index].contains {
                $0.lower.device.disk === window.lower.device.disk
                    && $0.lower.device.partitionNumber == window.lower.device.partitionNumber
            }
        }.map(\.element)
        lastCount = Atomic(0)
        lastCount.store(
            windows.last.map { Self.count(of: $0, on: $0.lower.device.size, block) } ?? 0, ordering: .relaxed)
        do throws(DiskError) {
            for (index, window) in windows.enumerated() { try open(window, index) }
        } catch {
            close()
            throw ConfigurationError("\(kind): \(error.reason)", errno: error.errno)
        }
        // Whoever died before it was opened could not tell; nor can a size that changed meanwhile.
        if let last = windows.last { follow(last.lower.device, last.lower.device.size) }
    }

    deinit { close() }

    /// The sectors of a window; EINVAL where it does not lie on its device.
    private static func check(
        _ plan: WindowPlan, _ sectors: UInt64, _ block: UInt64, _ kind: String
    ) throws(ConfigurationError) -> UInt64 {
        for (key, value) in [("offset", plan.offset), ("size", plan.size ?? 0)] where value % block != 0 {
            throw ConfigurationError(
                "\(kind): \(key)=\(ByteSize.format(value)) of lower=\(plan.lower) is not a multiple of \(block) bytes")
        }
        let bytes = sectors * UInt64(sectorSize)
        let rest = plan.offset < bytes ? (bytes - plan.offset) / block * block : 0
        guard rest > 0, plan.size ?? rest <= rest else {
            throw ConfigurationError(
                "\(kind): a window of \(plan.size.map { ByteSize.format($0) } ?? "any size") from offset "
                    + "\(ByteSize.format(plan.offset)) does not lie on \(plan.lower), which has \(ByteSize.format(bytes))"
            )
        }
        return (plan.size ?? rest) / UInt64(sectorSize)
    }

    private static func count(of window: Window, on sectors: UInt64, _ block: UInt64) -> UInt64 {
        if let count = window.count { return count }
        let factor = block / UInt64(sectorSize)
        return sectors > window.lowerStart ? (sectors - window.lowerStart) / factor * factor : 0
    }

    private func open(_ window: Window, _ index: Int) throws(DiskError) {
        let lower = window.lower
        let opener = try lower.device.openBlocking(
            lower.isReadOnly ? .read : .readWrite, as: OpenerIdentity(kind: holder.kind), for: holder,
            depth: Self.depth, sink: PieceSink(self, lower), delegate: self)
        lower.put(SharedOpener(opener))
    }

    /// Gives the devices back. Only when no I/O is under way: after the drain, or if the disk never came to be.
    func close() { for window in windows { window.lower.close() } }

    // MARK: What it is

    var capacity: UInt64 { (windows.last?.start ?? 0) + lastCount.load(ordering: .relaxed) }

    private func count(of index: Int) -> UInt64 { windows[index].count ?? lastCount.load(ordering: .relaxed) }

    /// What all can do, in units that suit all.
    var profile: DriverProfile {
        let all = windows.map(\.lower.device.disk.profile)
        var profile = DriverProfile()
        profile.style = .async
        profile.logicalBlockSize = all.map(\.logicalBlockSize).max() ?? sectorSize
        var limits = QueueLimits()
        for window in windows {
            let device = window.lower.device
            limits = limits.stacked(on: device.disk.limits, startSector: device.start + window.lowerStart)
        }
        // Windows do not begin where the chunks of the disk above would: those below split for themselves.
        limits.chunkSectors = 0
        profile.limits = limits
        profile.physicalBlockSize = max(limits.physicalBlockSize, profile.logicalBlockSize)
        profile.optimalIO = limits.optimalIO
        profile.hasWriteCache = all.contains(where: \.hasWriteCache)
        // Each lower does it by itself, or its core does it for it.
        profile.fua = .native
        profile.discard = all.allSatisfy { $0.discard != .unsupported } ? .native : .unsupported
        profile.writeZeroes = all.allSatisfy { $0.writeZeroes != .unsupported } ? .native : .unsupported
        profile.hasFastZeroes = profile.writeZeroes == .native && all.allSatisfy(\.hasFastZeroes)
        profile.isRotational = all.contains(where: \.isRotational)
        profile.isReadOnly = windows.contains(where: \.lower.isReadOnly)
        profile.isVolatile = all.contains(where: \.isVolatile)
        return profile
    }

    /// The windows as they are written, and where they end.
    var windowTexts: [String] {
        windows.indices.map { index in
            let window = windows[index]
            let offset = ByteSize.format(window.lowerStart * UInt64(sectorSize))
            let size = window.count.map { ",size=" + ByteSize.format($0 * UInt64(sectorSize)) } ?? ""
            return "\(window.lower.device.name),offset=\(offset)\(size)"
        }
    }

    var notes: [String] { reports.withLock { $0.notes } }

    // MARK: I/O

    /// Does a bio now, or when the table has room for it.
    func submit(_ bio: consuming Bio) { table.run(bio) { begin($0, $1) } }

    /// The disk is dead: what waits for room is answered; what is under way below comes back from there.
    func abort() { table.failWaiting(.gone) }

    private func begin(_ seat: Int, _ work: BioWork) {
        if work.operation == .flush {
            for window in devices {
                send(seat, window, .flush, SectorRange(start: 0, count: 0), work.flags, .none)
            }
            return
        }
        var rest = work.range
        var done: UInt64 = 0
        var index = self.index(of: rest.start)
        while rest.count > 0, index < windows.count {
            let window = windows[index]
            let inside = rest.start - window.start
            let count = min(rest.count, count(of: index) > inside ? count(of: index) - inside : 0)
            if count > 0 {
                let memory =
                    work.operation.hasData
                    ? work.memory.slice(Int(done) * sectorSize, Int(count) * sectorSize) : IOMemory.none
                let range = SectorRange(start: window.lowerStart + inside, count: count)
                send(seat, window, work.operation, range, work.flags, memory)
            }
            done += count
            rest = SectorRange(start: rest.start + count, count: rest.count - count)
            index += 1
        }
        // It has shrunk since the core looked.
        if rest.count > 0 {
            table.addPart(seat)
            answer(seat, .outOfRange)
        }
    }

    private func send(
        _ seat: Int, _ window: Window, _ operation: BioOperation, _ range: SectorRange, _ flags: BioFlags,
        _ memory: IOMemory
    ) {
        table.addPart(seat)
        guard !window.lower.isLost, let opener = window.lower.opener else {
            answer(seat, .ioError)
            return
        }
        if window.lower.device.disk.isTraced, operation != .flush, let disk = holder.disk {
            let start = window.start + (range.start - window.lowerStart)
            window.lower.device.traceRemap(operation, flags, range, from: (disk.number, start))
        }
        opener.submit(
            operation, range, flags: flags, data: operation.hasData ? .borrowed(memory) : .none, token: UInt64(seat))
    }

    /// The window that has a sector: the last that begins at or before it.
    private func index(of sector: UInt64) -> Int {
        var (low, high) = (0, windows.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if windows[middle].start <= sector { low = middle } else { high = middle }
        }
        return low
    }

    fileprivate func answer(_ seat: Int, _ status: BlockStatus) { table.answerPart(seat, status) { begin($0, $1) } }

    /// Where the beginning of a range is data, hole or zero: as far as its window goes.
    func extents(of range: SectorRange) -> [DeviceExtent] {
        let index = index(of: range.start)
        let window = windows[index]
        let inside = range.start - window.start
        let count = min(range.count, count(of: index) > inside ? count(of: index) - inside : 0)
        let asked = SectorRange(start: window.lowerStart + inside, count: count)
        guard count > 0, let opener = window.lower.opener, case .success(let extents) = opener.extents(of: asked) else {
            return [DeviceExtent(count: range.count, kind: .data)]
        }
        return extents
    }

    // MARK: What it hears and tells

    func onDeath(_ report: @escaping @Sendable () -> Void) {
        reports.withLock { $0.death = report }
        // They may all have died before there was anybody to tell.
        tellIfLost()
    }

    func onCapacityChange(_ report: @escaping @Sendable () -> Void) { reports.withLock { $0.capacity = report } }

    fileprivate func lose(_ device: BlockDevice) {
        let isNews = windows.filter {
            $0.lower.device.disk === device.disk && $0.lower.device.partitionNumber == device.partitionNumber
        }.map { $0.lower.lose() }.contains(true)
        guard isNews else { return }
        reports.withLock { $0.notes.append("\(device.name) is gone: I/O on its part of the disk fails") }
        tellIfLost()
    }

    private func tellIfLost() {
        guard goesWhenLost, windows.allSatisfy(\.lower.isLost) else { return }
        reports.withLock { $0.death }?()
    }

    /// An open-ended last window goes as far as its device does.
    private func follow(_ device: BlockDevice, _ sectors: UInt64) {
        guard let last = windows.last, last.count == nil, last.lower.device.disk === device.disk,
            last.lower.device.partitionNumber == device.partitionNumber, sectors > 0
        else { return }
        let block = UInt64(windows.map(\.lower.device.disk.profile.logicalBlockSize).max() ?? sectorSize)
        let count = Self.count(of: last, on: sectors, block)
        guard lastCount.exchange(count, ordering: .relaxed) != count else { return }
        reports.withLock { $0.capacity }?()
    }
}

extension StackEngine: HolderDelegate {
    func died(_ device: BlockDevice, _ mode: RemovalMode) { lose(device) }
    func resized(_ device: BlockDevice, to sectors: UInt64) { follow(device, sectors) }
    // Its I/O waits below, and with it that of the disk.
    func frozen(_ device: BlockDevice) {}
    func thawed(_ device: BlockDevice) {}
}

/// Takes the answers of one window. Only its handle has it, so that handle, sink and engine keep each other no longer than
/// until the handle is closed.
private final class PieceSink: BioSink {
    private let engine: StackEngine
    private let lower: Lower

    init(_ engine: StackEngine, _ lower: Lower) {
        self.engine = engine
        self.lower = lower
    }

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        switch status {
        case .gone, .noMedium:
            // The disk itself is not gone: a part of it is.
            engine.lose(lower.device)
            engine.answer(Int(token), .ioError)
        case .outOfRange: engine.answer(Int(token), .ioError)
        default: engine.answer(Int(token), status)
        }
    }
}
