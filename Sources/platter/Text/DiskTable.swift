// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem
import CSmartcols

/// The listing of disks, drawn by the library that draws lsblk's.
package enum DiskTable {
    /// What a line looks like.
    package enum Format: Sendable { case tree, list, raw, pairs, json }

    /// How it is all written.
    package struct Style: Sendable {
        /// What a line looks like.
        package var format = Format.tree
        /// Sizes in bytes.
        package var inBytes = false
        /// `/dev/` before names.
        package var hasPaths = false
        /// A line with the columns' names.
        package var hasHeadings = true
        /// Lines of a tree in ASCII.
        package var isASCII = false
        /// JSON without trees: each device once.
        package var isList = false
        /// What hangs under several is drawn once, with lines from all of them.
        package var isMerged = false
        /// By what lines are sorted.
        package var sortColumn = DiskColumn.numbers

        /// As lsblk without options.
        package init() {}

        /// Not for people.
        var isForPrograms: Bool { format == .raw || format == .pairs || format == .json }
    }

    /// The listing as text.
    /// - Parameter isInverse: whether the forest is.
    /// - Throws: ``Problem`` where there is no memory for it.
    package static func text(
        _ forest: DeviceForest, _ columns: [DiskColumn], _ style: Style, inverse isInverse: Bool = false
    ) throws -> String {
        Host.adoptCharacterSet()
        guard let table = scols_new_table() else { throw outOfMemory }
        defer { scols_unref_table(table) }
        prepare(table, style)
        // JSON is nested, too; what hangs under the first column is the tree.
        let isTree = style.format == .tree || style.format == .json && !style.isList
        let treeColumn = isTree ? columns.firstIndex(where: { $0.name == "NAME" }) : nil
        for (index, column) in columns.enumerated() {
            let flags = column.smartcolsFlags | (index == treeColumn ? Int32(SCOLS_FL_TREE) : 0)
            guard let new = scols_table_new_column(table, column.name, column.width, flags) else { throw outOfMemory }
            if style.format == .json { _ = scols_column_set_json_type(new, jsonType(column, style)) }
        }
        try Drawing(table: table, columns: columns, style: style)
            .draw(lines(forest, style, nested: treeColumn != nil, inverse: isInverse))
        // SAFETY: the library allocates the text, and it is freed when this returns.
        var text: UnsafeMutablePointer<CChar>?
        guard scols_print_table_to_string(table, &text) == 0, let text else { throw outOfMemory }
        defer { free(text) }
        let result = String(cString: text)
        return result.hasSuffix("\n") ? result : result + "\n"
    }

    private static func prepare(_ table: OpaquePointer, _ style: Style) {
        scols_table_enable_noheadings(table, style.hasHeadings ? 0 : 1)
        if style.isASCII { scols_table_enable_ascii(table, 1) }
        switch style.format {
        case .raw: scols_table_enable_raw(table, 1)
        case .pairs: scols_table_enable_export(table, 1)
        case .json:
            scols_table_enable_json(table, 1)
            scols_table_set_name(table, "blockdevices")
        case .tree, .list: break
        }
    }

    private static func jsonType(_ column: DiskColumn, _ style: Style) -> Int32 {
        switch column.kind {
        case .text: Int32(SCOLS_JSON_STRING)
        case .number: Int32(SCOLS_JSON_NUMBER)
        case .size: Int32(style.inBytes ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING)
        case .flag: Int32(SCOLS_JSON_BOOLEAN)
        }
    }

    /// Puts the lines into a table.
    private final class Drawing {
        private let table: OpaquePointer
        private let columns: [DiskColumn]
        private let style: Style
        /// Under which devices one hangs, of those that hang under several and are to be drawn once.
        private var shared: [String: Set<String>] = [:]
        /// The lines of what such a device hangs under, as far as they are drawn.
        private var met: [String: [OpaquePointer]] = [:]

        init(table: OpaquePointer, columns: [DiskColumn], style: Style) {
            self.table = table
            self.columns = columns
            self.style = style
        }

        func draw(_ roots: [DeviceForest.Node]) throws {
            if style.isMerged {
                for upper in roots.flatMap(\.flattened) {
                    for node in upper.children { shared[node.device.name, default: []].insert(upper.device.name) }
                }
                shared = shared.filter { $0.value.count > 1 }
            }
            try add(roots, under: nil)
        }

        private func add(_ nodes: [DeviceForest.Node], under parent: OpaquePointer?) throws {
            for node in nodes {
                let name = node.device.name
                guard let parent, let uppers = shared[name] else {
                    try add(node.children, under: try line(of: node, under: parent))
                    continue
                }
                met[name, default: []].append(parent)
                // It comes under the last of them, and what they are is drawn as one.
                guard let members = met[name], members.count == uppers.count else { continue }
                let line = try line(of: node, under: nil)
                for member in members { _ = scols_table_group_lines(table, parent, member, 0) }
                _ = scols_line_link_group(line, parent, 0)
                try add(node.children, under: line)
            }
        }

        private func line(of node: DeviceForest.Node, under parent: OpaquePointer?) throws -> OpaquePointer {
            guard let line = scols_table_new_line(table, parent) else { throw outOfMemory }
            for (index, column) in columns.enumerated() {
                guard let cell = column.cell(node, style) else { continue }
                guard scols_line_set_data(line, index, cell) == 0 else { throw outOfMemory }
            }
            return line
        }
    }

    /// The lines in their order: nested if they are drawn as trees, else in a row.
    package static func lines(
        _ forest: DeviceForest, _ style: Style, nested isNested: Bool, inverse isInverse: Bool
    ) -> [DeviceForest.Node] {
        let isBefore = style.sortColumn.isBefore
        var sorted = forest
        sorted.sort(by: isBefore)
        if isNested { return sorted.roots }
        // Programs get the trees without their lines, and so does whoever wants them upside down in a list.
        let isList = style.format == .list || style.format == .json && style.isList
        if style.format == .raw || style.format == .pairs || isInverse && isList {
            return sorted.roots.flatMap(\.flattened).map(\.alone)
        }
        return forest.row(once: isList, by: isBefore).map(\.alone)
    }

    private static var outOfMemory: Problem { Problem(.failed, "no memory left to lay out the list", errno: "ENOMEM") }
}
