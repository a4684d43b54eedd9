// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import CFuzzer

/// What is fuzzed: one format, all of them at once, edits of what is read, scripts for edits.
enum FuzzTarget: Sendable {
    case format(PartitionTableKind)
    case all, edit, script

    /// The formats that have a parser of their own, and the others.
    static let names = PartitionTableKind.allCases.map(\.rawValue) + ["all", "edit", "script"]

    init?(_ name: String) {
        switch name {
        case "all": self = .all
        case "edit": self = .edit
        case "script": self = .script
        default:
            guard let kind = PartitionTableKind(rawValue: name) else { return nil }
            self = .format(kind)
        }
    }

    /// Scans what an input describes, and traps where a promise of the scan is broken.
    func run(_ input: [UInt8]) {
        switch self {
        case .edit: Self.edit(input)
        case .script: Self.script(input)
        default: scan(input)
        }
    }

    private func scan(_ input: [UInt8]) {
        var options = PartitionScanOptions(
            geometry: DiskGeometry(cylinders: 100, heads: 15, sectorsPerTrack: 12), isExplained: input.count % 8 == 0)
        if case .format(.cmdline) = self {
            options.commandLine = String(decoding: input.dropFirst(5), as: UTF8.self)
        }
        if case .format(.deviceTree) = self { options.deviceTree = Array(input.dropFirst(5)) }
        guard var disk = FuzzDisk(input) else { return }
        options.policy = disk.policy
        if case .format(let kind) = self {
            // Tables inside an MBR need one.
            options.formats = PartitionTableKind.nested.contains(kind) ? [kind, .dos] : [kind]
            if kind == .dos { options.formats = [.dos, .aix] }
            if disk.mendsSums { disk.mend(kind) }
        }
        let scan = scanPartitions(&disk, options: options)
        precondition(disk.reads <= PartitionScanLimits.reads && disk.bytesRead <= PartitionScanLimits.bytes)
        precondition(scan.table != nil || scan.entries.isEmpty)
        precondition(scan.warnings.count <= 257)
        var last = 0
        for entry in scan.entries {
            precondition(entry.number > last)
            last = entry.number
            guard options.policy == .platter else { continue }
            precondition(entry.number <= PartitionScanLimits.number && entry.size > 0)
            precondition(entry.start < disk.capacity && entry.size <= disk.capacity - entry.start)
        }
    }
}

/// The target of this process.
// SAFETY: set once, by the only thread there is, before libFuzzer begins; from then on it is only read.
nonisolated(unsafe) private var target = FuzzTarget.all

@main
struct FuzzTables {
    /// `fuzz-tables NAME [libFuzzer's arguments]`; without a name it prints them all.
    static func main() {
        guard CommandLine.arguments.count > 1, let named = FuzzTarget(CommandLine.arguments[1]) else {
            print(FuzzTarget.names.joined(separator: "\n"))
            return
        }
        // SAFETY: nothing else runs yet.
        target = named
        var arguments = CommandLine.unsafeArgv
        arguments[1] = arguments[0]
        arguments += 1
        var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = arguments
        var count = CommandLine.argc - 1
        let status = LLVMFuzzerRunDriver(&count, &pointer) { data, size in
            target.run(Array(UnsafeBufferPointer(start: data, count: size)))
            return 0
        }
        exitProcess(status)
    }
}
