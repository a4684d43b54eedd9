// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore

extension ControlRoute {
    /// Routes of events, and of the daemon itself.
    static let daemon = [events, settle, metrics, health, openAPI]

    /// `GET /v1/events`
    public static let events = ControlRoute(.get, "/v1/events", eventStream) { service, call in
        try stream(of: service, to: call)
    }

    /// `POST /v1/settle`
    public static let settle = ControlRoute(
        .post, "/v1/settle",
        RouteDescription(
            "settle", "Wait until the hotplug helper and all listeners have handled what has happened until now",
            takes: "Settle", gives: "Settled"
        ).with(\.isBodyOptional, true)
    ) { service, call in try .document(await service.settle(try await call.body())) }

    /// `GET /metrics`
    public static let metrics = ControlRoute(
        .get, "/metrics",
        RouteDescription("metrics", "Counters in Prometheus' text format", gives: .text("text/plain"))
    ) { service, _ in .text(await service.metrics(), type: "text/plain; version=0.0.4; charset=utf-8") }

    /// `GET /healthz`
    public static let health = ControlRoute(
        .get, "/healthz", RouteDescription("health", "That the daemon lives, and which one it is", gives: "Health")
    ) { service, _ in try .document(service.health()) }

    /// `GET /openapi.json`
    public static let openAPI = ControlRoute(
        .get, "/openapi.json", RouteDescription("openAPI", "This document", gives: .anyObject)
    ) { _, _ in
        .text(OpenAPIDocument.text, type: "application/json")
    }

    private static let eventStream = RouteDescription(
        "events", "The events of all disks, as server-sent events",
        query: [
            .init(name: "from", description: "the first event that is wanted: INSTANCE-N, or N"),
            .init(name: "device", description: "disks, with their partitions, or partitions; separated by commas"),
            .init(name: "action", description: "add, remove, change, …; separated by commas"),
            .init(name: "devtype", values: ["disk", "partition"]),
            .init(name: "Last-Event-ID", description: "the id of the last event that was seen", place: "header"),
        ], gives: .text("text/event-stream"))

    private static func stream(of service: ControlService, to call: ControlCall) throws -> Response {
        let seen = try place(call, service.registry)
        let filter = try EventFilter(call.query)
        // Before the head of the answer goes out: whoever has that misses nothing of what happens then.
        let stream = EventStream(service.registry, after: seen, filter: filter)
        // A listener that hangs up is noticed at once, not at the next event.
        call.whenGone { [weak feed = stream.feed] in feed?.finish() }
        let body = ResponseBody { writer in
            try await writer.write(ByteBuffer(string: stream.heading))
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Proxies end streams on which nothing comes for a minute or less, and a listener whose host has died
                // says nothing of it: a comment now and then keeps the one open and finds the other.
                group.addTask {
                    while true {
                        try await Task.sleep(for: .seconds(15))
                        stream.feed.beat()
                    }
                }
                for await element in stream.feed {
                    try await writer.write(ByteBuffer(string: stream.text(of: element)))
                }
                group.cancelAll()
            }
            try await writer.finish(nil)
        }
        return .stream(type: "text/event-stream", body)
    }

    /// Where a listener wants to go on: behind what he has seen, or at the first that he wants.
    private static func place(_ call: ControlCall, _ registry: DiskRegistry) throws -> EventPlace? {
        func wrong(_ text: String, _ name: String) -> Problem {
            Problem(.usage, "'\(text)' is no number for '\(name)'", errno: "EINVAL")
        }
        if let text = call.request.headers[.lastEventID] {
            guard let place = EventPlace(text) else { throw wrong(text, "Last-Event-ID") }
            return place
        }
        guard let text = call.query("from") else { return nil }
        guard var place = EventPlace(text) else { throw wrong(text, "from") }
        place.sequence = max(place.sequence, 1) - 1
        let last = registry.events.last
        // Whoever has seen an event that was not, has seen another daemon's; whoever wants one, is told of the next.
        guard place.sequence <= last || place.instance != nil else {
            throw Problem(
                .usage,
                "event \(text) has not happened: " + (last == 0 ? "none has" : "the newest is \(last)")
                    + "; from \(last + 1) on are those to come", errno: "EINVAL")
        }
        return place
    }
}

extension HTTPField.Name {
    fileprivate static var lastEventID: HTTPField.Name { HTTPField.Name("Last-Event-ID") ?? .ifMatch }
}
