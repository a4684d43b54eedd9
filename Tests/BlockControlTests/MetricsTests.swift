// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockSystem
import Testing

/// Reads a page of metrics as strictly as a checker does: what it does not understand is a complaint.
struct MetricsReader {
    struct Sample {
        var name: String
        var labels: [(name: String, value: String)]
        var value: Double
        func label(_ name: String) -> String? { labels.first { $0.name == name }?.value }
    }
    struct Family {
        var kind = ""
        var help = ""
        var samples: [Sample] = []
    }
    private(set) var families: [String: Family] = [:]
    private(set) var complaints: [String] = []

    init(_ page: String) {
        if !page.hasSuffix("\n") || page.contains("\r") { complaints.append("lines end with a newline") }
        var current = ""
        for line in page.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if line.hasPrefix("# HELP "), words.count == 4 {
                if families[words[2]] != nil { complaints.append("\(words[2]) is there twice") }
                current = words[2]
                families[current] = Family(help: words[3])
            } else if line.hasPrefix("# TYPE "), words.count == 4, words[2] == current {
                families[current]?.kind = words[3]
            } else if let sample = MetricsReader.sample(line), belongs(sample.name, to: current) {
                families[current]?.samples.append(sample)
            } else {
                complaints.append("no line of a page: \(line)")
            }
        }
        for (name, family) in families { check(name, family) }
    }

    private func belongs(_ name: String, to family: String) -> Bool {
        guard families[family]?.kind == "histogram" else { return name == family }
        return ["_bucket", "_sum", "_count"].contains { name == family + $0 }
    }

    private static func isName(_ text: String, colons: Bool) -> Bool {
        text.first?.isNumber == false
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20) || byte == 0x5f
                    || colons && byte == 0x3a
            }
    }

    private static func sample(_ line: String) -> Sample? {
        var rest = line[...]
        let name = String(rest.prefix { $0 != "{" && $0 != " " })
        rest = rest.dropFirst(name.count)
        guard isName(name, colons: true) else { return nil }
        var labels: [(String, String)] = []
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let label = String(rest.prefix { $0 != "=" })
                rest = rest.dropFirst(label.count + 1)
                guard isName(label, colons: false), rest.first == "\"" else { return nil }
                rest = rest.dropFirst()
                var value = ""
                while let next = rest.first, next != "\"" {
                    rest = rest.dropFirst()
                    guard next == "\\" else {
                        value.append(next)
                        continue
                    }
                    guard let escaped = rest.first, "\\\"n".contains(escaped) else { return nil }
                    value.append(escaped == "n" ? "\n" : escaped)
                    rest = rest.dropFirst()
                }
                guard rest.first == "\"" else { return nil }
                labels.append((label, value))
                rest = rest.dropFirst()
                if rest.first == "," { rest = rest.dropFirst() }
            }
            rest = rest.dropFirst()
        }
        guard rest.first == " ", let value = Double(rest.dropFirst()) else { return nil }
        return Sample(name: name, labels: labels.map { (name: $0.0, value: $0.1) }, value: value)
    }

    private mutating func check(_ name: String, _ family: Family) {
        func complain(_ what: String) { complaints.append("\(name) \(what)") }
        if family.samples.isEmpty { complain("has no sample") }
        if !["counter", "gauge", "histogram"].contains(family.kind) { complain("is a \(family.kind)") }
        if (family.kind == "counter") != name.hasSuffix("_total") { complain("is called total, or should be") }
        for sample in family.samples where family.kind != "gauge" && sample.value < 0 { complain("is negative") }
        let keys = family.samples.map { sample in
            sample.name + sample.labels.map { "\($0.name)=\($0.value)" }.sorted().joined(separator: ",")
        }
        if Set(keys).count != keys.count { complain("has a sample twice") }
        if family.kind == "histogram" { checkHistogram(name, family) }
    }

    private mutating func checkHistogram(_ name: String, _ family: Family) {
        var groups: [String: [Sample]] = [:]
        for sample in family.samples {
            let key = sample.labels.filter { $0.name != "le" }.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
            groups[key, default: []].append(sample)
        }
        for (key, samples) in groups {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let bounds = buckets.map { Double($0.label("le") ?? "") ?? .infinity }
            let counts = buckets.map(\.value)
            let count = samples.first { $0.name == name + "_count" }?.value
            if bounds != bounds.sorted() || counts != counts.sorted() || buckets.last?.label("le") != "+Inf"
                || counts.last != count || !samples.contains(where: { $0.name == name + "_sum" })
            {
                complaints.append("\(name) \(key) is no histogram")
            }
        }
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        let family = families.first { name == $0.key || $0.value.kind == "histogram" && name.hasPrefix($0.key + "_") }
        return family?.value.samples.first { sample in
            sample.name == name && labels.allSatisfy { label in sample.label(label.key) == label.value }
        }?.value
    }
}

