// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct ListVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the disks and their partitions, as lsblk does.",
        discussion: """
            Options and columns are lsblk's, as far as they are of disks. Columns:
            \(columnHelp)
            """, aliases: ["ls"])

    @Argument(help: ArgumentHelp("Disks or partitions; all of them without.", valueName: "name"))
    var names: [String] = []
    @Flag(name: [.customShort("a"), .long], help: "Print hidden disks, too.")
    var all = false
    @Flag(name: [.customShort("b"), .long], help: "Print sizes in bytes.")
    var bytes = false
    @Flag(name: [.customShort("d"), .customLong("nodeps")], help: "Print disks without what is on them.")
    var flat = false
    @Flag(name: [.customShort("i"), .long], help: "Draw the tree in ASCII.")
    var ascii = false
    @Flag(name: [.customShort("J"), .long], help: "Print JSON: everything, or the columns that are asked for.")
    var json = false
    @Flag(name: [.customShort("l"), .long], help: "Print a list, each device once.")
    var list = false
    @Flag(name: [.customShort("n"), .customLong("noheadings")], help: "Print no column names.")
    var noHeadings = false
    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("Columns, with commas between; +COL behind the usual ones.", valueName: "columns"))
    var columns: String?
    @Flag(name: [.customShort("O"), .customLong("output-all")], help: "Print all columns.")
    var everything = false
    @Flag(name: [.customShort("P"), .long], help: "Print NAME=\"value\" pairs.")
    var pairs = false
    @Flag(name: [.customShort("p"), .long], help: "Print names with /dev/ before them.")
    var paths = false
    @Flag(name: [.customShort("r"), .long], help: "Print words with one space between.")
    var raw = false
    @Flag(name: [.customShort("s"), .long], help: "Print what stands on others first.")
    var inverse = false
    @Flag(name: [.customShort("t"), .long], help: "Print columns about sizes and queues.")
    var topology = false
    @Flag(name: [.customShort("T"), .long], help: "Print a tree; for --json and --list, too.")
    var tree = false
    @OptionGroup var daemon: DaemonOptions

    private static var columnHelp: String {
        DiskColumn.all.map { "\($0.name.padded(to: 10)) \($0.help)" }.joined(separator: "\n")
    }

    private var wanted: [DiskColumn]? {
        get throws {
            if everything { return DiskColumn.all }
            let usual = topology ? DiskColumn.topology : DiskColumn.standard
            if let columns { return try DiskColumn.parse(columns, behind: usual) }
            return topology || !json ? DiskColumn.named(usual) : nil
        }
    }

    private var style: DiskTable.Style {
        var style = DiskTable.Style()
        style.format = json ? .json : pairs ? .pairs : raw ? .raw : list && !tree ? .list : .tree
        style.inBytes = bytes
        style.hasPaths = paths
        style.hasHeadings = !noHeadings
        style.isASCII = ascii
        style.isInverse = inverse
        style.isFlat = flat || json && list && !tree
        return style
    }

    func run() async throws {
        let columns = try wanted
        var query = all ? [("hidden", "1")] : []
        if columns != nil, self.columns != nil || everything || topology { query.append(("sysfs", "1")) }
        var found = try await daemon.client.send(.listDisks, query: query, as: DeviceList.self)
        if !names.isEmpty { found = try found.only(names) }
        guard let columns else {
            try Output.json(found)
            return
        }
        guard !found.blockdevices.isEmpty || json else { return }
        Output.text(try DiskTable.text(found, columns, style))
    }
}

extension DeviceList {
    /// The disks and partitions with these names, in that order.
    func only(_ names: [String]) throws -> DeviceList {
        let all = blockdevices.flatMap { [$0] + ($0.children ?? []) }
        return DeviceList(
            blockdevices: try names.map { name in
                guard let device = all.first(where: { $0.name == name }) else { throw Problem.noSuchDisk(name) }
                return device
            })
    }
}
