// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing
import platter

@Suite struct `A stack of disks on the command line` {
    private func disk(_ name: String, uppers: [String] = [], lowers: [String] = [], parts: [DeviceModel] = [])
        -> DeviceModel
    {
        var model = DeviceModel(
            name: name, majMin: "259:0", size: 512, readOnly: false, type: "disk", diskseq: 1, state: "live",
            driver: "ram", uppers: uppers, lowers: lowers)
        model.children = parts
        return model
    }

    /// `a` with a partition that `l` stands on, as it does on `b`; `top` stands on `l`, and on `c`, which is gone.
    private var list: [DeviceModel] {
        [
            disk("a", parts: [disk("a1", uppers: ["l"])]), disk("b", uppers: ["l", "export"]),
            disk("l", uppers: ["top"], lowers: ["a1", "b"]), disk("lost", lowers: ["gone"]),
            disk("top", lowers: ["c", "l"]),
        ]
    }

    @Test func `it hangs under each disk that it stands on`() {
        let stack = DiskTable.Stack(list)
        func draw(_ device: DeviceModel) -> String {
            let below = stack.children(of: device).map(draw).joined(separator: " ")
            return below.isEmpty ? device.name : "\(device.name)(\(below))"
        }
        #expect(stack.roots.map(draw) == ["a(a1(l(top)))", "b(l(top))", "lost"])
    }

    @Test func `what stands on another one is removed before it`() {
        let names = ["b", "lost", "a", "top", "l"]
        let waves = RemovalOrder.waves(names, list).map { $0.map { names[$0] } }
        #expect(waves == [["lost", "top"], ["l"], ["b", "a"]])
        #expect(RemovalOrder.waves(["a", "b"], list) == [[0, 1]], "what stands on them is not to go")
        #expect(RemovalOrder.waves(["x", "x"], []) == [[0, 1]])
        let circle = [disk("a", uppers: ["b"]), disk("b", uppers: ["a"])]
        #expect(RemovalOrder.waves(["a", "b"], circle) == [[0, 1]])
    }
}
