// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// A page in Prometheus' text format: each metric once, with its help and its type, in the order of first use.
public struct MetricsPage: Sendable {
    /// What a metric is.
    public enum Kind: String, Sendable { case counter, gauge }

    private struct Family: Sendable {
        let name: String
        let help: String
        let kind: Kind
        var samples: [String] = []
    }
    private var families: [Family] = []

    /// An empty page.
    public init() {}

    /// One more sample.
    public mutating func add(
        _ name: String, _ kind: Kind, _ help: String, _ labels: [(String, String)], _ value: Double
    ) {
        let text = MetricsPage.text(of: value)
        let pairs = labels.map { "\($0.0)=\"\(MetricsPage.escape($0.1))\"" }.joined(separator: ",")
        let sample = labels.isEmpty ? "\(name) \(text)" : "\(name){\(pairs)} \(text)"
        if let index = families.firstIndex(where: { $0.name == name }) {
            families[index].samples.append(sample)
        } else {
            families.append(Family(name: name, help: help, kind: kind, samples: [sample]))
        }
    }

    /// The page.
    public var text: String {
        var lines: [String] = []
        for family in families {
            lines.append("# HELP \(family.name) \(family.help)")
            lines.append("# TYPE \(family.name) \(family.kind.rawValue)")
            lines += family.samples
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(of value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
    }

    private static func escape(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}

extension MetricsPage {
    /// All that the registry knows, disk by disk.
    mutating func add(registry: DiskRegistry, version: String) {
        add("platter_build_info", .gauge, "Version of the program.", [("version", version)], 1)
        for disk in registry.disks {
            for device in disk.devices { add(device: device) }
            add(disk: disk)
        }
        add(
            "platter_core_faults_total", .counter, "Faults of Platter itself; each is in the log.", [],
            Double(registry.coreFaults))
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

    private mutating func add(disk: Disk) {
        let labels = [("device", disk.name)]
        add(
            "node_disk_info", .gauge, "Info of a block device.",
            [
                ("device", disk.name), ("major", "\(disk.part0.number.major)"),
                ("minor", "\(disk.part0.number.minor)"), ("diskseq", "\(disk.sequence)"),
                ("driver", disk.driverName), ("rotational", disk.profile.isRotational ? "1" : "0"),
            ], 1)
        add(
            "platter_disk_state", .gauge, "1 for the state the disk is in.",
            labels + [("state", disk.stateWord)], 1)
        add(
            "platter_disk_openers", .gauge, "Open handles on a disk and its partitions.", labels,
            Double(disk.openers.count))
        add("platter_disk_size_bytes", .gauge, "Size of a disk.", labels, Double(disk.part0.size) * Double(sectorSize))
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
        add(
            "platter_driver_faults_total", .counter, "Requests that a driver dropped.", labels,
            Double(ledger.driverFaults))
        add(
            "platter_slow_batches_total", .counter, "Batches of I/O that kept a submitting thread over a millisecond.",
            labels, Double(disk.slowBatches))
    }

    // The names are those of the node exporter, so that its dashboards show our disks too.
    private mutating func add(device: BlockDevice) {
        let statistics = device.statistics()
        let labels = [("device", device.name)]
        func seconds(_ group: DiskStatistics.Group) -> Double { Double(group.nanoseconds) / 1e9 }
        func bytes(_ group: DiskStatistics.Group) -> Double { Double(group.sectors) * Double(sectorSize) }
        add(
            "node_disk_reads_completed_total", .counter, "Reads that were answered.", labels,
            Double(statistics.reads.completed))
        add("node_disk_read_bytes_total", .counter, "Bytes that were read.", labels, bytes(statistics.reads))
        add(
            "node_disk_read_time_seconds_total", .counter, "Time that reads took, added up.", labels,
            seconds(statistics.reads))
        add(
            "node_disk_writes_completed_total", .counter, "Writes that were answered.", labels,
            Double(statistics.writes.completed))
        add("node_disk_written_bytes_total", .counter, "Bytes that were written.", labels, bytes(statistics.writes))
        add(
            "node_disk_write_time_seconds_total", .counter, "Time that writes took, added up.", labels,
            seconds(statistics.writes))
        add("node_disk_io_now", .gauge, "I/O that is under way.", labels, Double(statistics.inFlight))
        add(
            "node_disk_io_time_weighted_seconds_total", .counter, "Time that all I/O took, added up.", labels,
            seconds(statistics.reads) + seconds(statistics.writes) + seconds(statistics.discards)
                + seconds(statistics.flushes))
        add(
            "node_disk_discards_completed_total", .counter, "Discards that were answered.", labels,
            Double(statistics.discards.completed))
        add(
            "node_disk_discarded_sectors_total", .counter, "Sectors that were discarded.", labels,
            Double(statistics.discards.sectors))
        add(
            "node_disk_discard_time_seconds_total", .counter, "Time that discards took, added up.", labels,
            seconds(statistics.discards))
        add(
            "node_disk_flush_requests_total", .counter, "Flushes that were answered.", labels,
            Double(statistics.flushes.completed))
        add(
            "node_disk_flush_requests_time_seconds_total", .counter, "Time that flushes took, added up.", labels,
            seconds(statistics.flushes))
    }
}
