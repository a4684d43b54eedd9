// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem

extension DiskRegistry {
    /// Adds a disk: builds everything out of sight and publishes it in one step.
    ///
    /// A failure at any step leaves nothing behind and sends no event; the driver is then the caller's again, and
    /// `released()` is not called. (A driver that was read from and has not answered keeps its use until it has.)
    ///
    /// - Parameter driver: an object serves one disk at a time. It may be added anew once it was released, if its author
    ///   lets it.
    /// - Throws: EINVAL for what cannot be, EEXIST for a name, node or number in use, EBUSY for a driver in use or when
    ///   numbers have run out, ECANCELED when a removal came before the end.
    public func add(_ driver: any BlockDriver, _ options: DiskOptions = DiskOptions()) async throws(DiskError) -> Disk {
        // The scan waits for a driver: on a thread of its own, never on the cooperative pool (F6).
        try await onControlThread("pl-add") { () throws(DiskError) in try self.addBlocking(driver, options) }
    }

    /// The same for callers with a thread of their own: it may wait for the driver, up to the scan's deadline.
    public func addBlocking(_ driver: any BlockDriver, _ options: DiskOptions = DiskOptions()) throws(DiskError) -> Disk
    {
        var addition = Addition()
        do throws(DiskError) {
            return try add(driver, options, &addition)
        } catch {
            // Backwards, so that each step finds what it found when it was done.
            for step in addition.undo.reversed() {
                options.beforeUndo?(step.number)
                step.run()
            }
            // Last: whoever cancelled the add hears that it is over when name and numbers are free (R8).
            addition.disk?.addEnded()
            throw error
        }
    }

    /// An add under way, and how to take it back.
    private struct Addition {
        struct Step {
            /// Of the step of the add that it takes back.
            let number: Int
            let run: () -> Void
        }
        var undo: [Step] = []
        var disk: Disk?

        mutating func onFailure(of number: Int, _ run: @escaping () -> Void) {
            undo.append(Step(number: number, run: run))
        }
    }

    private func add(
        _ driver: any BlockDriver, _ options: DiskOptions, _ addition: inout Addition
    ) throws(DiskError) -> Disk {
        // 1 What can be refused without touching anything; and the driver: from here a second add of it fails (T01).
        try begin(1, options)
        guard let use = DriverUse(driver) else {
            throw DiskError(
                errno: DiskError.busy, disk: options.name,
                reason: "this \(driver.driverName) driver serves another disk already: make one for each disk")
        }
        let profile = try checkedProfile(driver, options)
        let sequence = nextSequence()

        // 2 The name: from here a second add of it fails (T02). Before the numbers, which partitions are named after.
        try begin(2, options)
        let name = try reserveName(options, sequence)
        addition.onFailure(of: 2) { self.release(name, of: sequence) }

        // 3 The number, and the node's path. A hidden disk's number is burnt: it stands for nothing else.
        try begin(3, options)
        let number = try reserveDiskNumber(options, sequence, name)
        addition.onFailure(of: 3) { self.release(number, of: sequence) }
        try reserveNode(of: profile, name, sequence, &addition)

        // 4 The gate's counters: the last thing that can run out.
        try begin(4, options)
        guard options.faults?.fails(.gate) != true, let gate = Gate(kind: options.gateKind) else {
            throw DiskError(
                errno: DiskError.busy, disk: name,
                reason: "\(name) cannot be added: 65,535 disks and partitions are in use")
        }

        // 5 The disk. A removal that finds it cancels the add by shutting its gate.
        try begin(5, options)
        let disk = Disk(
            name: name, sequence: sequence, number: number, driver: driver, profile: profile, options: options,
            registry: self, gate: gate, use: use)
        fill(name, disk, nil)
        fill(number, disk, nil)
        addition.disk = disk
        addition.onFailure(of: 5) { disk.addFailed() }

        let notes = try scan(disk, options, &addition)
        try publish(disk, driver, options, notes)
        return disk
    }

    /// Returns what the add event has to say of the scan.
    private func scan(
        _ disk: Disk, _ options: DiskOptions, _ addition: inout Addition
    ) throws(DiskError) -> [String] {
        // 6 The table, through an opener of the core's own, while nobody else can get in: whoever finds the disk finds
        // its partitions (T09).
        try begin(6, options)
        guard disk.scansPartitions, disk.capacity > 0 else {
            try begin(7, options)
            return []
        }
        let scan = disk.readTable(deadline: Instant.now + options.scanDeadline)
        // 7 The partitions, as devices of their own.
        try begin(7, options)
        var (partitions, warnings) = disk.makePartitions(scan.result)
        addition.onFailure(of: 7) { disk.dropPartitions() }
        // A disk whose table cannot be read is a disk all the same.
        var notes: [String] = []
        if scan.timedOut {
            notes = ["PLATTER_SCAN=timeout"]
            warnings.append("the partition table was not read: the driver did not answer in time")
        } else if let error = scan.result.error {
            notes = ["PLATTER_SCAN=error"]
            warnings.append("the partition table was not read: \(error)")
        }
        disk.install(partitions, scan.result, warnings)
        return notes
    }

