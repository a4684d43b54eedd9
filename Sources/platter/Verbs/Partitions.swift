// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockPartitions
import BlockSystem

struct PartitionsVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions",
        abstract: "Print the partition table of an image file, a block device or a disk.",
        discussion: "A word with '/' in it, or an existing file, is read directly and needs no daemon.")

    @Argument(help: "A file, or the name of a disk.")
    var target: String
    @Option(
        name: .customLong("as"),
        help: "Whose rules: platter (reads what can be read) or kernel (refuses as Linux does).",
        transform: PartitionsVerb.policy)
    var policy: PartitionPolicy = .platter
    @Option(name: .customLong("sector-size"), help: "The logical sector size of the image: 512, 1024, 2048 or 4096.")
    var sectorSize: Int?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func validate() throws {
        if let sectorSize, ![512, 1024, 2048, 4096].contains(sectorSize) {
            throw ValidationError("--sector-size takes 512, 1024, 2048 or 4096.")
        }
    }

    func run() async throws {
        let isFile = target.contains("/") || HostFile.status(target) != nil
        let table = isFile ? try fileTable() : try await diskTable()
        if output.json {
            try Output.json(table)
            return
        }
        for warning in table.warnings { Output.error("\(target): \(warning)") }
        Output.line(table.text)
    }

    private static func policy(_ text: String) throws -> PartitionPolicy {
        guard let policy = PartitionPolicy(rawValue: text) else {
            throw ValidationError("--as takes platter or kernel, not '\(text)'.")
        }
        return policy
    }

    private func fileTable() throws -> PartitionTableModel {
        var source: FilePartitionSource
        do throws(SystemError) {
            source = try FilePartitionSource(path: target, blockSize: sectorSize)
        } catch {
            throw Problem(.failed, "'\(target)' cannot be read: \(error)", errno: error.name)
        }
        let scan = scanPartitions(&source, policy: policy)
        if let error = scan.error {
            throw Problem(.failed, "the partition table of '\(target)' cannot be read: \(error)", errno: "EIO")
        }
        return PartitionTableModel(scan, sectorSize: source.logicalBlockSize)
    }

    private func diskTable() async throws -> PartitionTableModel {
        guard sectorSize == nil else {
            throw ValidationError("--sector-size is for images; the disk '\(target)' knows its own.")
        }
        return try await daemon.client.send(.diskPartitions, target, query: [("as", policy.rawValue)])
    }
}

extension PartitionTableModel {
    /// As a table.
    var text: String {
        guard let table else { return "no partition table" }
        var rows = [["NUMBER", "START", "SECTORS", "SIZE", "TYPE", "UUID", "NAME"]]
        for one in partitions {
            rows.append([
                "\(one.number)", "\(one.start)", "\(one.size)", Units.short(one.size * 512), one.type ?? "-",
                one.uuid ?? "-", one.name ?? "",
            ])
        }
        return "\(table), \(sectorSize)-byte sectors" + (partitions.isEmpty ? "" : "\n" + Columns.text(rows))
    }
}
