// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing
import platter

@Suite struct `A stack of disks on the command line` {
    private func disk(
        _ name: String, size: UInt64 = 512, uppers: [String] = [], lowers: [String] = [], parts: [DeviceModel] = []
    ) -> DeviceModel {
        var model = DeviceModel(
            name: name, majMin: "259:0", size: size, readOnly: false, type: "disk", diskseq: 1, state: "live",
            driver: "ram", uppers: uppers, lowers: lowers)
        model.children = parts
        return model
    }

    /// `a` with a partition that `l` stands on, as it does on `b`; `top` stands on `l`, and on `c`, which is gone.
    private var list: [DeviceModel] {
        [
            disk("a", parts: [disk("a1", uppers: ["l"])]), disk("b", uppers: ["l", "export"]),
            disk("l", uppers: ["top"], lowers: ["a1", "b"]), disk("lost", size: 0, lowers: ["gone"]),
            disk("top", lowers: ["c", "l"]),
        ]
    }

    private func draw(_ adjust: (inout DeviceForest.Selection) -> Void = { _ in }) throws -> String {
        func draw(_ device: DeviceModel) -> String {
            let below = (device.children ?? []).map(draw).joined(separator: " ")
            return below.isEmpty ? device.name : "\(device.name)(\(below))"
        }
        var selection = DeviceForest.Selection()
        adjust(&selection)
        return try DeviceForest(list, selection).roots.map { draw($0.model) }.joined(separator: " ")
    }

    @Test func `it hangs under each disk that it stands on`() throws {
        #expect(try draw() == "a(a1(l(top))) b(l(top)) lost")
        #expect(try draw { $0.names = ["a1", "lost", "a1"] } == "a1(l(top)) lost")
        #expect(try draw { $0.isFlat = true } == "a b lost")
        #expect(throws: Problem.self) { try draw { $0.names = ["b", "c"] } }
    }

    @Test func `upside down it has beneath it what it stands on`() throws {
        #expect(try draw { $0.isInverse = true } == "lost top(l(a1(a) b))")
        #expect(
            try draw { selection in
                selection.isInverse = true
                selection.names = ["l"]
            } == "l(a1(a) b)")
    }

    @Test func `each line says under what it was met, and a row has each once`() throws {
        let forest = try DeviceForest(list)
        func row(once isOnce: Bool) -> String {
            forest.row(once: isOnce) { $0.device.name < $1.device.name }
                .map { "\($0.device.name)<\($0.parent ?? "")" }.joined(separator: " ")
        }
        #expect(row(once: true) == "a< a1<a b< l<a1 lost< top<l")
        #expect(row(once: false) == "a< a1<a b< l<a1 l<b lost< top<l top<l")
    }

    @Test func `disks are left out by their major number and for want of a medium`() throws {
        #expect(try draw { $0.majors = ["8"] } == "")
        #expect(try draw { $0.otherThan = ["259"] } == "")
        #expect(try draw { $0.skipsEmpty = true } == "a(a1(l(top))) b(l(top))")
        #expect(
            try draw { selection in
                selection.names = ["lost"]
                selection.otherThan = ["259"]
                selection.skipsEmpty = true
            } == "lost", "what is named is shown")
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

    @Test func `a dry run sees what is removed before as gone`() {
        func opener(_ holder: String?) -> OpenerModel {
            OpenerModel(device: "a", opener: "linear", mode: "rw", claim: true, since: 0, inFlight: 0, holder: holder)
        }
        var busy = RemovalModel(
            outcome: "would-be-busy", disk: "a", diskseq: 1, mode: "safe", requestedMode: "safe", state: "live")
        busy.openers = [opener("l"), opener("m")]
        #expect(RemovalOrder.foreseen(busy, without: ["x"]) == busy)
        let half = RemovalOrder.foreseen(busy, without: ["l"])
        #expect(half.outcome == "would-be-busy" && half.openers == [opener("m")])
        let free = RemovalOrder.foreseen(busy, without: ["m", "l", "x"])
        #expect(free.outcome == "would-remove" && free.openers.isEmpty)
        #expect(free.notes == ["'l' stands on it, and goes first", "'m' stands on it, and goes first"])
        busy.openers.append(opener(nil))
        #expect(RemovalOrder.foreseen(busy, without: ["l", "m"]).outcome == "would-be-busy", "a client stays")
    }
}
