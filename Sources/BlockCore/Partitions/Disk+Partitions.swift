// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem

/// What a rescan found, and what it changed.
public struct RescanReport: Sendable, Codable, Equatable {
    /// `gpt` or `dos`; nil: no table.
    public var table: String?
    /// Partitions that are there now.
    public var partitions: Int
    /// Names of partitions that are new.
    public var added: [String]
    /// Names of partitions that are gone.
    public var removed: [String]
    /// What the scan had to say.
    public var warnings: [String]
}

extension Disk {
    struct TableRead {
        var result: PartitionScan
        var timedOut: Bool
    }

    /// Reads the table. May wait for the driver until the deadline: only on threads of the control side.
    func readTable(deadline: Instant) -> TableRead {
        guard var reader = DeviceReader(self, deadline: deadline) else {
            var nothing = MemoryPartitionSource([])
            return TableRead(result: scanPartitions(&nothing), timedOut: false)
        }
        let result = scanPartitions(&reader)
        return TableRead(result: result, timedOut: reader.hasTimedOut)
    }

    /// `pl0p1`: a `p` in between when the name ends in a digit.
    func partitionName(_ number: Int) -> String {
        let endsInDigit = name.utf8.last.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
        return name + (endsInDigit ? "p" : "") + String(number)
    }

    /// Devices with names and numbers reserved, not installed yet. One that cannot be had does not stop the others.
    func makePartitions(_ scan: PartitionScan, keeping kept: [Int: BlockDevice] = [:]) -> [BlockDevice] {
        scan.entries.compactMap { entry in
            if let same = kept[entry.number] { return same }
            let name = partitionName(entry.number)
            guard registry.reserve(name, for: sequence) else { return nil }
            var wanted: DeviceNumber?
            if let major = options.major, entry.number < options.minors {
                wanted = DeviceNumber(major: major, minor: options.firstMinor + entry.number)
            }
            guard let number = registry.reserveNumber(wanted, for: sequence) else {
                registry.release(name, of: sequence)
                return nil
            }
            let device = BlockDevice(disk: self, name: name, number: number, entry: entry)
            registry.fill(name, self, device)
            registry.fill(number, self, device)
            return device
        }
    }

    func install(_ partitions: [BlockDevice], _ scan: PartitionScan) {
        state.withLock { state in
            state.partitions = partitions
            state.table = scan.table
            state.warnings = scan.warnings
        }
    }

    /// The roll back of an add.
    func dropPartitions() {
        let partitions = state.withLock { state in
            defer { state.partitions = [] }
            return state.partitions
        }
        for partition in partitions {
            partition.unlist()
            registry.unpublish(partition)
        }
    }

    /// Reads the table again and makes the partitions what it says.
    ///
    /// Partitions that did not change keep their identity, openers and counters. If one that is open would change or
    /// vanish, nothing is touched at all.
    /// - Throws: EBUSY with the openers in the way, EIO when the table cannot be read, ENODEV when the disk is gone.
    public func rescan(deadline: Duration = .seconds(10)) async throws(DiskError) -> RescanReport {
        try await onControlThread("pl-rescan") { [self] () throws(DiskError) in
            try rescanBlocking(deadline: deadline)
        }
    }

    /// After the last writer of the whole disk has closed: a table that was written appears by itself.
    func rescanAfterWrite() {
        WorkerThread.detach(name: "pl-rescan") { [self] in
            do throws(DiskError) {
                _ = try rescanBlocking(deadline: .seconds(10))
            } catch {
                guard error.errno == DiskError.busy else { return }
                guard !error.openers.isEmpty else {
                    // Another rescan or a resize is under way; the next last close tries again.
                    state.withLock { $0.isTableStale = true }
                    return
                }
                // A table whose partitions are open is left as it is, and said.
                state.withLock { state in
                    guard state.lifecycle.state == .live else { return }
                    state.warnings = ["the table was written but not read again: \(error.reason)"]
                    registry.events.append([event(.change, of: part0, extra: ["PLATTER_RESCAN=busy"])])
                }
                registry.events.pump()
            }
        }
    }

