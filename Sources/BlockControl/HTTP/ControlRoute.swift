// SPDX-License-Identifier: Apache-2.0

internal import HTTPTypes
internal import Hummingbird

/// One route of the control interface: where it stands, what is said of it, and what answers there. The router and the
/// paths of the OpenAPI document are both made of this table, so that neither knows a route that the other does not.
public struct ControlRoute: Sendable {
    /// The method.
    public let method: String
    /// The path, with `{name}` and `{id}` where a name or an id stands.
    public let path: String
    /// Whether it changes a disk that is there: such a route honours If-Match.
    public let honoursIfMatch: Bool
    let description: RouteDescription
    let answer: Answering

    typealias Answering = @Sendable (ControlService, ControlCall) async throws -> Response

    /// Every route.
    public static let all: [ControlRoute] = disks + changes + attributes + exports + providers + mounts + daemon

    init(
        _ method: HTTPRequest.Method, _ path: String, _ description: RouteDescription, honoursIfMatch: Bool = false,
        answer: @escaping Answering
    ) {
        self.method = method.rawValue
        self.path = path
        self.honoursIfMatch = honoursIfMatch
        self.description = description
        self.answer = answer
    }

    /// Whether it is the route of this path, whatever the method.
    func stands(at path: String) -> Bool {
        let (own, given) = (self.path.split(separator: "/"), path.split(separator: "/"))
        return own.count == given.count && zip(own, given).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
    }

    /// A route that changes the disk that stands in its path: it gets the tag that If-Match asks for.
    static func change(
        _ path: String, _ description: RouteDescription,
        answer: @escaping @Sendable (ControlService, ControlCall, DiskTag?) async throws -> Response
    ) -> ControlRoute {
        ControlRoute(.post, path, description, honoursIfMatch: true) { service, call in
            try await answer(service, call, try call.ifMatch())
        }
    }
}

/// What the OpenAPI document says of a route.
struct RouteDescription: Sendable {
    let operation: String
    let summary: String
    var query: [Query] = []
    /// The schema of the body; nil: there is none.
    var takes: String?
    /// No body at all is an empty document.
    var isBodyOptional = false
    var gives: Gives
    /// Of the answer that is the rule.
    var status = 200
    var done = "Done"
    /// Another status with the same document, and when.
    var other: (status: Int, description: String)?
    var hasTag = false
    /// Said instead of the parameter of that name that stands in the path.
    var pathParameter: String?

    /// A key of the query, or a header that stands for one.
    struct Query: Sendable {
        let name: String
        var description: String?
        var values: [String] = []
        var type = "string"
        var place = "query"

        /// A key that is `1` or absent.
        static func flag(_ name: String, _ description: String) -> Query {
            Query(name: name, description: "1: " + description, values: ["0", "1"])
        }
    }

    enum Gives {
        /// A document with this schema.
        case document(String)
        case text(String)
        case binary
        case anyObject
    }

    init(
        _ operation: String, _ summary: String, query: [Query] = [], takes: String? = nil, gives: Gives
    ) {
        self.operation = operation
        self.summary = summary
        self.query = query
        self.takes = takes
        self.gives = gives
    }

    init(_ operation: String, _ summary: String, query: [Query] = [], takes: String? = nil, gives: String) {
        self.init(operation, summary, query: query, takes: takes, gives: .document(gives))
    }

    /// The same with something else about it.
    func with<Value>(_ path: WritableKeyPath<RouteDescription, Value>, _ value: Value) -> RouteDescription {
        var changed = self
        changed[keyPath: path] = value
        return changed
    }
}
