// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Testing

@Suite("Partitions of the command line")
struct CommandLineTests {
    private static func scan(_ text: String, disk: String? = nil, capacity: UInt64 = 20_480) -> PartitionScan {
        TestDisk(capacity: capacity).scan(PartitionScanOptions(commandLine: text, commandLineDisk: disk))
    }

    @Test func `follow each other, or lie at an offset`() {
        let scan = Self.scan("blkdevparts=mmcblk0:64K(boot)ro,1m@2M(data),0x10000,-(rest)lk;sda:-")
        #expect(scan.table == .cmdline)
        #expect(scan.places == [[1, 0, 128], [2, 4096, 2048], [3, 6144, 128], [4, 6272, 14_208]])
        #expect(scan.entries.map(\.name) == ["boot", "data", nil, "rest"])
        #expect(scan.entries.map(\.isReadOnly) == [true, false, false, false])
    }

    @Test func `are those of the disk's name, the first definition of it`() {
        let text = "a:8K;b:16K;b:32K"
        #expect(Self.scan(text, disk: "b").places == [[1, 0, 32]])
        #expect(Self.scan(text, disk: "c").table == nil)
        #expect(Self.scan(text).places == [[1, 0, 16]])
    }

    @Test func `end with the disk`() {
        #expect(Self.scan("a:5M,7M,4K").places == [[1, 0, 10_240], [2, 10_240, 10_240]])
        #expect(Self.scan("a:5M@20M").table == .cmdline)
        #expect(Self.scan("a:5M@20M").entries == [])
    }

    @Test(arguments: ["", "a", "a:", "a:4095", "a:4K,", "a:4K;", ";a:4K", "a:4K(b", "a:(b)", "a:4K,;b:4K", "a:16E"])
    func `with one mistake are refused altogether`(_ text: String) {
        guard case .malformed(.cmdline, _) = Self.scan(text).error else {
            Issue.record("'\(text)' was taken")
            return
        }
    }

    @Test func `give way to a table on the disk when they are refused`() {
        let scan = TestDisk([.data(10, 5)]).scan(PartitionScanOptions(commandLine: "a"))
        #expect(scan.table == .dos)
        #expect(scan.error == nil)
        #expect(scan.warns("cmdline", "refused"))
    }

    @Test func `come before what is on the disk`() {
        let scan = TestDisk([.data(10, 5)]).scan(PartitionScanOptions(commandLine: "a:4K"))
        #expect(scan.places == [[1, 0, 8]])
    }
}

/// A device tree written from nodes.
struct TreeImage {
    private var structure: [UInt8] = []
    private var strings: [UInt8] = []

    mutating func begin(_ name: String) {
        structure += big(UInt32(1)) + text(name) + [0]
        pad()
    }

    mutating func end() { structure += big(UInt32(2)) }

    mutating func property(_ name: String, _ value: [UInt8]) {
        structure += big(UInt32(3)) + big(UInt32(value.count)) + big(UInt32(strings.count)) + value
        pad()
        strings += text(name) + [0]
    }

    private mutating func pad() {
        while structure.count % 4 != 0 { structure.append(0) }
    }

    var bytes: [UInt8] {
        let body = structure + big(UInt32(9))
        let head: [UInt32] = [
            0xD00D_FEED, UInt32(40 + body.count + strings.count), 40, UInt32(40 + body.count), 40, 17, 16, 0,
            UInt32(strings.count), UInt32(body.count),
        ]
        return head.flatMap { big($0) } + body + strings
    }
}

@Suite("Partitions of a device tree")
struct DeviceTreeTests {
    private static func tree(
        _ parts: [(name: String, reg: [UInt32], label: String?)], cells: UInt32 = 1,
        compatible: String = "fixed-partitions"
    ) -> [UInt8] {
        var tree = TreeImage()
        tree.begin("")
        tree.property("#address-cells", big(cells))
        tree.property("#size-cells", big(UInt32(1)))
        tree.begin("partitions")
        tree.property("compatible", text("vendor,x") + [0] + text(compatible) + [0])
        for part in parts {
            tree.begin(part.name)
            tree.property("reg", part.reg.flatMap { big($0) })
            if let label = part.label { tree.property("label", text(label) + [0]) }
            if part.name.hasPrefix("boot") { tree.property("read-only", []) }
            tree.end()
        }
        tree.end()
        tree.end()
        return tree.bytes
    }

    private static func scan(_ tree: [UInt8]) -> PartitionScan {
        TestDisk([.data(10, 5)]).scan(PartitionScanOptions(deviceTree: tree))
    }

    @Test func `are its children in their order`() {
        let scan = Self.scan(Self.tree([("boot@0", [0, 65_536], nil), ("x@1", [131_072, 512], "Daten")]))
        #expect(scan.table == .deviceTree)
        #expect(scan.places == [[1, 0, 128], [2, 256, 1]])
        #expect(scan.entries.map(\.name) == ["boot", "Daten"])
        #expect(scan.entries.map(\.isReadOnly) == [true, false])
        #expect(Self.scan(Self.tree([])) == PartitionScan(table: .deviceTree))
    }

    @Test func `count cells as the nearest node above says`() {
        let scan = Self.scan(Self.tree([("a", [1, 0, 512], nil)], cells: 2))
        #expect(scan.warns("partition 1", "starts at sector 8388608"))
    }

    @Test func `need the right word`() {
        #expect(Self.scan(Self.tree([("a", [0, 512], nil)], compatible: "fixed-partition")).table == .dos)
    }

    @Test(arguments: [[0], [0, 512, 0], [1, 512], [0, 511], [0, 0], []] as [[UInt32]])
    func `with one bad child are refused altogether`(_ reg: [UInt32]) {
        let scan = Self.scan(Self.tree([("good", [0, 512], nil), ("bad", reg, nil)]))
        #expect(scan.table == .dos)
        #expect(scan.warns("of: ", "bad", "refused"))
    }

    @Test func `of a broken tree are none, wherever it is cut`() {
        let good = Self.tree([("boot@0", [0, 65_536], nil)])
        for length in 0..<good.count {
            var cut = Array(good.prefix(length))
            if length >= 8 { cut.put(big(UInt32(length)), at: 4) }
            #expect(Self.scan(cut).table == .dos || length > good.count - 60)
        }
        for index in good.indices {
            var changed = good
            changed[index] = 0xFF
            _ = Self.scan(changed)
        }
    }
}
