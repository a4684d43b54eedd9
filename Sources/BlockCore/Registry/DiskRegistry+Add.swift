// SPDX-License-Identifier: Apache-2.0

internal import BlockPartitions
internal import BlockSystem

extension DiskRegistry {
    /// Adds a disk: builds everything out of sight and publishes it in one step.
    ///
    /// A failure at any step leaves nothing behind and sends no event; the driver is then the caller's again, and
    /// `released()` is not called.
    ///
    /// - Throws: EINVAL for what cannot be, EEXIST for a name or number in use, EBUSY when numbers have run out,
    ///   ECANCELED when a removal came before the end.
    public func add(_ driver: any BlockDriver, _ options: DiskOptions = DiskOptions()) async throws(DiskError) -> Disk {
        // The scan waits for a driver: on a thread of its own, never on the cooperative pool (F6).
        try await onControlThread("pl-add") { () throws(DiskError) in try self.addBlocking(driver, options) }
    }

    /// The same for callers with a thread of their own: it may wait for the driver, up to the scan's deadline.
    public func addBlocking(_ driver: any BlockDriver, _ options: DiskOptions = DiskOptions()) throws(DiskError) -> Disk
    {
        var undo: [() -> Void] = []
        do throws(DiskError) {
            return try add(driver, options, &undo)
        } catch {
            // Backwards, so that each step finds what it found when it was done.
            for step in undo.reversed() { step() }
            throw error
        }
    }

    private func add(
        _ driver: any BlockDriver, _ options: DiskOptions, _ undo: inout [() -> Void]
    ) throws(DiskError) -> Disk {
        // 1 What can be refused without touching anything.
        try options.beforeStep?(1)
        let profile = try checkedProfile(driver, options)
        let sequence = nextSequence()

        // 2 The name: from here a second add of it fails.
        try options.beforeStep?(2)
        let name = try reserveName(options, sequence)
        undo.append { self.release(name, of: sequence) }

        // 3 The number.
        try options.beforeStep?(3)
        let number = try reserveDiskNumber(options, sequence, name)
        undo.append { self.release(number, of: sequence) }

        // 4 The gate's counters.
        try options.beforeStep?(4)
        guard let gate = Gate(kind: options.gateKind) else {
            throw DiskError(
                errno: DiskError.busy, disk: name,
                reason: "\(name) cannot be added: 65,535 disks and partitions are in use")
        }

        // 5 The disk. A removal that finds it cancels the add by shutting its gate.
        try options.beforeStep?(5)
        let disk = Disk(
            name: name, sequence: sequence, number: number, driver: driver, profile: profile, options: options,
            registry: self, gate: gate)
        fill(name, disk, nil)
        fill(number, disk, nil)
        undo.append { disk.addFailed() }

        // 6 The table, through an opener of the core's own, while nobody else can get in.
        try options.beforeStep?(6)
        var notes: [String] = []
        if options.scansPartitions, profile.takesPartitions, disk.capacity > 0 {
            let scan = disk.readTable(deadline: Instant.now + options.scanDeadline)
            if scan.timedOut { notes.append("PLATTER_SCAN=timeout") }
            // 7 The partitions, as devices of their own.
            try options.beforeStep?(7)
            var (partitions, warnings) = disk.makePartitions(scan.result)
            if scan.timedOut { warnings.append("the partition table was not read: the driver did not answer in time") }
            undo.append { disk.dropPartitions() }
            disk.install(partitions, scan.result, warnings)
        } else {
            try options.beforeStep?(7)
        }

        try publish(disk, driver, options, notes)
        return disk
    }

    private func publish(
        _ disk: Disk, _ driver: any BlockDriver, _ options: DiskOptions, _ notes: [String]
    ) throws(DiskError) {
        // 8 Everything at once: one store makes it found, one append tells of it. Nothing after this can fail.
        try options.beforeStep?(8)
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
        guard driver.capacity <= Self.capacityLimit else {
            throw refuse("\(driver.capacity) sectors are more than a disk can have (\(Self.capacityLimit))")
        }
        guard driver.capacity % UInt64(size / sectorSize) == 0 else {
            throw refuse(
                "a size of \(driver.capacity * 512) bytes is not a multiple of the sector size \(size): change one of them"
            )
        }
        return profile
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
        var wanted: DeviceNumber?
        if let major = options.major {
            guard options.minors >= 1, options.firstMinor >= 0,
                options.firstMinor + options.minors <= Self.minorLimit
            else {
                throw DiskError(
                    errno: DiskError.invalid, disk: name,
                    reason:
                        "\(options.minors) minors from \(options.firstMinor) do not fit in 20 bits under major \(major)"
                )
            }
            wanted = DeviceNumber(major: major, minor: options.firstMinor)
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

    /// The add rolls back: nobody has seen the disk.
    func addFailed() {
        _ = queue.gate.kill()
        queue.failWaiting()
        state.withLock { state in
            if state.lifecycle.state == .adding { state.lifecycle.addFailed() }
        }
        // Only after a drain: a scan that ran into its deadline may have left a read with the driver.
        let cells = queue.gate.cells
        Reaper.shared.watch(cells, until: .never) { [self] _ in
            WorkerThread.detach(name: "pl-unadd") { [self] in driverLock.withLock { _ in queue.letDriverGo() } }
        }
    }
}