    /// Where a test lets a step fail.
    private func begin(_ step: Int, _ options: DiskOptions) throws(DiskError) {
        try options.beforeStep?(step)
        guard options.faults?.fails(.step) != true else {
            throw DiskError(errno: DiskError.noMemory, disk: options.name, reason: "step \(step) of the add failed")
        }
    }

    private func publish(
        _ disk: Disk, _ driver: any BlockDriver, _ options: DiskOptions, _ notes: [String]
    ) throws(DiskError) {
        // 8 Everything at once: one store makes it found, one append tells of it. Nothing after this can fail.
        try begin(8, options)
        // A lease over this step and the next: whoever removes the disk at once waits for them.
        let held = disk.queue.gate.enterPrivileged(1)
        defer { if held { disk.queue.gate.leave(1) } }
        guard disk.publish(extra: notes) else {
            throw DiskError(
                errno: DiskError.cancelled, disk: disk.name, sequence: disk.sequence,
                reason: "the add of \(disk.name) was cancelled by a removal")
        }
        events.pump()
        // 9 From now on the device's own end is the disk's. Weak: a driver does not keep its disk.
        driver.onDeath { [weak disk] in disk?.requestRemoval(.surprise) { _ in } }
        driver.onCapacityChange { [weak disk] in disk?.ask(.capacity) }
        if let media = disk.media {
            driver.onMediaEvent { [weak disk] in disk?.wantMediaCheck() }
            disk.unblockMedia(media, checkNow: true)
        }
    }

    private func checkedProfile(_ driver: any BlockDriver, _ options: DiskOptions) throws(DiskError) -> DriverProfile {
        var profile = driver.profile
        let kind = driver.driverName
        let capacity = driver.capacity
        func refuse(_ reason: String) -> DiskError {
            DiskError(errno: DiskError.invalid, disk: options.name, reason: reason)
        }
        if let wanted = options.logicalBlockSize {
            guard wanted >= profile.logicalBlockSize else {
                throw refuse(
                    "a sector size of \(wanted) is smaller than the \(profile.logicalBlockSize) that this \(kind) needs"
                )
            }
            profile.logicalBlockSize = wanted
        }
        let size = profile.logicalBlockSize
        guard size >= 512, size <= 4096, size & (size - 1) == 0 else {
            throw refuse("a sector size of \(size) cannot be: take 512 or 4096")
        }
        profile.physicalBlockSize = max(profile.physicalBlockSize, size)
        profile.limits = try profile.effectiveLimits()
        guard capacity <= Self.capacityLimit else {
            throw refuse("\(capacity) sectors are more than a disk can have (\(Self.capacityLimit))")
        }
        guard capacity % UInt64(size / sectorSize) == 0 else {
            throw refuse(
                "a size of \(capacity * 512) bytes is not a multiple of the sector size \(size): change one of them")
        }
        if let fault = profile.node?.fault { throw refuse(fault) }
        if let parent = options.parent {
            let parts = parent.split(separator: "/", omittingEmptySubsequences: false)
            guard
                parts.allSatisfy({ part in
                    part != "." && part != ".." && !part.isEmpty && part.utf8.allSatisfy(DeviceNode.isPathByte)
                })
            else {
                throw refuse("'\(parent)' cannot be a parent: it is a path below /devices, without a leading slash")
            }
        }
        return profile
    }

    private func reserveNode(
        of profile: DriverProfile, _ name: String, _ sequence: UInt64, _ addition: inout Addition
    ) throws(DiskError) {
        guard let path = profile.node?.path else { return }
        guard reserveNode(path, for: sequence) else {
            throw DiskError(
                errno: DiskError.exists, disk: name,
                reason: "the node \(path) of \(name) stands for another disk already")
        }
        addition.onFailure(of: 3) { self.releaseNode(path, of: sequence) }
    }

    private func reserveName(_ options: DiskOptions, _ sequence: UInt64) throws(DiskError) -> String {
        if let name = options.name {
            guard Self.isValidName(name) else {
                throw DiskError(
                    errno: DiskError.invalid, disk: name,
                    reason: "'\(name)' cannot be a disk's name: it takes a letter, then up to 30 letters, digits or _.-"
                )
            }
            guard reserve(name, for: sequence) else {
                throw DiskError(
                    errno: DiskError.exists, disk: name,
                    reason: "\(name) is in use: take another name, or wait until its removal has returned")
            }
            return name
        }
        var index = 0
        while !reserve("pl\(index)", for: sequence) { index += 1 }
        return "pl\(index)"
    }