    func rescanBlocking(deadline: Duration) throws(DiskError) -> RescanReport {
        try beginReconfiguring()
        defer { state.withLock { $0.isReconfiguring = false } }
        let read = readTable(deadline: Instant.now + deadline)
        if read.timedOut {
            throw DiskError(
                errno: DiskError.ioError, disk: name, sequence: sequence,
                reason: "the partition table of \(name) could not be read in time: its driver does not answer")
        }
        if let failure = read.result.error {
            throw DiskError(
                errno: queue.gate.isDead ? DiskError.gone : DiskError.ioError, disk: name, sequence: sequence,
                reason: "the partition table of \(name) cannot be read: \(failure)")
        }
        return try apply(read.result)
    }

    /// One rescan or resize at a time, and only on a disk that lives.
    func beginReconfiguring() throws(DiskError) {
        let refusal = state.withLock { state -> DiskError? in
            guard state.lifecycle.refusesOpen() == nil else {
                return state.lifecycle.isOver
                    ? goneError()
                    : DiskError(
                        errno: DiskError.busy, disk: name, sequence: sequence, reason: "\(name) is being removed")
            }
            guard !state.isReconfiguring else {
                return DiskError(
                    errno: DiskError.busy, disk: name, sequence: sequence,
                    reason: "\(name) is being rescanned or resized already: try again when that is over")
            }
            state.isReconfiguring = true
            return nil
        }
        if let refusal { throw refusal }
    }

    private func apply(_ scan: PartitionScan) throws(DiskError) -> RescanReport {
        let old = partitions
        var kept: [Int: BlockDevice] = [:]
        for partition in old where scan.entries.contains(where: { $0 == partition.entry }) {
            kept[partition.partitionNumber] = partition
        }
        let going = old.filter { kept[$0.partitionNumber] == nil }
        // Decided before anything is touched; unlisting in the same section keeps new openers out.
        let inTheWay = state.withLock { state -> [OpenerRecord] in
            let open = state.publicOpeners.filter { opener in going.contains { $0 === opener.device } }
            guard open.isEmpty else { return open.map(\.currentRecord) }
            for partition in going { partition.unlist() }
            // Out of the table at once: a removal that ends meanwhile must not release what the rescan holds by then.
            state.partitions.removeAll { partition in going.contains { $0 === partition } }
            registry.events.append(going.map { event(.remove, of: $0) })
            return []
        }
        guard inTheWay.isEmpty else {
            let names = Set(inTheWay.map(\.device)).sorted().joined(separator: ", ")
            throw DiskError(
                errno: DiskError.busy, disk: name, sequence: sequence,
                reason: "\(name) is not rescanned: \(names) would change or vanish and is open; close it first",
                openers: inTheWay)
        }
        for partition in going { registry.unpublish(partition) }
        let now = makePartitions(scan, keeping: kept)
        let added = now.filter { kept[$0.partitionNumber] == nil }
        let survives = state.withLock { state -> Bool in
            // A removal that is over has taken the old ones out, and would miss the new ones.
            guard !state.lifecycle.isOver else { return false }
            state.partitions = now
            state.table = scan.table
            state.warnings = scan.warnings
            var events: [DiskEvent] = []
            if !going.isEmpty || !added.isEmpty { events.append(event(.change, of: part0)) }
            registry.events.append(events + added.map { event(.add, of: $0) })
            return true
        }
        guard survives else {
            for partition in added {
                partition.unlist()
                registry.unpublish(partition)
            }
            throw goneError()
        }
        registry.events.pump()
        return RescanReport(
            table: scan.table?.rawValue, partitions: now.count, added: added.map(\.name), removed: going.map(\.name),
            warnings: scan.warnings)
    }
}

/// Runs what may wait for a driver on a thread of its own: the cooperative pool is never blocked (F6).
func onControlThread<Result: Sendable>(
    _ name: String, _ body: @escaping @Sendable () throws(DiskError) -> Result
) async throws(DiskError) -> Result {
    let result: Swift.Result<Result, DiskError> = await withCheckedContinuation { continuation in
        WorkerThread.detach(name: name) {
            do throws(DiskError) {
                continuation.resume(returning: .success(try body()))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }
    return try result.get()
}
