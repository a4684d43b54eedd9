// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockPartitions
import BlockSystem

struct PartitionVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partition",
        abstract: "Change the partition table of an image file, a block device or a disk.",
        discussion: """
            A word with '/' in it, or an existing file, is written directly and needs no daemon; a name is a disk of the \
            daemon. Tables are GPTs and MBRs with logical partitions. Nothing is written that would not be read as it is \
            meant, nor while a partition that would change is in use. At each moment the disk has a table: the old one or \
            the new one. How: docs/partitions.md.
            """,
        subcommands: [
            CreatePartition.self, DeletePartition.self, ResizePartition.self, NamePartition.self,
            ConvertTable.self, ApplyScript.self,
        ])
}

/// What all edits of a table share.
struct TableEditOptions: ParsableArguments {
    @Argument(help: "A file, or the name of a disk.")
    var target: String
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Say what would be written, and write nothing.")
    var dryRun = false
    @Option(name: .customLong("sector-size"), help: "The logical sector size of the image: 512, 1024, 2048 or 4096.")
    var sectorSize: Int?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func validate() throws {
        if let sectorSize, ![512, 1024, 2048, 4096].contains(sectorSize) {
            throw ValidationError("--sector-size takes 512, 1024, 2048 or 4096.")
        }
    }

    /// Does it, and prints what was done.
    func perform(_ request: TableEditRequest) async throws {
        var request = request
        request.dryRun = dryRun
        let change: TableChangeModel
        if target.contains("/") || HostFile.status(target) != nil {
            change = try TableFile(path: target, blockSize: sectorSize, isDryRun: dryRun).edit(request)
        } else {
            guard sectorSize == nil else {
                throw ValidationError("--sector-size is for images; the disk '\(target)' knows its own.")
            }
            change = try await daemon.client.send(.editTable, target, body: request)
        }
        if output.json {
            try Output.json(change)
            return
        }
        Output.oddities(change.notes + change.table.warnings, of: target)
        Output.line(change.text)
    }
}

/// A verb that edits a table.
protocol TableEditVerb: AsyncParsableCommand {
    var options: TableEditOptions { get }
    /// What is to be done, as it is asked of the daemon.
    func request() throws -> TableEditRequest
}

extension TableEditVerb {
    func run() async throws { try await options.perform(try request()) }
}

struct CreatePartition: TableEditVerb {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a partition, or an empty table.",
        discussion: """
            A disk without a table gets a GPT first, or what --table says. With --table and nothing else about a \
            partition, an empty table is made. A place that is not given is the first free one that is large enough; a \
            size that is not given is all of the largest. An MBR's logical partitions follow when its four primary \
            numbers are taken, or with --start inside the extended one.
            """)

    @OptionGroup var options: TableEditOptions
    @Option(help: "The table of a disk that has none: gpt or dos.")
    var table: String?
    @Flag(help: "Write over what a disk without a table holds; with --table alone, over a table that has partitions.")
    var force = false
    @Option(help: "The number; the lowest free one without it.")
    var number: Int?
    @Option(help: "Where it begins, such as 1M, or 2048s in sectors of 512 bytes.")
    var start: String?
    @Option(help: "The size, such as 512M or 2G.")
    var size: String?
    @Option(help: "linux, swap, uefi, raid, lvm, home, bios, data, extended; a GUID; two hex digits.")
    var type: String?
    @Option(help: "The name; of a GPT.")
    var name: String?
    @Option(help: "The identity; of a GPT.")
    var uuid: String?
    @Flag(help: "Mark it as the one to boot from.")
    var bootable = false

    func request() throws -> TableEditRequest {
        let isEmpty = number == nil && start == nil && size == nil && type == nil && name == nil && uuid == nil
        var request = TableEditRequest(edit: table != nil && isEmpty && !bootable ? "make" : "create")
        request.table = table
        request.force = force
        request.number = number
        request.start = try start.map(Units.place)
        request.size = try size.map(Units.place)
        request.type = type
        request.name = name
        request.uuid = uuid
        request.bootable = bootable
        return request
    }
}

