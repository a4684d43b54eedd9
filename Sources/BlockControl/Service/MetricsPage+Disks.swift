// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

extension MetricsPage {
    /// All that the registry knows, disk by disk.
    mutating func add(registry: DiskRegistry, version: String) {
        add("platter_build_info", .gauge, "Version of the program.", [("version", version)], 1)
        let disks = registry.disks
        add("platter_disks", .gauge, "Disks that there are.", [], Double(disks.count))
        for disk in disks {
            addExporters(disk)
            addOurs(disk)
            addLedger(disk)
            addTimes(disk)
        }
        add(
            "platter_core_faults_total", .counter, "Faults of Platter itself; each is in the log.", [],
            Double(registry.coreFaults))
        addQuarantine(registry)
        addRemovals(registry)
    }

    private mutating func addQuarantine(_ registry: DiskRegistry) {
        let owing = registry.quarantine()
        add("platter_quarantined_disks", .gauge, "Removed disks that still owe answers.", [], Double(owing.count))
        for record in owing {
            let labels = [("device", record.disk), ("diskseq", "\(record.sequence)")]
            add(
                "platter_quarantined_ios", .gauge, "Answers that a removed disk still owes.", labels,
                Double(record.count))
            add(
                "platter_quarantined_bytes", .gauge, "Memory that a removed disk may still touch.", labels,
                Double(record.bytes))
        }
    }

    private mutating func addRemovals(_ registry: DiskRegistry) {
        for tally in registry.removalTallies {
            let labels = [("mode", tally.mode.rawValue)]
            add(
                histogram: "platter_removal_duration_seconds", "How long removals took, by the mode that ran.", labels,
                bounds: zip(RemovalTally.bounds, tally.within).map { (Double($0) / 1e9, $1) }, count: tally.count,
                sum: Double(tally.nanoseconds) / 1e9)
            add(
                "platter_removals_expired_total", .counter, "Removals that their deadline ended.", labels,
                Double(tally.expired))
            add(
                "platter_removal_failed_ios_total", .counter, "I/O that was answered with an error by a removal.",
                labels, Double(tally.failed))
        }
    }

    private mutating func addOurs(_ disk: Disk) {
        let labels = [("device", disk.name)]
        add(
            "platter_disk_state", .gauge, "1 for the state the disk is in.",
            labels + [("state", disk.stateWord)], 1)
        add(
            "platter_disk_gate_open", .gauge, "1 while I/O is let in; 0 while a disk is frozen or going.", labels,
            disk.lifeState == .live && !disk.isFrozen ? 1 : 0)
        add("platter_disk_freeze_depth", .gauge, "Freezes that were not taken back.", labels, Double(disk.freezeDepth))
        add(
            "platter_disk_parked_ios", .gauge, "I/O that waits at the gate of a frozen disk.", labels,
            Double(disk.parkedIO))
        add(
            "platter_disk_waiting_ios", .gauge, "I/O that was let in and waits for a place at the driver, or a resume.",
            labels, Double(disk.waitingIO))
        add(
            "platter_disk_openers", .gauge, "Open handles on a disk and its partitions.", labels,
            Double(disk.openers.count))
        add("platter_disk_partitions", .gauge, "Partitions of a disk.", labels, Double(disk.partitions.count))
        add("platter_disk_size_bytes", .gauge, "Size of a disk.", labels, Double(disk.part0.size) * Double(sectorSize))
        add(
            "platter_driver_faults_total", .counter, "Requests that a driver dropped.", labels,
            Double(disk.ledger().driverFaults))
        add(
            "platter_slow_batches_total", .counter, "Batches of I/O that kept a submitting thread over a millisecond.",
            labels, Double(disk.slowBatches))
    }

