// SPDX-License-Identifier: Apache-2.0

import BlockControl

extension DiskDetail {
    /// What `show` prints.
    var text: String {
        var lines: [String] = []
        func fact(_ name: String, _ value: String) { lines.append(name.padded(to: 14) + value.printable) }
        fact("name", device.name)
        fact("type", device.type == "part" ? "partition" : device.type)
        fact("number", device.majMin)
        fact("diskseq", "\(device.diskseq)")
        fact("state", device.state + (removal.map { " (\($0))" } ?? ""))
        if let waits { fact("  waiting", waits) }
        fact("size", Units.size(device.size))
        fact("read-only", device.readOnly ? "yes" : "no")
        fact("driver", device.driver)
        for (key, value) in settings.sorted(by: { $0.key < $1.key }) { fact("  " + key, value) }
        if settingsStale { fact("  (old)", "the driver did not answer just now: this is what it said last") }
        for (key, value) in attributes.sorted(by: { $0.key < $1.key }) { fact("  " + key, value) }
        if hidden { fact("hidden", "yes: no events, no number to find it by") }
        if let node { fact("node", node.text) }
        if let parent { fact("parent", parent) }
        fact("device", profileText)
        for (name, value) in limits.rows { fact("  " + name, value) }
        if !device.lowers.isEmpty { fact("stands on", device.lowers.joined(separator: " ")) }
        if !device.uppers.isEmpty { fact("held by", device.uppers.joined(separator: " ")) }
        if let start = device.start { fact("start", "sector \(start)") }
        if let type = device.partType { fact("type id", type) }
        if let uuid = device.partUUID { fact("uuid", uuid) }
        if let label = device.partLabel { fact("label", label) }
        for part in device.children ?? [] {
            let label = part.partLabel.map { "  \"\($0)\"" } ?? ""
            fact("partition", "\(part.name)  \(Units.short(part.size))  from sector \(part.start ?? 0)\(label)")
        }
        for export in exports {
            let id = export.id.map { "\($0)  " } ?? ""
            fact("export", id + export.uri + (export.readOnly ? "  (read-only)" : ""))
        }
        if holders.isEmpty { fact("openers", "none") }
        for holder in holders { fact("opener", holder.text) }
        for one in statistics { fact("I/O", one.text) }
        for latency in latencies { fact("latency", latency.text) }
        for (status, count) in errors.sorted(by: { $0.key < $1.key }) { fact("errors", "\(count) \(status)") }
        fact("ledger", ledger.text)
        for note in notes { fact("note", note) }
        return lines.joined(separator: "\n")
    }

    /// What keeps I/O from the driver, and how much of it; nil: nothing.
    private var waits: String? {
        var words: [String] = []
        if parked > 0 { words.append("\(Units.plural(parked, "I/O")) at the gate") }
        if freezeDepth > 0 { words.append("\(Units.plural(freezeDepth, "thaw")) needed") }
        if waiting > 0 { words.append("\(Units.plural(waiting, "I/O")) behind the gate") }
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }

    private var profileText: String {
        let block = profile["logical_block_size"] ?? "512"
        var words = ["\(block)-byte blocks"]
        if profile["write_cache"] == "yes" { words.append("write cache") }
        if profile["rotational"] == "yes" { words.append("rotational") }
        for (key, word) in [("fua", "FUA"), ("discard", "discard"), ("write_zeroes", "write zeroes")] {
            guard let support = profile[key] else { continue }
            // What it could do is not what is done: without a cache nothing is to be written past it.
            let isIdle = key == "fua" && support != "none" && profile["write_cache"] != "yes"
            words.append("\(word) \(support)" + (isIdle ? " (not used: no write cache)" : ""))
        }
        if profile["removable"] == "yes" { words.append("removable medium") }
        if profile["ext_range"] == "1" { words.append("no partitions") }
        if profile["volatile"] == "yes" { words.append("gone with the daemon") }
        return words.joined(separator: ", ")
    }
}

