// SPDX-License-Identifier: Apache-2.0

package import BlockControl
import BlockSystem
import CSmartcols

/// The listing of disks, drawn by the library that draws lsblk's.
package enum DiskTable {
    private struct Column: Sendable {
        let name: String
        let width: Double
        var flags: Int32 = 0
        let value: @Sendable (DeviceModel, Bool) -> String
    }

    private static let columns = [
        Column(name: "NAME", width: 0.25, flags: Int32(SCOLS_FL_TREE)) { device, _ in device.name },
        Column(name: "MAJ:MIN", width: 6) { device, _ in device.majMin },
        Column(name: "RM", width: 1, flags: Int32(SCOLS_FL_RIGHT)) { device, _ in device.removable ? "1" : "0" },
        Column(name: "SIZE", width: 5, flags: Int32(SCOLS_FL_RIGHT)) { device, inBytes in
            inBytes ? "\(device.size)" : Units.short(device.size)
        },
        Column(name: "RO", width: 1, flags: Int32(SCOLS_FL_RIGHT)) { device, _ in device.readOnly ? "1" : "0" },
        Column(name: "TYPE", width: 4) { device, _ in device.type },
        Column(name: "DISKSEQ", width: 3, flags: Int32(SCOLS_FL_RIGHT)) { device, _ in "\(device.diskseq)" },
        Column(name: "STATE", width: 5) { device, _ in device.state },
        Column(name: "DRIVER", width: 5) { device, _ in device.driver },
    ]

    /// The listing as text.
    /// - Throws: ``Problem`` where there is no memory for it.
    static func text(_ list: DeviceList, inBytes: Bool, hasHeadings: Bool) throws -> String {
        Host.adoptCharacterSet()
        guard let table = scols_new_table() else { throw outOfMemory }
        defer { scols_unref_table(table) }
        scols_table_enable_noheadings(table, hasHeadings ? 0 : 1)
        for column in columns {
            guard scols_table_new_column(table, column.name, column.width, column.flags) != nil else {
                throw outOfMemory
            }
        }
        let stack = Stack(list.blockdevices)
        for device in stack.roots { try add(device, to: table, under: nil, inBytes: inBytes, stack) }
        // SAFETY: the library allocates the text, and it is freed when this returns.
        var text: UnsafeMutablePointer<CChar>?
        guard scols_print_table_to_string(table, &text) == 0, let text else { throw outOfMemory }
        defer { free(text) }
        return String(cString: text) + "\n"
    }

    private static func add(
        _ device: DeviceModel, to table: OpaquePointer, under parent: OpaquePointer?, inBytes: Bool, _ stack: Stack
    ) throws {
        guard let line = scols_table_new_line(table, parent) else { throw outOfMemory }
        for (index, column) in columns.enumerated() {
            guard scols_line_set_data(line, index, column.value(device, inBytes)) == 0 else { throw outOfMemory }
        }
        for child in stack.children(of: device) { try add(child, to: table, under: line, inBytes: inBytes, stack) }
    }

    /// The list has each disk once; drawn, a disk hangs under each that it stands on.
    package struct Stack {
        package let roots: [DeviceModel]
        private let disks: [String: DeviceModel]

        package init(_ devices: [DeviceModel]) {
            disks = Dictionary(devices.map { ($0.name, $0) }) { first, _ in first }
            let held = Set(devices.flatMap { [$0] + ($0.children ?? []) }.flatMap(\.uppers))
            // What it stood on may be gone.
            roots = devices.filter { !held.contains($0.name) }
        }

        /// The partitions, then what stands on it.
        package func children(of device: DeviceModel) -> [DeviceModel] {
            (device.children ?? []) + device.uppers.compactMap { disks[$0] }
        }
    }

    private static var outOfMemory: Problem { Problem(.failed, "no memory left to lay out the list", errno: "ENOMEM") }
}