    private mutating func addLedger(_ disk: Disk) {
        let labels = [("device", disk.name)]
        let ledger = disk.ledger()
        let outcomes: [(String, UInt64)] = [
            ("ok", ledger.ok), ("failed", ledger.failed), ("timed_out", ledger.timedOut),
            ("expired", ledger.expired),
        ]
        add("platter_ios_accepted_total", .counter, "I/O that a disk let in.", labels, Double(ledger.accepted))
        for (outcome, count) in outcomes {
            add(
                "platter_ios_answered_total", .counter, "I/O that was answered, by outcome.",
                labels + [("outcome", outcome)], Double(count))
        }
        add("platter_ios_refused_total", .counter, "I/O that was never let in.", labels, Double(ledger.refused))
        add(
            "platter_ios_late_total", .counter, "Answers that came after the deadline of a removal.", labels,
            Double(ledger.late))
        for (status, count) in disk.errorCounts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            add(
                "platter_io_errors_total", .counter, "I/O that was answered with an error, by which.",
                labels + [("status", "\(status)")], Double(count))
        }
    }

    /// Powers of four times the histograms' unit, so that no bucket of theirs lies on both sides of one: 1 µs to 17 s.
    private static let bounds: [UInt64] = (0..<13).map { 1024 << (2 * $0) }

    private mutating func addTimes(_ disk: Disk) {
        let statistics = disk.statistics()
        let groups = [statistics.reads, statistics.writes, statistics.discards, statistics.flushes]
        for (operation, group) in zip(LatencyHistogram.Operation.allCases, groups) {
            let histogram = disk.latencies(of: operation)
            guard histogram.count > 0 else { continue }
            let buckets = histogram.buckets
            let bounds = MetricsPage.bounds.map { bound in
                (Double(bound) / 1e9, buckets.reduce(0) { $1.below <= bound ? $0 + $1.count : $0 })
            }
            add(
                histogram: "platter_io_duration_seconds", "How long I/O took from the moment it was let in.",
                [("device", disk.name), ("operation", operation.rawValue)], bounds: bounds, count: histogram.count,
                sum: Double(group.nanoseconds) / 1e9)
        }
    }

    // Names, labels and units of the node exporter's collector of disks, so that its dashboards show ours, too. As
    // there by default, whole disks only: what a dashboard adds up is not counted twice.
    private mutating func addExporters(_ disk: Disk) {
        let facts = disk.options.attributes
        add(
            "node_disk_info", .gauge, "Info of a block device.",
            [
                ("device", disk.name), ("major", "\(disk.number.major)"), ("minor", "\(disk.number.minor)"),
                ("path", disk.options.parent ?? ""), ("wwn", facts["wwn"] ?? ""), ("model", facts["model"] ?? ""),
                ("serial", facts["serial"] ?? ""), ("revision", facts["revision"] ?? ""),
                ("rotational", disk.profile.isRotational ? "1" : "0"), ("diskseq", "\(disk.sequence)"),
                ("driver", disk.driverName),
            ], 1)
        let statistics = disk.statistics()
        let labels = [("device", disk.name)]
        func seconds(_ group: DiskStatistics.Group) -> Double { Double(group.nanoseconds) / 1e9 }
        func bytes(_ group: DiskStatistics.Group) -> Double { Double(group.sectors) * Double(sectorSize) }
        func counter(_ name: String, _ help: String, _ value: Double) {
            add("node_disk_" + name, .counter, help, labels, value)
        }
        let (reads, writes, discards) = (statistics.reads, statistics.writes, statistics.discards)
        counter("reads_completed_total", "Reads that were answered.", Double(reads.completed))
        counter("reads_merged_total", "Reads that were merged: none ever is.", 0)
        counter("read_bytes_total", "Bytes that were read.", bytes(reads))
        counter("read_time_seconds_total", "Time that reads took, added up.", seconds(reads))
        counter("writes_completed_total", "Writes that were answered.", Double(writes.completed))
        counter("writes_merged_total", "Writes that were merged: none ever is.", 0)
        counter("written_bytes_total", "Bytes that were written.", bytes(writes))
        counter("write_time_seconds_total", "Time that writes took, added up.", seconds(writes))
        add("node_disk_io_now", .gauge, "I/O that is under way.", labels, Double(statistics.inFlight))
        counter(
            "io_time_seconds_total", "Time with anything under way.", Double(statistics.busyNanoseconds) / 1e9)
        counter(
            "io_time_weighted_seconds_total", "Time that all I/O took, added up.",
            seconds(reads) + seconds(writes) + seconds(discards) + seconds(statistics.flushCommands))
        counter("discards_completed_total", "Discards that were answered.", Double(discards.completed))
        counter("discards_merged_total", "Discards that were merged: none ever is.", 0)
        counter("discarded_sectors_total", "Sectors that were discarded.", Double(discards.sectors))
        counter("discard_time_seconds_total", "Time that discards took, added up.", seconds(discards))
        counter(
            "flush_requests_total", "Flush commands that the driver was given.",
            Double(statistics.flushCommands.completed))
        counter(
            "flush_requests_time_seconds_total", "Time that flush commands took, added up.",
            seconds(statistics.flushCommands))
    }
}
