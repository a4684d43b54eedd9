// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Foundation
import TestSupport
import Testing

/// The script of verbs in Tests/Oracle, done on a disk of ours; beside it lies what a kernel answered to each, and
/// docs/kernel-differences.md says where the two may differ, and why. An end-to-end test sees to it that a kernel still
/// answers what is written there.
@Suite struct `The kernel as the oracle` {
    /// - Parameter section: the part of the list for what this kind of disk answers otherwise than the kernel's loop disk.
    @Test(arguments: [("Tests/Oracle/kernel.txt", nil), ("Tests/Oracle/kernel-brd.txt", "RAM disks")])
    func `answers as we do, but for what is listed with its reason`(file: String, section: String?) async throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        func text(_ path: String) throws -> String {
            try String(contentsOf: root.appending(path: path), encoding: .utf8)
        }
        let kernel = Transcript(try text(file))
        let loop = Transcript(try text("Tests/Oracle/kernel.txt"))
        let script = try text("Tests/Oracle/script.txt")
        let ours = Transcript(try await Script(script, isResizable: section == nil).run())
        let document = try text("docs/kernel-differences.md")
        var listed = Differences(document, section: nil)
        if let section {
            // What a loop disk answers, too, is listed with that.
            listed.answers = listed.answers.filter { kernel.answers[$0.key] == loop.answers[$0.key] }
            listed.answers.merge(Differences(document, section: section).answers) { _, own in own }
        }
        #expect(kernel.answers.count > 100)
        #expect(ours.labels == kernel.labels)
        for label in kernel.labels {
            let (theirs, mine) = (kernel.answers[label] ?? "", ours.answers[label] ?? "")
            if let (theirs: listedTheirs, mine: listedMine) = listed.answers[label] {
                #expect(
                    theirs.matches(listedTheirs) && mine.matches(listedMine),
                    "\(label): not the difference that is listed: \(theirs) | \(mine)")
                #expect(theirs != mine, "\(label): listed, and there is no difference")
            } else {
                #expect(mine == theirs, "\(label): \(kernel.verbs[label] ?? "")")
            }
        }
        #expect(listed.answers.keys.allSatisfy { kernel.answers[$0] != nil })
    }
}

/// Verbs with their labels, and what was answered: the word, then events.
private struct Transcript {
    var labels: [String] = []
    var verbs: [String: String] = [:]
    var answers: [String: String] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n").map(String.init) {
            if let answer = line.stripped(of: "= ") ?? line.stripped(of: "  "), let last = labels.last {
                answers[last] = (answers[last].map { $0 + "; " } ?? "") + answer
            } else if let colon = line.firstIndex(of: ":") {
                labels.append(String(line[..<colon]))
                verbs[labels[labels.count - 1]] = line
            }
        }
    }
}

/// The rows of the table whose first cell is a label.
private struct Differences {
    var answers: [String: (theirs: String, mine: String)] = [:]

    /// - Parameter section: the heading under which they stand; nil: before the first.
    init(_ text: String, section: String?) {
        var here: String?
        for line in text.split(separator: "\n") {
            if line.hasPrefix("## ") { here = String(line.dropFirst(3)) }
            guard line.hasPrefix("| `"), here == section else { continue }
            let cells = line.split(separator: "|").map { $0.filter { $0 != "`" }.trimmingCharacters(in: .whitespaces) }
            for label in cells[0].split(separator: " ") { answers[String(label)] = (cells[2], cells[3]) }
        }
    }
}

extension String {
    /// Whether it is the pattern, in which an ellipsis stands for anything.
    fileprivate func matches(_ pattern: String) -> Bool {
        var rest = self[...]
        let pieces = pattern.components(separatedBy: "…")
        for (index, piece) in pieces.enumerated() where !piece.isEmpty {
            guard let found = rest.range(of: piece), index > 0 || found.lowerBound == rest.startIndex else {
                return false
            }
            rest = rest[found.upperBound...]
        }
        return pieces.last == "" || rest.isEmpty
    }

    fileprivate func stripped(of prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}

/// Does the verbs on a RAM disk.
private final class Script {
    private let lines: [String]
    private var registry = DiskRegistry()
    private var disk: Disk?
    private var handles: [String: DiskClient] = [:]
    private var events: EventLog?
    private let isResizable: Bool

    init(_ text: String, isResizable: Bool) {
        self.isResizable = isResizable
        lines = text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
    }

    func run() async throws -> String {
        var transcript = ""
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            let before = registry.events.last
            let isFresh = words[1] == "disk"
            transcript += "\(line)\n= \(try await answer(words[1], Array(words.dropFirst(2))))\n"
            // What the making of a disk told is not of interest, nor was it to the kernel.
            if isFresh { continue }
            for event in events?.after(before, through: registry.events.last) ?? [] { transcript += "  \(event)\n" }
        }
        _ = await disk?.remove(.surprise)
        return transcript
    }

