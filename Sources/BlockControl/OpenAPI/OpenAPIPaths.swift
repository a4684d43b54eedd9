// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    /// The paths with their operations, from the table of routes: a line each.
    static var paths: String {
        var order: [String] = []
        var operations: [String: [JSONValue.Member]] = [:]
        for route in ControlRoute.all {
            if operations[route.path] == nil { order.append(route.path) }
            operations[route.path, default: []].append(.init(route.method.lowercased(), route.operation))
        }
        return order.map { path in
            "    \(JSONValue.string(path).text()): \(JSONValue.object(operations[path] ?? []).text())"
        }.joined(separator: ",\n")
    }
}

extension ControlRoute {
    fileprivate var operation: JSONValue {
        var members: [JSONValue.Member] = [
            .init("operationId", .string(description.operation)), .init("summary", .string(description.summary)),
        ]
        if !parameters.isEmpty { members.append(.init("parameters", .array(parameters))) }
        if let schema = description.takes {
            var body: [JSONValue.Member] = description.isBodyOptional ? [] : [.init("required", .bool(true))]
            body.append(.init("content", .of([("application/json", .of([("schema", .schema(schema))]))])))
            members.append(.init("requestBody", .object(body)))
        }
        members.append(.init("responses", .object(description.responses)))
        return .object(members)
    }

    private var parameters: [JSONValue] {
        var all: [JSONValue] = []
        if path.contains("{name}") {
            all.append(
                description.pathParameter.map { .inPath("name", $0) } ?? .reference("#/components/parameters/Name"))
        }
        if path.contains("{id}") { all.append(.inPath("id", "as it is listed")) }
        if honoursIfMatch { all.append(.reference("#/components/parameters/IfMatch")) }
        return all + description.query.map(\.parameter)
    }
}

extension RouteDescription {
    fileprivate var responses: [JSONValue.Member] {
        var answer: [JSONValue.Member] = [.init("description", .string(done)), .init("content", content)]
        if hasTag {
            let tag = JSONValue.of([
                ("description", .string("\"INSTANCE-DISKSEQ-GENERATION\"")), ("schema", .type("string")),
            ])
            answer.append(.init("headers", .of([("ETag", tag)])))
        }
        var all: [JSONValue.Member] = [.init(String(status), .object(answer))]
        if let other {
            all.append(
                .init(String(other.status), .of([("description", .string(other.description)), ("content", content)])))
        }
        return all + [.init("default", .reference("#/components/responses/Problem"))]
    }

    private var content: JSONValue {
        let (type, schema): (String, JSONValue) =
            switch gives {
            case .document(let name): ("application/json", .schema(name))
            case .text(let type): (type, .type("string"))
            case .binary:
                ("application/octet-stream", .of([("type", .string("string")), ("format", .string("binary"))]))
            case .anyObject: ("application/json", .type("object"))
            }
        return .of([(type, .of([("schema", schema)]))])
    }
}

extension RouteDescription.Query {
    fileprivate var parameter: JSONValue {
        var schema: [JSONValue.Member] = [.init("type", .string(type))]
        if !values.isEmpty { schema.append(.init("enum", .array(values.map(JSONValue.string)))) }
        var members: [JSONValue.Member] = [.init("name", .string(name)), .init("in", .string(place))]
        if let description { members.append(.init("description", .string(description))) }
        return .object(members + [.init("schema", .object(schema))])
    }
}

extension JSONValue {
    fileprivate static func of(_ members: [(String, JSONValue)]) -> JSONValue {
        .object(members.map { Member($0, $1) })
    }

    fileprivate static func type(_ name: String) -> JSONValue { of([("type", .string(name))]) }
    fileprivate static func reference(_ target: String) -> JSONValue { of([("$ref", .string(target))]) }
    fileprivate static func schema(_ name: String) -> JSONValue { reference("#/components/schemas/" + name) }

    fileprivate static func inPath(_ name: String, _ description: String) -> JSONValue {
        of([
            ("name", .string(name)), ("in", .string("path")), ("required", .bool(true)),
            ("description", .string(description)), ("schema", type("string")),
        ])
    }
}