struct DeletePartition: TableEditVerb {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Take partitions out of the table. What is in them stays on the disk.",
        discussion: "Of an MBR's logical partitions, those behind one that goes have a number one less from then on.")

    @OptionGroup var options: TableEditOptions
    @Argument(help: "The numbers.")
    var numbers: [Int]

    func request() throws -> TableEditRequest {
        var request = TableEditRequest(edit: "delete")
        request.numbers = numbers
        return request
    }
}

struct ResizePartition: TableEditVerb {
    static let configuration = CommandConfiguration(
        commandName: "resize",
        abstract: "Give a partition another size.",
        discussion: "Its beginning stays. A file system in it is not touched: make it smaller before, or larger after.")

    @OptionGroup var options: TableEditOptions
    @Argument(help: "The number.")
    var number: Int
    @Argument(help: "The size, such as 512M, or 'max' for as much as there is.")
    var size: String

    func request() throws -> TableEditRequest {
        var request = TableEditRequest(edit: "resize")
        request.number = number
        if size != "max" { request.size = try Units.place(size) }
        return request
    }
}

struct NamePartition: TableEditVerb {
    static let configuration = CommandConfiguration(
        commandName: "name", abstract: "Name a partition of a GPT.")

    @OptionGroup var options: TableEditOptions
    @Argument(help: "The number.")
    var number: Int
    @Argument(help: "The name, of up to 36 units of UTF-16; '' takes it away.")
    var name: String

    func request() throws -> TableEditRequest {
        var request = TableEditRequest(edit: "name")
        request.number = number
        request.name = name
        return request
    }
}

struct ConvertTable: TableEditVerb {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Make a GPT of an MBR.",
        discussion: """
            Partitions keep their places and numbers; the extended one goes. The GPT needs 33 free sectors behind the \
            first one and at the end. On a disk with a GPT, its backup is moved to the end of the disk, as after growing it.
            """)

    @OptionGroup var options: TableEditOptions
    @Option(help: "To which table: gpt.")
    var to = "gpt"

    func request() throws -> TableEditRequest {
        var request = TableEditRequest(edit: "convert")
        request.table = to
        return request
    }
}

struct ApplyScript: TableEditVerb {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make the table that a script of sfdisk's describes.",
        discussion: """
            The script is what 'sfdisk --dump' prints and sfdisk reads. It takes the place of all partitions; without a \
            line 'label:' the table that is there keeps its kind, and a disk without one gets an MBR.
            """)

    @OptionGroup var options: TableEditOptions
    @Argument(help: "The script; '-' is standard input.")
    var script = "-"
    @Flag(help: "Write over what a disk without a table holds.")
    var force = false

    func request() throws -> TableEditRequest {
        var request = TableEditRequest(edit: "apply")
        request.force = force
        do throws(SystemError) {
            request.script = try HostFile.readText(script == "-" ? "/dev/stdin" : script)
        } catch {
            throw Problem(.failed, "the script '\(script)' cannot be read: \(error)", errno: error.name)
        }
        return request
    }
}

extension TableChangeModel {
    /// The writes if nothing was written, then the table.
    fileprivate var text: String {
        var lines: [String] = []
        if dryRun {
            lines = writes.map { "would write \($0.length) bytes at \($0.offset): \($0.what)" }
            if lines.isEmpty { lines = ["would write nothing: the disk has this table"] }
            lines.append("")
        }
        return (lines + [table.text]).joined(separator: "\n")
    }
}

extension Units {
    /// A size or a place in bytes, or in sectors of 512 bytes with an `s` behind it.
    fileprivate static func place(_ text: String) throws -> UInt64 {
        guard text.hasSuffix("s"), let sectors = UInt64(text.dropLast()), sectors <= UInt64.max >> 9 else {
            return try bytes(text)
        }
        return sectors * 512
    }
}