    /// A letter, then up to thirty letters, digits, underscores, dots or dashes.
    public static func isValidName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, bytes.count <= 31, isLetter(first) else { return false }
        return bytes.allSatisfy {
            isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "_.-".utf8.contains($0)
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private func reserveDiskNumber(
        _ options: DiskOptions, _ sequence: UInt64, _ name: String
    ) throws(DiskError) -> DeviceNumber {
        func refuse(_ reason: String) -> DiskError {
            DiskError(errno: DiskError.invalid, disk: name, reason: reason)
        }
        var wanted: DeviceNumber?
        if let major = options.major {
            guard (1..<Self.majorLimit).contains(major) else {
                throw refuse("major \(major) does not fit in 12 bits: take 1 to \(Self.majorLimit - 1)")
            }
            guard (1...Self.deviceLimit).contains(options.minors) else {
                throw refuse("\(options.minors) minors cannot be: a disk takes 1 to \(Self.deviceLimit)")
            }
            let end = options.firstMinor.addingReportingOverflow(options.minors)
            guard options.firstMinor >= 0, !end.overflow, end.partialValue <= Self.minorLimit else {
                throw refuse(
                    "\(options.minors) minors from \(options.firstMinor) do not fit in 20 bits under major \(major)")
            }
            wanted = DeviceNumber(major: major, minor: options.firstMinor)
        } else if options.minors != 0 || options.firstMinor != 0 {
            throw refuse("minors go with a major: name one, or leave the numbers to the registry")
        }
        guard let number = reserveNumber(wanted, for: sequence) else {
            throw DiskError(
                errno: wanted == nil ? DiskError.busy : DiskError.exists, disk: name,
                reason: wanted.map { "number \($0.major):\($0.minor) is in use" }
                    ?? "no device number is left: remove a disk first")
        }
        return number
    }
}

extension Disk {
    /// Whether lookups find it. One load of the state; before publication and after the end it is absent.
    var isPublished: Bool {
        switch lifeState {
        case .adding, .owing, .gone: false
        case .live, .leaving, .flushing, .cut: true
        }
    }

    /// The release store of the state is the publication. False: a removal was there first.
    func publish(extra: [String]) -> Bool {
        state.withLock { state in
            guard !queue.gate.isDead, state.lifecycle.published() else { return false }
            registry.events.append(
                [event(.add, of: part0, extra: extra)] + state.partitions.map { event(.add, of: $0) })
            return true
        }
    }

    /// The add rolls back: nobody has seen the disk. It stays reserved, so that a removal finds something to wait for.
    func addFailed() {
        _ = queue.gate.kill()
        queue.failWaiting()
        // Only after a drain: a scan that ran into its deadline may have left a read with the driver.
        let cells = queue.gate.cells
        Reaper.shared.watch(cells, until: .never) { [self] _ in
            WorkerThread.detach(name: "pl-unadd") { [self] in
                lane.closeAndWait()
                _ = checkLedger()
                letDriverGo()
            }
        }
    }

    /// The roll-back is done and nothing of the disk is in any table.
    func addEnded() {
        let (waiters, tag) = state.withLock { state in
            state.lifecycle.addFailed()
            defer { state.addCancellers = [:] }
            return (state.addCancellers.sorted { $0.key < $1.key }.map(\.value), state.addTimers)
        }
        if let tag { Reaper.shared.cancel(tag: tag) }
        for waiter in waiters { waiter(.neverPublished) }
    }

    /// Under the lock: a removal found the disk while it is being added. The add rolls back at its next step, and answers
    /// when it has; or the time is up before, because the driver does not return from a call.
    func cancelAdd(
        _ state: inout State, _ timeout: Duration, _ done: @escaping RemovalRun.Waiter
    ) -> @Sendable () -> Void {
        let parked = queue.gate.kill()
        let id = registry.nextRemoval()
        state.addCancellers[id] = done
        let tag = state.addTimers ?? Reaper.shared.newTag()
        state.addTimers = tag
        return { [self] in
            failParked(parked)
            queue.failWaiting()
            // What the scan waits for fails now: the driver may never answer it (T10).
            WorkerThread.detach(name: "pl-cancel") { [self] in
                queue.gate.cells.heavyFence()
                for core in self.state.withLock({ Array($0.openers.values) }) { _ = core.claimOwed() }
            }
            Reaper.shared.watch(nil, until: Instant.now + timeout, tag: tag) { [self] _ in
                let late = self.state.withLock { state in
                    state.addCancellers.removeValue(forKey: id).map { ($0, makeReport(state, .safe)) }
                }
                guard let (done, found) = late else { return }
                var report = found
                report.notes.append("the add was cancelled, but its driver has not returned from it yet")
                done(.pending(report))
            }
        }
    }
}