@Suite(.timeLimit(.minutes(2))) struct `The page of metrics` {
    /// What the collector of disks of the node exporter has, with its labels.
    private static let exporters: Set<String> = [
        "reads_completed_total", "reads_merged_total", "read_bytes_total", "read_time_seconds_total",
        "writes_completed_total", "writes_merged_total", "written_bytes_total", "write_time_seconds_total", "io_now",
        "io_time_seconds_total", "io_time_weighted_seconds_total", "discards_completed_total",
        "discards_merged_total", "discarded_sectors_total", "discard_time_seconds_total", "flush_requests_total",
        "flush_requests_time_seconds_total", "info",
    ]

    @Test func `it is read without a complaint, and has the node exporter's names`() async throws {
        try await withDaemon { daemon in
            try await daemon.client.add("ram", "size=1M", "name=foo")
            _ = try #require(daemon.registry.disk(named: "foo")).addPartition(number: 1, start: 8, size: 64)
            try await daemon.client.add("null", "size=1M", "name=bar")
            _ = try await daemon.client.remove("bar", "surprise")
            let page = MetricsReader(try await daemon.client.text(.metrics))
            #expect(page.complaints == [])
            let theirs = page.families.keys.filter { $0.hasPrefix("node_disk_") }.map { String($0.dropFirst(10)) }
            #expect(Set(theirs) == Self.exporters)
            for (name, family) in page.families where name.hasPrefix("node_disk_") && name != "node_disk_info" {
                #expect(family.samples.map { $0.label("device") } == ["foo"], "whole disks only: \(name)")
                #expect(family.samples.allSatisfy { $0.labels.map(\.name) == ["device"] })
            }
            let info = try #require(page.families["node_disk_info"]?.samples.first)
            let labels = ["device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"]
            #expect(labels.allSatisfy { info.label($0) != nil } && info.label("major") == "259")
            #expect(page.value("node_disk_reads_completed_total", ["device": "foo"]) ?? 0 > 0, "its table was read")
            #expect(
                page.value("platter_io_duration_seconds_count", ["device": "foo", "operation": "read"])
                    == page.value("node_disk_reads_completed_total", ["device": "foo"]))
            #expect(page.value("platter_removal_duration_seconds_count", ["mode": "surprise"]) == 1)
            #expect(page.value("platter_removal_duration_seconds_count", ["mode": "hard"]) == 0)
            #expect(page.value("platter_disk_gate_open", ["device": "foo"]) == 1)
            #expect(page.value("platter_fake") == 1 && page.value("platter_disks") == 1)
            _ = try await daemon.client.send(.freezeDisk, "foo", body: FreezeRequest(), as: DiskDetail.self)
            let frozen = MetricsReader(try await daemon.client.text(.metrics))
            #expect(frozen.value("platter_disk_gate_open", ["device": "foo"]) == 0)
            #expect(frozen.value("platter_disk_freeze_depth", ["device": "foo"]) == 1)
        }
    }

    @Test func `the value of a label stays on its line and in its quotes, whatever is in it`() {
        var page = MetricsPage()
        page.add("a", .gauge, "x", [("b", "\r\n\"\u{301}\\\u{301}\n\u{301}")], 1)
        let wanted = "# HELP a x\n# TYPE a gauge\na{b=\"\r\\n\\\"\u{301}\\\\\u{301}\\n\u{301}\"} 1\n"
        #expect(Array(page.text.utf8) == Array(wanted.utf8))
    }

    @Test func `the reader complains about what a checker would`() {
        func complaints(_ page: String) -> Int { MetricsReader(page).complaints.count }
        let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\\\"\"} 1\n"
        #expect(complaints(good) == 0)
        for (old, new) in [
            ("counter", "gauge"), ("a_total{", "b_total{"), ("} 1", "} x"), ("} 1", "} -1"), ("b=", "1b="),
            ("\n# TYPE", "\n# TIPE"), ("{b", "b"), ("1\n", "1"), ("1\n", "1\na_total{b=\"c\\\"\"} 2\n"),
        ] {
            #expect(complaints(good.replacing(old, with: new)) > 0, "\(old) \(new)")
        }
    }
}
