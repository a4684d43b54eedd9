// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct ListVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the disks and their partitions, as lsblk does.",
        discussion: """
            Options and columns are lsblk's, as far as they are of disks. --json without columns prints each disk \
            once, with its partitions in it, and says in 'lowers' and 'uppers' what stands on what; names and --tree \
            nest all of it, as columns do. Columns:
            \(columnHelp)
            """, aliases: ["ls"])

    @Argument(help: ArgumentHelp("Disks or partitions; all of them without.", valueName: "name"))
    var names: [String] = []
    @Flag(name: [.customShort("a"), .long], help: "Print hidden disks, too.")
    var all = false
    @Flag(name: [.customShort("A"), .long], help: "Print no disks without a medium.")
    var noempty = false
    @Flag(name: [.customShort("b"), .long], help: "Print sizes in bytes.")
    var bytes = false
    @Flag(name: [.customShort("D"), .long], help: "Print columns about discards.")
    var discard = false
    @Flag(name: [.customShort("d"), .customLong("nodeps")], help: "Print disks without what is on them.")
    var flat = false
    @Option(
        name: [.customShort("e"), .long],
        help: ArgumentHelp("Print no disks with these major numbers, with commas between.", valueName: "majors"))
    var exclude: String?
    @Flag(name: [.customShort("i"), .long], help: "Draw the tree in ASCII.")
    var ascii = false
    @Option(
        name: [.customShort("I"), .long],
        help: ArgumentHelp("Print only disks with these major numbers, with commas between.", valueName: "majors"))
    var include: String?
    @Flag(name: [.customShort("J"), .long], help: "Print JSON: everything, or the columns that are asked for.")
    var json = false
    @Flag(name: [.customShort("l"), .long], help: "Print a list, each device once.")
    var list = false
    @Flag(name: [.customShort("M"), .long], help: "Draw what stands on several once, with lines from all of them.")
    var merge = false
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
    @Flag(
        name: [.customShort("s"), .long], help: "Print what stands on others first, and beneath it what it stands on.")
    var inverse = false
    @Flag(name: [.customShort("t"), .long], help: "Print columns about sizes and queues.")
    var topology = false
    @Flag(name: [.customShort("T"), .long], help: "Print a tree, also of what is sorted.")
    var tree = false
    @Option(
        name: [.customShort("x"), .long],
        help: ArgumentHelp("Sort by a column, printed or not; without --tree as a list.", valueName: "column"))
    var sort: String?
    @OptionGroup var daemon: DaemonOptions

    private static var columnHelp: String {
        DiskColumn.all.map { "\($0.name.padded(to: 10)) \($0.help)" }.joined(separator: "\n")
    }

    func validate() throws {
        let given: [(String, Bool)] = [
            ("--json", json), ("--pairs", pairs), ("--raw", raw), ("--list", list), ("--tree", tree),
            ("--output-all", everything), ("--output", columns != nil), ("--topology", topology),
            ("--discard", discard), ("--include", include != nil), ("--exclude", exclude != nil),
        ]
        // As lsblk has them.
        let exclusive: [Set<String>] = [
            ["--json", "--pairs", "--raw"], ["--pairs", "--raw", "--list", "--tree"], ["--include", "--exclude"],
            ["--output-all", "--output"], ["--output-all", "--topology"], ["--output-all", "--discard"],
        ]
        for group in exclusive {
            let both = given.filter { $0.1 && group.contains($0.0) }.map(\.0)
            if both.count > 1 { throw ValidationError("\(both.joined(separator: " and ")) do not go together.") }
        }
        for (option, text) in [("--include", include), ("--exclude", exclude)] {
            guard let text, majors(text).isEmpty else { continue }
            throw ValidationError("\(option) '\(text)' names no major number; 259,8 would be two.")
        }
    }

    /// Numbers with commas between; none where something else is among them.
    private func majors(_ text: String) -> Set<String> {
        let words = text.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = words.compactMap { UInt32($0) }
        return numbers.count == words.count ? Set(numbers.map(String.init)) : []
    }

    private var wanted: [DiskColumn]? {
        get throws {
            if everything { return DiskColumn.all }
            var usual = discard ? DiskColumn.discard : []
            if topology { usual += DiskColumn.topology.filter { !usual.contains($0) } }
            let isUsual = usual.isEmpty
            if isUsual { usual = DiskColumn.standard }
            if let columns { return try DiskColumn.parse(columns, behind: usual) }
            return isUsual && json ? nil : DiskColumn.named(usual)
        }
    }

    private func style(sortedBy column: DiskColumn?) -> DiskTable.Style {
        var style = DiskTable.Style()
        // What is sorted is no tree, unless one is asked for.
        style.isList = list || column != nil && !tree
        style.format = json ? .json : pairs ? .pairs : raw ? .raw : style.isList ? .list : .tree
        style.inBytes = bytes
        style.hasPaths = paths
        style.hasHeadings = !noHeadings
        style.isASCII = ascii
        style.isMerged = merge && style.format == .tree
        if let column { style.sortColumn = column }
        return style
    }

    private var selection: DeviceForest.Selection {
        var selection = DeviceForest.Selection()
        // Names as they are printed with --paths.
        selection.names = names.map { $0.hasPrefix("/dev/") ? String($0.dropFirst(5)) : $0 }
        selection.isInverse = inverse
        selection.isFlat = flat
        selection.majors = include.map(majors)
        selection.otherThan = exclude.map(majors) ?? []
        selection.skipsEmpty = noempty
        return selection
    }

    func run() async throws {
        let columns = try wanted
        let sorting = try sort.map(DiskColumn.one)
        var query = all ? [("hidden", "1")] : []
        if self.columns != nil || everything || topology || discard || sort != nil { query.append(("sysfs", "1")) }
        let found = try await daemon.client.send(.listDisks, query: query, as: DeviceList.self)
        var selection = selection
        let missing = json ? [] : found.takeMissing(from: &selection.names)
        let forest = try DeviceForest(found.blockdevices, selection)
        let style = style(sortedBy: sorting)
        guard let columns else {
            let isPlain = names.isEmpty && !(tree || list || flat || inverse || sort != nil)
            let models =
                isPlain
                ? found.blockdevices.filter(selection.admits)
                : DiskTable.lines(forest, style, nested: !style.isList, inverse: inverse).map(\.model)
            try Output.json(DeviceList(blockdevices: models.map { $0.plain(paths: paths) }))
            return
        }
        if !forest.roots.isEmpty || json {
            Output.text(try DiskTable.text(forest, columns, style, inverse: inverse))
        }
        for name in missing { Output.error(Problem.noSuchDisk(name).detail) }
        if !missing.isEmpty { throw ExitStatus.noSuchDisk }
    }
}

extension DeviceList {
    /// Takes out the names that no device has, if any other has one: those are shown all the same, as by lsblk.
    fileprivate func takeMissing(from names: inout [String]) -> [String] {
        let known = Set(blockdevices.flatMap { [$0.name] + ($0.children ?? []).map(\.name) })
        guard names.contains(where: known.contains) else { return [] }
        defer { names.removeAll { !known.contains($0) } }
        return names.filter { !known.contains($0) }
    }
}

extension DeviceModel {
    /// Without what it may have been sorted by; with `/dev/` before its name and those in it if that is wanted.
    fileprivate func plain(paths: Bool) -> DeviceModel {
        var model = self
        if paths {
            model.name = "/dev/" + name
            model.lowers = lowers.map { "/dev/" + $0 }
            model.uppers = uppers.map { "/dev/" + $0 }
        }
        model.sysfs = nil
        model.partitionTable = nil
        model.partFlags = nil
        model.children = children?.map { $0.plain(paths: paths) }
        return model
    }
}
