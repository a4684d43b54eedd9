// SPDX-License-Identifier: Apache-2.0

package import BlockControl
import BlockSystem

extension RemovalModel {
    /// The report as text: a headline and a line for each thing that is worth knowing.
    package var text: String {
        var lines = [headline]
        func fact(_ name: String, _ value: String) { lines.append("  " + name.padded(to: 12) + value) }
        let isOver = outcome == "removed" || outcome == "failed"
        if isOver || inFlight > 0 {
            let when = outcome.hasPrefix("would") ? "in the driver now" : "in the driver when the disk was shut"
            fact("in flight", inFlight == 0 ? "nothing" : "\(Units.plural(inFlight, "I/O")) \(when)")
        }
        if parked > 0 { fact("parked", "\(Units.plural(parked, "I/O")) that waited to get in: they failed") }
        if failed > 0 { fact("failed", "\(Units.plural(failed, "I/O")) answered with an error by this removal") }
        if isOver {
            fact("flush", flushText)
            fact(
                "lost writes",
                failedWriteBytes == 0
                    ? "none" : Units.size(failedWriteBytes) + " answered with an error since the disk was added")
            if let unflushedBytes {
                fact(
                    "unflushed",
                    unflushedBytes == 0 ? "nothing" : Units.size(unflushedBytes) + " answered well, but never flushed")
            }
            fact("quarantined", quarantineText)
        } else if flush != "not needed" {
            fact("flush", flushText)
        }
        if driverFaults > 0 {
            fact("faults", "\(Units.plural(driverFaults, "request")) dropped by the driver since the disk was added")
        }
        if stuckSinks > 0 {
            fact("stuck", "\(Units.plural(stuckSinks, "answer")) that a holder had not taken at the deadline")
        }
        if !openers.isEmpty {
            fact("openers", "\(openers.count) " + openersText)
            lines += openers.map { "    " + $0.text }
        }
        lines += notes.map { "  note: " + $0 }
        return lines.joined(separator: "\n")
    }

    private var headline: String {
        let disk = "\(disk) (diskseq \(diskseq))"
        let took = Units.seconds(durationSeconds)
        let how = requestedMode == mode ? mode : "\(mode), asked for was \(requestedMode)"
        switch outcome {
        case "removed":
            return deadlinePassed
                ? "\(disk): removed (\(how)); the deadline passed after \(took)"
                : "\(disk): removed (\(how)) in \(took)"
        case "pending": return "\(disk): removing (\(how)); it goes when its openers have left"
        case "busy": return "\(disk): busy, not removed (\(how))"
        case "failed": return "\(disk): the flush failed, not removed (\(how)) after \(took)"
        case "cancelled": return "\(disk): the removal was taken back"
        case "would-remove": return "\(disk): would be removed (\(how))"
        case "would-wait": return "\(disk): would be removed (\(how)) when its openers have left"
        case "would-be-busy": return "\(disk): would be refused as busy (\(how))"
        default: return "\(disk): \(outcome) (\(how))"
        }
    }

    /// What became of the flush, and why.
    private var flushText: String {
        switch flush {
        case "not needed": "not needed: nothing was waiting to be made durable"
        case "done": "done: all that was answered well is durable"
        case "failed": "failed: the device refused it"
        case "abandoned": "abandoned: it was not answered before the deadline, or a stronger removal came"
        case "skipped": "skipped: this mode does not flush"
        default: flush
        }
    }

    private var openersText: String {
        switch outcome {
        case "removed": "had it open; what they ask from now on is answered with an error"
        case "pending", "would-wait": "still to leave"
        default: "in the way"
        }
    }

    private var quarantineText: String {
        quarantined == 0
            ? "nothing"
            : "\(Units.plural(quarantined, "I/O")) with \(Units.size(quarantinedBytes)) of memory, still owed by the "
                + "driver; 'platter quarantine' shows it, 'seq:\(diskseq)' names it"
    }
}

extension OpenerModel {
    /// One line: who holds what, how, since when.
    var text: String {
        let claim = holder.map { " claimed for \($0)" } ?? (claim ? " claim" : "")
        var words = ["\(device) \(mode)" + claim, opener]
        if let pid { words.append("\(program ?? "process")[\(pid)]") } else if let program { words.append(program) }
        if let uid { words.append("user \(uid)") }
        if let address { words.append(address) }
        words.append("since \(Units.moment(since)) (\(Units.seconds(max(0, Instant.wallClock - since))))")
        if inFlight > 0 { words.append("\(inFlight) in flight") }
        return words.joined(separator: "  ")
    }
}

extension String {
    /// With spaces behind it up to a width; longer ones get one space.
    func padded(to width: Int) -> String {
        count < width ? self + String(repeating: " ", count: width - count) : self + " "
    }
}