extension LimitsModel {
    /// What is to be said of one request: blocks and sizes always, the rest where it limits something.
    var rows: [(String, String)] {
        func sectors(_ count: UInt64?) -> String { count.map { Units.short($0 * 512) } ?? "any length" }
        var rows = [
            ("blocks", "\(logicalBlockSize) bytes logical, \(physicalBlockSize) physical"),
            ("preferred", "from \(minimumIOSize) bytes" + (optimalIOSize > 0 ? ", best \(optimalIOSize)" : "")),
            ("requests", "\(sectors(maxSectors))" + (maxSectors == nil ? "" : " at most")),
        ]
        var bounds: [String] = []
        if maxSectors != nil, let most = maxHardwareSectors { bounds.append("device \(Units.short(most * 512))") }
        if maxDeviceSectors > 0 { bounds.append("way to it \(Units.short(maxDeviceSectors * 512))") }
        if let most = maxUserSectors { bounds.append("user \(Units.short(most * 512))") }
        if !bounds.isEmpty { rows[2].1 += " (\(bounds.joined(separator: ", ")))" }
        if chunkSectors > 0 { rows.append(("chunks", "no request crosses a multiple of \(sectors(chunkSectors))")) }
        if maxDiscardSectors != 0 {
            let unit = discardGranularity > 0 ? ", in units of \(discardGranularity) bytes" : ""
            rows.append(("discards", sectors(maxDiscardSectors) + unit))
        }
        if maxWriteZeroesSectors != 0 { rows.append(("zeroes", sectors(maxWriteZeroesSectors))) }
        if alignmentOffset > 0 { rows.append(("alignment", "\(alignmentOffset) bytes off the physical blocks")) }
        if misaligned { rows.append(("alignment", "the disks that it stands on do not line up")) }
        return rows
    }
}

extension NodeModel {
    /// One line: where, and for whom.
    var text: String {
        var words = ["/dev/\(path)"]
        if let mode { words.append("mode 0\(String(mode, radix: 8))") }
        if let uid { words.append("user \(uid)") }
        if let gid { words.append("group \(gid)") }
        return words.joined(separator: ", ")
    }
}

extension StatisticsModel {
    /// One line of counters.
    var text: String {
        func kind(_ name: String, _ kind: Kind) -> String? {
            guard kind.completed > 0 else { return nil }
            let mean = kind.seconds / Double(kind.completed)
            return "\(Units.plural(kind.completed, name)) (\(Units.short(kind.bytes)), \(Units.seconds(mean)) each)"
        }
        let kinds = [
            kind("read", reads), kind("write", writes), kind("discard", discards), kind("flush", flushes),
        ].compactMap { $0 }
        let counters = kinds.isEmpty ? "none yet" : kinds.joined(separator: ", ")
        let busy = busySeconds > 0 ? ", busy \(Units.seconds(busySeconds))" : ""
        return "\(device): \(counters)" + (inFlight > 0 ? ", \(inFlight) in flight" : "") + busy
    }
}

extension LatencyModel {
    /// One line of percentiles.
    var text: String {
        let parts = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)]
        return "\(operation): " + parts.map { "\($0.0) \(Units.seconds($0.1))" }.joined(separator: ", ")
    }
}

extension LedgerModel {
    /// One line that adds up.
    var text: String {
        var words = "\(accepted) accepted = \(ok) ok + \(failed) failed + \(aborted) aborted"
        words += " + \(quarantined) quarantined"
        if inFlight > 0 { words += " + \(inFlight) in flight" }
        if timedOut > 0 { words += "; \(timedOut) timed out" }
        if expired > 0 { words += "; \(expired) at a removal's deadline" }
        if refused > 0 { words += "; \(refused) refused" }
        if driverFaults > 0 { words += "; \(driverFaults) dropped by the driver" }
        return words
    }
}
