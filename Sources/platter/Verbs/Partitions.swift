// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockPartitions
import BlockSystem

struct PartitionsVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions",
        abstract: "Print the partition table of an image file, a block device or a disk.",
        discussion: """
            A word with '/' in it, or an existing file, is read directly and needs no daemon. The formats and how they \
            are read: docs/partitions.md.
            """)

    @Argument(help: "A file, or the name of a disk.")
    var target: String
    @Option(
        name: .customLong("as"),
        help: "Whose rules: platter (reads what can be read), kernel (as Linux) or blkid (as libblkid 2.38).")
    var policy = "platter"
    @Option(help: "The formats to ask, separated by commas; 'acorn' stands for its five.")
    var formats: String?
    @Flag(help: "Say which sectors each format looked at, and why it said no.")
    var explain = false
    @Option(help: "Cylinders, heads and sectors per track, C/H/S: without it no disk is IBM's.")
    var geometry: String?
    @Option(help: "Partitions as the kernel's parameter 'blkdevparts=' gives them; of an image, to its first disk.")
    var cmdline: String?
    @Option(name: .customLong("device-tree"), help: "A device tree with fixed partitions; for images.")
    var deviceTree: String?
    @Option(name: .customLong("sector-size"), help: "The logical sector size of the image: 512, 1024, 2048 or 4096.")
    var sectorSize: Int?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    private var query: PartitionQuery {
        var query = PartitionQuery()
        query.policy = policy
        query.formats = formats
        query.isExplained = explain
        query.geometry = geometry
        query.commandLine = cmdline
        return query
    }

    func validate() throws {
        if let sectorSize, ![512, 1024, 2048, 4096].contains(sectorSize) {
            throw ValidationError("--sector-size takes 512, 1024, 2048 or 4096.")
        }
        do throws(Problem) {
            _ = try query.options()
        } catch {
            throw ValidationError("\(error.detail).")
        }
    }

    func run() async throws {
        let isFile = target.contains("/") || HostFile.status(target) != nil
        let table = isFile ? try fileTable() : try await diskTable()
        if output.json {
            try Output.json(table)
            return
        }
        Output.oddities(table.warnings, of: target)
        Output.line(table.text)
    }

    private func fileTable() throws -> PartitionTableModel {
        var source: FilePartitionSource
        do throws(SystemError) {
            source = try FilePartitionSource(path: target, blockSize: sectorSize)
        } catch {
            throw Problem(.failed, "'\(target)' cannot be read: \(error)", errno: error.name)
        }
        var options = try query.options()
        options.deviceTree = try deviceTree.map(treeBytes)
        let scan = scanPartitions(&source, options: options)
        if let error = scan.error {
            if explain { Output.error(PartitionTableModel(scan, sectorSize: source.logicalBlockSize).probeText) }
            throw Problem(.failed, "the partition table of '\(target)' cannot be read: \(error)", errno: "EIO")
        }
        return PartitionTableModel(scan, sectorSize: source.logicalBlockSize)
    }

    /// The bytes of a device tree; they are few.
    private func treeBytes(_ path: String) throws -> [UInt8] {
        do throws(SystemError) {
            return try FilePartitionSource.contents(of: path, atMost: 16 << 20)
        } catch {
            throw Problem(.failed, "'\(path)' cannot be read: \(error)", errno: error.name)
        }
    }

    private func diskTable() async throws -> PartitionTableModel {
        guard sectorSize == nil else {
            throw ValidationError("--sector-size is for images; the disk '\(target)' knows its own.")
        }
        guard deviceTree == nil else { throw ValidationError("--device-tree is for images.") }
        return try await daemon.client.send(.diskPartitions, target, query: query.parameters)
    }
}

extension PartitionTableModel {
    /// As a table, after what the formats had to say if that was asked for.
    var text: String {
        let explanation = probes == nil ? "" : probeText + "\n\n"
        guard let table else { return explanation + "no partition table" }
        var rows = [["NUMBER", "START", "SECTORS", "SIZE", "TYPE", "UUID", "FLAGS", "NAME"]]
        for one in partitions {
            // Of an extended partition the table's sectors, not those that its device has.
            let sectors = one.extent ?? one.size
            rows.append([
                "\(one.number)", "\(one.start)", "\(sectors)",
                Units.short(sectors.multipliedReportingOverflow(by: 512)),
                one.type ?? "-", one.uuid ?? "-", one.flagText, one.name ?? "",
            ])
        }
        return explanation + "\(table), \(sectorSize)-byte sectors"
            + (partitions.isEmpty ? "" : "\n" + Columns.text(rows))
    }

    /// What each format looked at, and why it said no.
    var probeText: String {
        var rows = [["FORMAT", "ANSWER", "SECTORS", "WHY"]]
        for probe in probes ?? [] {
            let sectors = probe.sectors.map { $0[0] == $0[1] ? "\($0[0])" : "\($0[0])-\($0[1])" }
            rows.append([
                probe.format, probe.outcome, sectors.isEmpty ? "-" : sectors.joined(separator: ","), probe.reason,
            ])
        }
        return Columns.text(rows)
    }
}

extension PartitionTableModel.Entry {
    /// What the table says of it besides, in words; the bits of a GPT that have none as sfdisk has them.
    fileprivate var flagText: String {
        var words = (extent == nil ? [] : ["extended"]) + flags
        let bits = attributes.flatMap { UInt64($0.dropFirst(2), radix: 16) } ?? 0
        for bit in 0..<64 where bits & 1 << UInt64(bit) != 0 {
            switch bit {
            case 0: words.append("required")
            case 1: words.append("no-block-io")
            case 2: if !words.contains("boot") { words.append("boot") }
            default: words.append("GUID:\(bit)")
            }
        }
        return words.isEmpty ? "-" : words.joined(separator: ",")
    }
}

extension Units {
    /// A number of bytes, and `-` for one that does not fit 64 bits.
    fileprivate static func short(_ bytes: (partialValue: UInt64, overflow: Bool)) -> String {
        bytes.overflow ? "-" : short(bytes.partialValue)
    }
}
