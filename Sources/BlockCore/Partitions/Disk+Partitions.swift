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

    /// A device with its name and number reserved, not installed and not listed yet.
    /// - Throws: EEXIST when somebody has the name or the number, EBUSY when numbers have run out.
    func makePartition(_ entry: PartitionEntry) throws(DiskError) -> BlockDevice {
        let name = partitionName(entry.number)
        guard registry.reserve(name, for: identity) else {
            throw DiskError(
                errno: DiskError.exists, disk: self.name, sequence: sequence,
                reason: "partition \(entry.number) cannot be a device: the name \(name) is in use")
        }
        var wanted: DeviceNumber?
        if let major = options.major, entry.number < options.minors {
            wanted = DeviceNumber(major: major, minor: options.firstMinor + entry.number)
        }
        let fails = options.faults?.fails(.partition) == true
        guard !fails, let number = registry.reserveNumber(wanted, for: identity) else {
            registry.release(name, of: identity)
            throw DiskError(
                errno: wanted == nil || fails ? DiskError.busy : DiskError.exists, disk: self.name, sequence: sequence,
                reason: wanted.map { "the number \($0.major):\($0.minor) of \(name) is in use" }
                    ?? "no device number is left for \(name): remove a disk first")
        }
        let device = BlockDevice(disk: self, name: name, number: number, entry: entry, isListed: false)
        registry.fill(name, self, device)
        registry.fill(number, self, device)
        return device
    }

    /// Devices for what a scan returned, beside those that stay. One that cannot be had does not stop the others: it is
    /// left out, and that is said. A parser's word is not taken for what a device relies on.
    func makePartitions(
        _ scan: PartitionScan, keeping kept: [Int: BlockDevice] = [:]
    ) -> (devices: [BlockDevice], warnings: [String]) {
        var devices: [BlockDevice] = []
        var warnings = scan.warnings
        for entry in scan.entries {
            if let same = kept[entry.number] {
                devices.append(same)
                continue
            }
            let range = SectorRange(start: entry.start, count: entry.size)
            guard (1...PartitionRules.greatestNumber).contains(entry.number), entry.size > 0,
                !range.start.addingReportingOverflow(range.count).overflow
            else {
                warnings.append("partition \(entry.number): no device: it cannot be one")
                continue
            }
            do throws(DiskError) {
                devices.append(try makePartition(entry))
            } catch {
                warnings.append("partition \(entry.number): no device: \(error.reason)")
            }
        }
        return (devices, warnings)
    }

    /// For an add: nobody can find the disk yet.
    func install(_ partitions: [BlockDevice], _ scan: PartitionScan, _ warnings: [String]) {
        state.withLock { state in
            for partition in partitions { partition.list() }
            state.partitions = partitions
            state.table = scan.table
            state.warnings = warnings
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
    /// Partitions that did not change keep their identity, openers and counters. If one that is open or claimed would
    /// change or vanish, nothing is touched at all; and under a claim on the whole disk, which keeps everybody off the
    /// partitions, nothing may change at all (a caller with a claim of its own asks its ``Opener``).
    /// A disk with `partscan` off is read all the same: the caller said so.
    /// - Throws: EBUSY with the openers in the way, EIO when the table cannot be read, EINVAL on a disk that takes no
    ///   partitions, ENOMEDIUM without a medium, ENODEV when the disk is gone.
    public func rescan(deadline: Duration = .seconds(10)) async throws(DiskError) -> RescanReport {
        try await onControlThread("pl-rescan") { [self] () throws(DiskError) in
            try rescanBlocking(deadline: deadline)
        }
    }

    /// - Parameter claimant: who asks, whose own claim is not in the way; nil: nobody with a claim.
    func rescanBlocking(deadline: Duration, claimant: ClaimTable.Claimant? = nil) throws(DiskError) -> RescanReport {
        guard deviceLimit > 1 else {
            throw DiskError(
                errno: DiskError.invalid, disk: name, sequence: sequence, reason: "\(name) takes no partitions")
        }
        // As an open would find it: another medium is noticed, and none has no table.
        try beginOpenOfMedium()
        defer { endOpenOfMedium() }
        if !hasMedium { throw noMediumError(part0) }
        try beginReconfiguring()
        defer { endReconfiguring() }
        return try readAndApply(deadline: deadline, claimant: claimant)
    }

    /// After the last writer of the whole disk has closed: a table that was written appears by itself.
    /// On the thread of the disk's own work. A table that cannot be read or applied is not tried again by itself (T60).
    func rescanAfterWrite() {
        guard state.withLock({ refusesReconfiguring($0) == nil && $0.scansPartitions }) else { return }
        do throws(DiskError) {
            _ = try readAndApply(deadline: .seconds(10), claimant: nil)
        } catch {
            guard error.errno == DiskError.busy else { return }
            // A table whose partitions are open is left as it is, and said.
            state.withLock { state in
                guard state.lifecycle.state == .live else { return }
                state.warnings = ["the table was written but not read again: \(error.reason)"]
                registry.events.append([event(.change, of: part0, extra: ["PLATTER_RESCAN=busy"])])
            }
            registry.events.pump()
        }
    }

    /// What it could not do is remembered for those who open the disk only if it could.
    private func readAndApply(deadline: Duration, claimant: ClaimTable.Claimant?) throws(DiskError) -> RescanReport {
        do throws(DiskError) {
            let report = try tryToApply(deadline: deadline, claimant: claimant)
            state.withLock { $0.scanTrouble = nil }
            return report
        } catch {
            state.withLock { $0.scanTrouble = error }
            throw error
        }
    }

    private func tryToApply(deadline: Duration, claimant: ClaimTable.Claimant?) throws(DiskError) -> RescanReport {
        let read = readTable(deadline: Instant.now + deadline)
        if queue.gate.isDead { throw goneError() }
        if read.timedOut {
            throw DiskError(
                errno: silence.errno, disk: name, sequence: sequence,
                reason: "the partition table of \(name) could not be read in time: \(silence.reason)")
        }
        if let failure = read.result.error {
            throw DiskError(
                errno: DiskError.ioError, disk: name, sequence: sequence,
                reason: "the partition table of \(name) cannot be read: \(failure)")
        }
        return try apply(read.result, claimant: claimant)
    }

    /// What a table changes about the partitions that are there.
    private struct TableChange {
        /// Same place, and not another identity.
        var kept: [Int: BlockDevice] = [:]
        /// Of those, the ones of which the table says something else: a name, a type.
        var described: [(device: BlockDevice, entry: PartitionEntry)] = []
        var going: [BlockDevice] = []
        var changesNothing = true

        init(_ old: [BlockDevice], _ scan: PartitionScan) {
            for partition in old {
                guard let entry = scan.entries.first(where: { partition.isSamePlace(as: $0) }) else {
                    going.append(partition)
                    continue
                }
                kept[partition.partitionNumber] = partition
                if partition.entry != entry { described.append((partition, entry)) }
            }
            changesNothing = going.isEmpty && scan.entries.allSatisfy { kept[$0.number] != nil }
        }
    }

    /// - Parameter writing: writes the table that the scan tells of, if that is not on the disk yet. Whoever would lose a
    ///   partition has had his say by then, and nobody can open one any more that goes.
    func apply(
        _ scan: PartitionScan, claimant: ClaimTable.Claimant?, writing: (() throws(DiskError) -> Void)? = nil
    ) throws(DiskError) -> RescanReport {
        let change = TableChange(partitions, scan)
        let going = change.going
        // Decided before anything is touched; unlisting in the same section keeps new openers out.
        let inTheWay = state.withLock { state -> [OpenerRecord] in
            let found = openers(inTheWayOf: change, claimant, isEdit: writing != nil, state)
            if found.isEmpty { takeOut(going, &state) }
            return found
        }
        try refuse(inTheWay, isEdit: writing != nil)
        for partition in going { registry.unpublish(partition) }
        let (scan, failure) = written(scan, by: writing)
        let (now, warnings) = makePartitions(scan, keeping: change.kept)
        options.amidChange?()
        let added = now.filter { change.kept[$0.partitionNumber] == nil }
        let isNews = !going.isEmpty || !added.isEmpty
        guard bringIn(now, added, change.described, scan, warnings, tellsChange: isNews) else {
            for partition in added { registry.unpublish(partition) }
            throw goneError()
        }
        registry.events.pump()
        if let failure { throw failure }
        return RescanReport(
            table: scan.table?.rawValue, partitions: now.count, added: added.map(\.name), removed: going.map(\.name),
            warnings: warnings)
    }

    /// Whether an edit that leads to this table would be refused now: the same decision, and nothing is touched.
    func checkNobodyIsInTheWay(of scan: PartitionScan) throws(DiskError) {
        let change = TableChange(partitions, scan)
        try refuse(state.withLock { openers(inTheWayOf: change, nil, isEdit: true, $0) }, isEdit: true)
    }

    /// Under the lock.
    private func openers(
        inTheWayOf change: TableChange, _ claimant: ClaimTable.Claimant?, isEdit: Bool, _ state: State
    ) -> [OpenerRecord] {
        state.publicOpeners.filter { opener in
            if change.going.contains(where: { $0 === opener.device }) { return true }
            guard !change.changesNothing || isEdit, opener.device.partitionNumber == 0 else { return false }
            let claim = opener.standing.withLock { $0.claimant }
            return claim != nil && claim != claimant
        }.map(\.currentRecord)
    }

    private func refuse(_ inTheWay: [OpenerRecord], isEdit: Bool) throws(DiskError) {
        guard !inTheWay.isEmpty else { return }
        let verb = isEdit ? "edited" : "rescanned"
        let devices = Set(inTheWay.map(\.device)).sorted()
        let names = devices.joined(separator: ", ") + " would change or vanish and \(devices.count == 1 ? "is" : "are")"
        let who = inTheWay.map(\.who).joined(separator: ", ")
        throw DiskError(
            errno: DiskError.busy, disk: name, sequence: sequence,
            reason: inTheWay.contains { $0.device == name }
                ? "\(name) is not \(verb): it is claimed as a whole by \(who), and its partitions would change"
                : "\(name) is not \(verb): \(names) open by \(who); close it first",
            openers: inTheWay)
    }

    /// What is on the disk after the writing: what was meant, or what is found where that failed.
    private func written(
        _ meant: PartitionScan, by writing: (() throws(DiskError) -> Void)?
    ) -> (PartitionScan, DiskError?) {
        do throws(DiskError) {
            try writing?()
            return (meant, nil)
        } catch {
            return (readTable(deadline: Instant.now + .seconds(10)).result, error)
        }
    }

    /// Nobody can open them any more, and listeners hear of it. Out of the table at once: a removal that ends meanwhile
    /// must not release what the rescan holds by then. Under the lock.
    func takeOut(_ going: [BlockDevice], _ state: inout State) {
        for partition in going { partition.unlist() }
        state.partitions.removeAll { partition in going.contains { $0 === partition } }
        registry.events.append(going.map { event(.remove, of: $0) })
    }

    /// What the table of a new medium says; that it is another one was told before.
    func addPartitions(_ scan: PartitionScan) {
        let (now, warnings) = makePartitions(scan)
        options.amidChange?()
        guard bringIn(now, now, [], scan, warnings, tellsChange: false) else {
            for partition in now { registry.unpublish(partition) }
            return
        }
        registry.events.pump()
    }

    /// The second half of a rescan. False: the disk is dead, and a removal that is over would miss the new ones.
    private func bringIn(
        _ now: [BlockDevice], _ added: [BlockDevice], _ described: [(device: BlockDevice, entry: PartitionEntry)],
        _ scan: PartitionScan, _ warnings: [String], tellsChange: Bool
    ) -> Bool {
        state.withLock { state -> Bool in
            guard !queue.gate.isDead, !state.lifecycle.isOver else { return false }
            for partition in added { partition.list() }
            state.partitions = now
            state.table = scan.table
            state.warnings = warnings
            var events: [DiskEvent] = []
            if tellsChange { events.append(event(.change, of: part0)) }
            for (device, entry) in described {
                device.describe(entry)
                events.append(event(.change, of: device))
            }
            registry.events.append(events + added.map { event(.add, of: $0) })
            return true
        }
    }
}

extension Opener {
    /// ``Disk/rescan(deadline:)`` of its disk, in the way of which the claim of this opener is not (T55).
    /// - Context: blocks until the driver has answered or the deadline has passed; not on an event loop.
    public borrowing func rescanDisk(deadline: Duration = .seconds(10)) throws(DiskError) -> RescanReport {
        try device.disk.rescanBlocking(deadline: deadline, claimant: claimant)
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