    private func answer(_ verb: String, _ words: [String]) async throws -> String {
        let numbers = words.map { UInt64($0) ?? 0 }
        do {
            switch verb {
            case "disk": return try await makeDisk(numbers[0])
            case "open": return try open(words)
            case "close": handles[words[0]] = nil
            case "size": return "\(handles[words[0]]?.size ?? 0)"
            case "parts": return parts
            case "add": _ = try disk?.addPartition(number: Int(numbers[0]), start: numbers[1], size: numbers[2])
            case "del": try disk?.deletePartition(Int(numbers[0]))
            case "resize": try resize(Int(numbers[0]), numbers[1], numbers[2])
            case "reread": return try reread(words[0])
            // Nobody can ask a RAM disk of a kernel for another size; ours are not asked, then.
            case "capacity" where !isResizable: return "EOPNOTSUPP"
            case "capacity": try await disk?.resize(to: numbers[0])
            case "ro": try await disk?.set("ro", to: words[1] == "1" ? "on" : "off")
            case "table": return try table(words)
            case "read": return try moved(words[0], .read, numbers)
            case "write": return try moved(words[0], .write, numbers)
            case "flush": return word(try handles[words[0]]?.run(.flush))
            case "discard": return word(try handles[words[0]]?.run(.discard, numbers[1], numbers[2]))
            case "zero": return word(try handles[words[0]]?.run(.writeZeroes, numbers[1], numbers[2]))
            default: return "?"
            }
            return "ok"
        } catch let error as DiskError {
            return SystemError(errno: error.errno).name
        }
    }

    private func word(_ status: BlockStatus?) -> String {
        guard let status, status != .ok else { return status == nil ? "?" : "ok" }
        return SystemError(errno: status.errno).name
    }

    private func makeDisk(_ sectors: UInt64) async throws -> String {
        handles = [:]
        _ = await disk?.remove(.surprise)
        registry = DiskRegistry()
        events = EventLog(registry)
        let driver = try DriverCatalogue.make(driver: "ram", keys: [("size", "\(sectors * 512)")])
        var options = DiskOptions()
        options.name = "d"
        disk = try await registry.add(driver, options)
        return "ok"
    }

    private func open(_ words: [String]) throws -> String {
        var mode: OpenMode = []
        if words[1].contains("r") { mode.insert(.read) }
        if words[1].contains("w") { mode.insert(.write) }
        if words[1].contains("x") { mode.insert(.exclusive) }
        guard let device = registry.device(named: words[2]) else { return "ENOENT" }
        handles[words[0]] = try DiskClient(device, mode)
        return "ok"
    }

    private var parts: String {
        let all = disk?.partitions.map { "\($0.partitionNumber):\($0.start)+\($0.size)" } ?? []
        return all.isEmpty ? "none" : all.joined(separator: " ")
    }

    private func resize(_ number: Int, _ start: UInt64, _ size: UInt64) throws {
        // Linux takes the start, too, and refuses another than it has.
        let now = disk?.partitions.first { $0.partitionNumber == number }
        if let now, now.start != start { throw DiskError(errno: 22, reason: "another start") }
        try disk?.resizePartition(number, to: size)
    }

    private func reread(_ handle: String) throws -> String {
        try handles[handle]?.rescan()
        return "ok"
    }

    private func table(_ words: [String]) throws -> String {
        var sector = [UInt8](repeating: 0, count: 512)
        (sector[510], sector[511]) = (0x55, 0xaa)
        for entry in words.dropFirst() {
            let fields = entry.split { ":+".contains($0) }.map { UInt32($0) ?? 0 }
            let at = 446 + (Int(fields[0]) - 1) * 16
            sector[at + 4] = 0x83
            for byte in 0..<4 {
                sector[at + 8 + byte] = UInt8(truncatingIfNeeded: fields[1] >> (byte * 8))
                sector[at + 12 + byte] = UInt8(truncatingIfNeeded: fields[2] >> (byte * 8))
            }
        }
        return word(try handles[words[0]]?.run(.write, 0, 1, bytes: sector))
    }

    private func moved(_ handle: String, _ operation: BioOperation, _ numbers: [UInt64]) throws -> String {
        let bytes = [UInt8](repeating: 0, count: Int(numbers[2]) * 512)
        let answer = word(
            try handles[handle]?.run(operation, numbers[1], numbers[2], bytes: operation == .write ? bytes : []))
        return answer == "ok" ? "\(numbers[2])" : answer
    }
}

/// Everything a registry told, in the transcript's words.
private final class EventLog: Sendable {
    private let told = Lock<[UInt64: String]>([:])
    private let observer: EventObserver

    init(_ registry: DiskRegistry) {
        let told = told
        observer = registry.events.observe(after: 0) { delivery in
            guard case .event(let event) = delivery else { return }
            let keys = event.properties.map { key, value in
                ["PARTN", "RESIZE", "DISK_RO"].contains(key) ? "\(key)=\(value)" : key
            }
            let text = "\(event.action.rawValue) \(event.device) \(keys.joined(separator: ","))"
            told.withLock { $0[event.sequence] = text }
        }
    }

    /// The events of these numbers, once they were delivered.
    func after(_ first: UInt64, through last: UInt64) -> [String] {
        guard last > first else { return [] }
        #expect(eventually { told.withLock { $0[last] } != nil })
        return told.withLock { told in (first + 1...last).compactMap { told[$0] } }
    }
}
