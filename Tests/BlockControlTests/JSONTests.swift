// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing

@Suite struct `JSON documents` {
    private struct Sample: Codable, Equatable {
        var zebra: Int
        var apple: String?
        var middle: [UInt64]
        var flag: Bool
    }

    @Test func `keys keep the order of their declaration, and absent values are null`() throws {
        let text = try ControlJSON.text(Sample(zebra: -1, apple: nil, middle: [1, .max], flag: true))
        #expect(text == #"{"zebra":-1,"apple":null,"middle":[1,18446744073709551615],"flag":true}"#)
    }

    @Test func `text is laid out as lsblk does`() throws {
        let text = try ControlJSON.text(Sample(zebra: 1, apple: "a", middle: [], flag: false), pretty: true)
        #expect(text == "{\n   \"zebra\": 1,\n   \"apple\": \"a\",\n   \"middle\": [],\n   \"flag\": false\n}")
    }

    @Test func `quotes, control characters and others survive`() throws {
        let odd = "\"\\\n\t\u{1}\u{7f}é🗜"
        let text = try ControlJSON.text([odd])
        #expect(text == #"["\"\\\n\t\u0001\u007fé🗜"]"#)
        #expect(try ControlJSON.decode([String].self, from: Array(text.utf8)) == [odd])
    }

    @Test(arguments: [
        ("", "this is not JSON"), ("{\"zebra\":1", "this is not JSON"),
        ("{\"zebra\":1}", "the JSON document lacks 'middle'"),
        ("{\"zebra\":\"x\",\"middle\":[],\"flag\":true}", "the JSON document has the wrong kind of value at 'zebra'"),
    ])
    func `what cannot be read is said in one line`(text: String, line: String) {
        let problem = #expect(throws: Problem.self) {
            try ControlJSON.decode(Sample.self, from: Array(text.utf8))
        }
        #expect(problem?.kind == .usage)
        #expect(problem?.detail == line)
    }

    @Test func `every document comes back as it went`() throws {
        func check<Value: Codable & Equatable>(_ value: Value) throws {
            let text = try ControlJSON.text(value)
            #expect(try ControlJSON.decode(Value.self, from: Array(text.utf8)) == value)
        }
        try check(Samples.list)
        try check(Samples.detail)
        try check(Samples.removal)
        try check(Samples.quarantine)
        try check(Samples.exports)
        try check(Samples.health)
        try check(Samples.event)
        try check(Samples.rescan)
        try check(Samples.tableEdit)
        try check(Samples.tableChange)
        try check(Samples.medium)
        try check(Samples.table)
        try check(Samples.problem)
        try check(AddRequest(driver: "ram", parameters: ["size": .one("1G"), "member": .many(["a", "b"])]))
        try check(RemovalRequest(mode: "hard", timeoutSeconds: 1.5, wait: true, dryRun: false))
        try check(ResizeRequest(size: 4096))
        try check(SetRequest(settings: ["ro": "on"]))
        try check(ExportRequest(device: "pl0", kind: "nbd", parameters: nil))
        try check(LostModel(count: 7))
    }

    @Test func `the listing has the shape of lsblk`() throws {
        let text = try ControlJSON.text(Samples.list)
        #expect(
            text.hasPrefix(#"{"blockdevices":[{"name":"pl0","maj:min":"259:0","rm":false,"size":1048576,"ro":false,"#))
        #expect(text.contains(#""children":[{"name":"pl0p1""#))
        // Like lsblk: a device without children has no such key.
        #expect(text.split(separator: "children").count == 2)
    }

    @Test func `a partition table is printed as documented`() throws {
        #expect(
            try ControlJSON.text(Samples.table)
                == #"{"table":"gpt","sector_size":512,"partitions":[{"number":1,"start":2048,"size":204800,"#
                + #""extent":null,"type":"0fc63daf-8483-4772-8e79-3d69d8477de4","uuid":"x","name":null,"flags":[],"attributes":null,"nested":null}],"#
                + #""warnings":[],"id":null,"probes":null}"#)
        let none = PartitionTableModel(table: nil, sectorSize: 512, partitions: [], warnings: [])
        #expect(
            try ControlJSON.text(none)
                == #"{"table":null,"sector_size":512,"partitions":[],"warnings":[],"id":null,"probes":null}"#)
    }
}
