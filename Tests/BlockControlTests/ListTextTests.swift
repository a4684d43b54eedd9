// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing
import platter

@Suite struct `The columns of list` {
    private var list: DeviceList {
        var disk = DeviceModel(
            name: "pl0", majMin: "259:0", size: 3 << 20, readOnly: false, type: "disk", diskseq: 7, state: "live",
            driver: "ram")
        disk.sysfs = ["queue/logical_block_size": "512", "queue/scheduler": "[none]", "queue/rotational": "0"]
        var part = DeviceModel(
            name: "pl0p1", majMin: "259:1", size: 1 << 20, readOnly: true, type: "part", diskseq: 7, state: "live",
            driver: "ram")
        part.sysfs = ["start": "2048"]
        part.partLabel = "a b"
        disk.children = [part]
        return DeviceList(blockdevices: [disk])
    }

    private func text(
        _ columns: String, of selection: DeviceForest.Selection = DeviceForest.Selection(),
        _ adjust: (inout DiskTable.Style) -> Void = { _ in }
    ) throws -> String {
        var style = DiskTable.Style()
        style.isASCII = true
        adjust(&style)
        return try DiskTable.text(
            DeviceForest(list.blockdevices, selection), DiskColumn.parse(columns, behind: ["NAME"]), style,
            inverse: selection.isInverse)
    }

    @Test func `are laid out as lsblk lays them out`() throws {
        #expect(
            try text("NAME,MAJ:MIN,SIZE,RO,START,LOG-SEC,SCHED") == """
                NAME    MAJ:MIN SIZE RO START LOG-SEC SCHED
                pl0     259:0     3M  0           512 none
                `-pl0p1 259:1     1M  1  2048     512 none

                """)
        #expect(try text("name,size") { $0.format = .raw } == "NAME SIZE\npl0 3M\npl0p1 1M\n")
        #expect(
            try text("NAME,PARTLABEL,SIZE") { style in
                style.format = .pairs
                style.inBytes = true
            } == "NAME=\"pl0\" PARTLABEL=\"\" SIZE=\"3145728\"\nNAME=\"pl0p1\" PARTLABEL=\"a b\" SIZE=\"1048576\"\n")
        #expect(
            try text("NAME,PKNAME") { style in
                style.format = .list
                style.hasPaths = true
                style.hasHeadings = false
            } == "/dev/pl0   \n/dev/pl0p1 /dev/pl0\n")
        var selection = DeviceForest.Selection()
        selection.isInverse = true
        #expect(try text("NAME", of: selection) == "NAME\npl0p1\n`-pl0\n")
        selection.isInverse = false
        selection.isFlat = true
        #expect(try text("NAME", of: selection) == "NAME\npl0\n")
        #expect(try text("+SIZE") == "NAME    SIZE\npl0       3M\n`-pl0p1   1M\n")
    }

    @Test func `are values of their kind in JSON, and what is not known is null`() throws {
        let json = try text("NAME,SIZE,RO,START,PARTLABEL") { style in
            style.format = .json
            style.inBytes = true
        }
        let disk = try ControlJSON.decode(JSONValue.self, from: Array(json.utf8))["blockdevices"]
        guard case .array(let disks)? = disk, let first = disks.first, case .array(let parts)? = first["children"]
        else {
            Issue.record("\(json)")
            return
        }
        #expect(first.text().contains("3145728") && first["name"]?.string == "pl0" && first["start"] == .null)
        #expect(first["ro"] == .bool(false) && parts.first?["ro"] == .bool(true))
        #expect(parts.first?["partlabel"]?.string == "a b")
    }

    @Test func `are refused where there is no such one`() {
        #expect(throws: Problem.self) { try DiskColumn.parse("NAME,FSTYPE", behind: []) }
        for none in ["", ",", "+"] {
            #expect(throws: Problem.self) { try DiskColumn.parse(none, behind: ["NAME"]) }
        }
        #expect(DiskColumn.all.count == Set(DiskColumn.all.map(\.name)).count)
    }
}
