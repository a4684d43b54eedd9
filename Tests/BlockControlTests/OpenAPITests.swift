// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing

@Suite struct `The OpenAPI document` {
    private func document() throws -> JSONValue {
        try ControlJSON.decode(JSONValue.self, from: Array(OpenAPIDocument.text.utf8))
    }

    @Test func `it is OpenAPI 3.1`() throws {
        #expect(try document()["openapi"]?.string == "3.1.0")
    }

    @Test func `every route is in it, and everything in it is a route`() throws {
        let paths = try #require(try document()["paths"])
        let served = Set(ControlRoute.all.map { "\($0.method) \($0.path)" })
        var described: Set<String> = []
        for path in paths.keys {
            for method in paths[path]?.keys ?? [] { described.insert("\(method.uppercased()) \(path)") }
        }
        #expect(served == described)
        #expect(served.count == ControlRoute.all.count)
        let operations = paths.keys.flatMap { path in
            (paths[path]?.keys ?? []).compactMap { paths[path]?[$0]?["operationId"]?.string }
        }
        #expect(Set(operations).count == served.count, "each operation has a name of its own")
    }

    @Test func `every reference leads somewhere, and every schema is used`() throws {
        let document = try document()
        var used: Set<String> = []
        func walk(_ value: JSONValue) {
            switch value {
            case .object(let members):
                for member in members {
                    if member.key == "$ref", let target = member.value.string { used.insert(target) }
                    walk(member.value)
                }
            case .array(let values): for value in values { walk(value) }
            default: break
            }
        }
        walk(document)
        for target in used {
            var place: JSONValue? = document
            for part in target.split(separator: "/").dropFirst() { place = place?[String(part)] }
            #expect(place != nil, "\(target) leads nowhere")
        }
        for schema in try #require(document["components"]?["schemas"]).keys where schema != "Event" {
            #expect(used.contains("#/components/schemas/\(schema)"), "\(schema) is used by nobody")
        }
    }

    @Test func `routes that change a disk take If-Match`() throws {
        let paths = try #require(try document()["paths"])
        for route in ControlRoute.all {
            let operation = paths[route.path]?[route.method.lowercased()]
            let takes = operation?["parameters"]?.text().contains("IfMatch") ?? false
            #expect(takes == route.honoursIfMatch, "\(route.path)")
        }
    }

    private static let documents: [(String, @Sendable () throws -> JSONValue)] = [
        ("DeviceList", { try tree(Samples.list) }), ("Disk", { try tree(Samples.detail) }),
        ("Opener", { try tree(Samples.opener) }),
        ("Node", { try tree(Samples.node) }), ("Limits", { try tree(LimitsModel()) }),
        ("Ledger", { try tree(Samples.ledger) }),
        ("Statistics", { try tree(StatisticsModel(device: "pl0")) }),
        ("Counters", { try tree(StatisticsModel.Kind()) }), ("Removal", { try tree(Samples.removal) }),
        ("QuarantineList", { try tree(Samples.quarantine) }),
        ("Quarantine", { try tree(Samples.quarantine.quarantine.first) }),
        ("AddMount", { try tree(MountRequest(path: "/mnt", sysroot: true, allowOther: true)) }),
        ("MountList", { try tree(Samples.mounts) }), ("Mount", { try tree(Samples.mounts.mounts.first) }),
        ("ExportList", { try tree(Samples.exports) }), ("Export", { try tree(Samples.export) }),
        ("Health", { try tree(Samples.health) }), ("Event", { try tree(Samples.event) }),
        ("Rescan", { try tree(Samples.rescan) }), ("PartitionTable", { try tree(Samples.table) }),
        ("Partition", { try tree(Samples.table.partitions.first) }), ("Problem", { try tree(Samples.problem) }),
        ("Add", { try tree(AddRequest(driver: "ram", parameters: [:])) }),
        ("Remove", { try tree(RemovalRequest(mode: "safe", timeoutSeconds: 1, wait: true, dryRun: true)) }),
        ("Freeze", { try tree(FreezeRequest(timeoutSeconds: 1)) }),
        ("Resize", { try tree(ResizeRequest(size: 1)) }), ("Set", { try tree(SetRequest(settings: [:])) }),
        ("Insert", { try tree(InsertRequest(path: "/a")) }),
        ("Eject", { try tree(EjectRequest(force: true, timeoutSeconds: 1)) }),
        ("Provide", { try tree(ProvideRequest(pattern: "a*", driver: "ram", parameters: [:])) }),
        ("ProviderList", { try tree(Samples.providers) }),
        ("Provider", { try tree(Samples.providers.providers.first) }),
        ("Settle", { try tree(SettleRequest(timeoutSeconds: 1, exitIfExists: "pl0")) }),
        ("Settled", { try tree(SettleModel(seqnum: 1, exists: true)) }),
        ("Medium", { try tree(Samples.medium) }),
        ("Latency", { try tree(Samples.latency) }),
        ("AttributeList", { try tree(Samples.attributes) }),
        ("Attribute", { try tree(Samples.attributes.attributes.first) }),
        ("WriteAttribute", { try tree(AttributeRequest(path: "size", value: "8")) }),
        ("StoppedTrace", { try tree(Samples.stoppedTrace) }),
        ("TableEdit", { try tree(Samples.tableEdit) }), ("TableChange", { try tree(Samples.tableChange) }),
        ("AddExport", { try tree(ExportRequest(device: "pl0", kind: "nbd", parameters: [:])) }),
    ]

    private static func tree(_ value: some Encodable) throws -> JSONValue {
        try ControlJSON.decode(JSONValue.self, from: Array(try ControlJSON.text(value).utf8))
    }

    @Test func `the schemas have the keys of the documents, and no other`() throws {
        let schemas = try #require(try document()["components"]?["schemas"])
        func properties(_ name: String) -> Set<String> {
            let schema = schemas[name]
            var keys = Set(schema?["properties"]?.keys ?? [])
            if case .array(let parts)? = schema?["allOf"] {
                for part in parts {
                    keys.formUnion(part["properties"]?.keys ?? [])
                    if let target = part["$ref"]?.string?.split(separator: "/").last {
                        keys.formUnion(properties(String(target)))
                    }
                }
            }
            return keys
        }
        for (name, document) in Self.documents {
            var wanted = properties(name)
            // These are of partitions only.
            if name == "Disk" {
                wanted.subtract(["start", "parttype", "partuuid", "partlabel", "pttype", "partflags", "sysfs"])
            }
            #expect(Set(try document().keys) == wanted, "\(name)")
        }
        let covered = Set(Self.documents.map(\.0)).union(["Device"])
        #expect(Set(schemas.keys) == covered)
        let device = Set(try Self.tree(Samples.device).keys).union(try Self.tree(Samples.partition).keys)
        #expect(device == properties("Device"))
    }
}
