// SPDX-License-Identifier: Apache-2.0

package import BlockControl
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
        /// What stands on others first, with those beneath it.
        package var isInverse = false
        /// Disks without their partitions, and without what stands on them.
        package var isFlat = false

        /// As lsblk without options.
        package init() {}

        /// Not for people.
        var isForPrograms: Bool { format == .raw || format == .pairs || format == .json }
    }

    /// The listing as text.
    /// - Throws: ``Problem`` where there is no memory for it.
    package static func text(_ list: DeviceList, _ columns: [DiskColumn], _ style: Style) throws -> String {
        Host.adoptCharacterSet()
        guard let table = scols_new_table() else { throw outOfMemory }
        defer { scols_unref_table(table) }
        prepare(table, style)
        // JSON is nested, too; what hangs under the first column is the tree.
        let isTree = (style.format == .tree || style.format == .json) && !style.isFlat
        let treeColumn = isTree ? columns.firstIndex(where: { $0.name == "NAME" }) : nil
        for (index, column) in columns.enumerated() {
            let flags = column.smartcolsFlags | (index == treeColumn ? Int32(SCOLS_FL_TREE) : 0)
            guard let new = scols_table_new_column(table, column.name, column.width, flags) else { throw outOfMemory }
            if style.format == .json { _ = scols_column_set_json_type(new, jsonType(column, style)) }
        }
        let drawing = Drawing(table: table, columns: columns, style: style, stack: Stack(list.blockdevices))
        try drawing.draw(nested: treeColumn != nil)
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
    private struct Drawing {
        let table: OpaquePointer
        let columns: [DiskColumn]
        let style: Style
        let stack: Stack

        func draw(nested: Bool) throws {
            var seen: Set<String> = []
            for device in style.isInverse ? stack.leaves : stack.roots {
                try add(device, under: nil, nested, &seen)
            }
        }

        private func add(_ device: DeviceModel, under parent: OpaquePointer?, _ nested: Bool, _ seen: inout Set<String>)
            throws
        {
            // In a list each has one line; in a tree one under each that it stands on.
            guard nested || seen.insert(device.name).inserted else { return }
            guard let line = scols_table_new_line(table, nested ? parent : nil) else { throw outOfMemory }
            for (index, column) in columns.enumerated() {
                guard let cell = column.cell(device, in: stack.disk(of: device), style) else { continue }
                guard scols_line_set_data(line, index, cell) == 0 else { throw outOfMemory }
            }
            guard !style.isFlat else { return }
            for next in style.isInverse ? stack.parents(of: device) : stack.children(of: device) {
                try add(next, under: line, nested, &seen)
            }
        }
    }

    /// The list has each disk once; drawn, a disk hangs under each that it stands on.
    package struct Stack {
        package let roots: [DeviceModel]
        private let disks: [String: DeviceModel]
        private let devices: [String: DeviceModel]
        private let diskOf: [String: String]

        package init(_ list: [DeviceModel]) {
            disks = Dictionary(list.map { ($0.name, $0) }) { first, _ in first }
            let all = list.flatMap { [$0] + ($0.children ?? []) }
            devices = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
            diskOf = Dictionary(
                list.flatMap { disk in (disk.children ?? []).map { ($0.name, disk.name) } }
            ) { first, _ in first }
            let held = Set(all.flatMap(\.uppers))
            // What it stood on may be gone.
            roots = list.filter { !held.contains($0.name) }
        }

        /// The partitions, then what stands on it.
        package func children(of device: DeviceModel) -> [DeviceModel] {
            (device.children ?? []) + device.uppers.compactMap { disks[$0] }
        }

        /// Its disk, or what it stands on.
        package func parents(of device: DeviceModel) -> [DeviceModel] {
            if let disk = disk(of: device) { return [disk] }
            return device.lowers.compactMap { devices[$0] }
        }

        /// The disk of a partition; nil for a disk.
        package func disk(of device: DeviceModel) -> DeviceModel? { diskOf[device.name].flatMap { disks[$0] } }

        /// What nothing stands on, in the order of the tree.
        package var leaves: [DeviceModel] {
            var found: [DeviceModel] = []
            func walk(_ device: DeviceModel) {
                let children = children(of: device)
                if children.isEmpty, !found.contains(where: { $0.name == device.name }) { found.append(device) }
                for child in children { walk(child) }
            }
            for root in roots { walk(root) }
            return found
        }
    }

    private static var outOfMemory: Problem { Problem(.failed, "no memory left to lay out the list", errno: "ENOMEM") }
}
