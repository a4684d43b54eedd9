// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore

/// Turns requests into verbs of the service and what comes of them into answers.
struct ControlResponder: Sendable {
    let service: ControlService

    /// A responder for one door.
    func responder(for door: Door) -> some HTTPResponder<ControlContext> {
        let router = Router(context: ControlContext.self)
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: Gatekeeper(door: door))
        for route in ControlRoute.allCases {
            router.on(
                RouterPath(route.path), method: HTTPRequest.Method(route.method) ?? .get,
                use: { request, context in try await self.answer(route, request, context) })
        }
        return router.buildResponder()
    }

    private func answer(_ route: ControlRoute, _ request: Request, _ context: ControlContext) async throws -> Response {
        let name = ControlResponder.unescaped(context.parameters.get("name") ?? "")
        let ifMatch = route.honoursIfMatch ? try ControlResponder.ifMatch(request) : nil
        switch route {
        case .listDisks:
            let query = request.uri.queryParameters
            return try .document(service.list(hidden: query["hidden"] == "1", sysfs: query["sysfs"] == "1"))
        case .addDisk:
            let detail = try await service.add(try await body(request, context))
            return try .document(
                detail, status: .created, headers: [.eTag: detail.tag, .location: "/v1/disks/" + detail.device.name])
        case .showDisk:
            let detail = try await service.show(name)
            return try .document(detail, headers: [.eTag: detail.tag])
        case .diskPartitions:
            let query = PartitionQuery { key in request.uri.queryParameters[key[...]].map(String.init) }
            return try .document(await service.partitions(name, query))
        case .removeDisk:
            let report = try await service.remove(name, try await body(request, context), ifMatch: ifMatch)
            return try .document(report, status: report.outcome == "pending" ? .accepted : .ok)
        case .cancelRemoval: return try .document(await service.cancelRemoval(name, ifMatch: ifMatch))
        case .resizeDisk:
            return try .document(await service.resize(name, try await body(request, context), ifMatch: ifMatch))
        case .setDisk:
            return try .document(await service.set(name, try await body(request, context), ifMatch: ifMatch))
        case .editTable:
            return try .document(await service.editTable(name, try await body(request, context), ifMatch: ifMatch))
        case .rescanDisk: return try .document(await service.rescan(name, ifMatch: ifMatch))
        case .freezeDisk:
            return try .document(await service.freeze(name, try await body(request, context), ifMatch: ifMatch))
        case .thawDisk: return try .document(await service.thaw(name, ifMatch: ifMatch))
        case .traceDisk: return try trace(name, request, context)
        case .stopTrace: return try .document(service.stopTrace(name))
        case .listAttributes:
            return try .document(service.attributes(name, path: request.uri.queryParameters["path"].map(String.init)))
        case .writeAttribute:
            return try .document(
                await service.writeAttribute(name, try await body(request, context), ifMatch: ifMatch))
        case .insertMedium:
            return try .document(await service.insert(name, try await body(request, context), ifMatch: ifMatch))
        case .ejectMedium:
            return try .document(await service.eject(name, try await body(request, context), ifMatch: ifMatch))
        case .quarantine: return try .document(service.quarantine())
        case .listExports: return try .document(await service.exports())
        case .addExport: return try .document(await service.export(try await body(request, context)), status: .created)
        case .listMounts, .addMount, .removeMount: return try await mounts(route, request, context)
        case .removeExport: return try .document(await service.unexport(context.parameters.get("id") ?? ""))
        case .listProviders: return try .document(await service.providers())
        case .addProvider:
            return try .document(await service.provide(try await body(request, context)), status: .created)
        case .removeProvider: return try .document(await service.unprovide(name))
        case .events: return try events(request, context)
        case .settle: return try .document(await service.settle(try await body(request, context)))
        case .metrics:
            return .text(await service.metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        case .health: return try .document(service.health())
        case .openAPI: return .text(OpenAPIDocument.text, type: "application/json")
        }
    }

    private func mounts(
        _ route: ControlRoute, _ request: Request, _ context: ControlContext
    ) async throws -> Response {
        switch route {
        case .addMount: return try .document(await service.mount(try await body(request, context)), status: .created)
        case .removeMount:
            return try .document(
                await service.unmount(
                    context.parameters.get("id") ?? "", lazily: request.uri.queryParameters["lazy"] == "1"))
        default: return try .document(await service.mounts())
        }
    }

    private func body<Value: Decodable>(_ request: Request, _ context: ControlContext) async throws -> Value {
        var request = request
        var buffer = try await request.collectBody(upTo: context.maxUploadSize)
        let bytes = buffer.readBytes(length: buffer.readableBytes) ?? []
        // No body at all is an empty document: every field may then be missing.
        return try ControlJSON.decode(Value.self, from: bytes.isEmpty ? Array("{}".utf8) : bytes)
    }

    private func events(_ request: Request, _ context: ControlContext) throws -> Response {
        let seen = try ControlResponder.place(request)
        let filter = try EventFilter { request.uri.queryParameters[$0[...]].map(String.init) }
        let feed = EventFeed()
        // A listener that hangs up is noticed at once, not at the next event.
        context.channel.closeFuture.whenComplete { _ in feed.finish() }
        let registry = service.registry
        let body = ResponseBody { writer in
            feed.observe(registry, after: seen, filter: filter)
            try await writer.write(ByteBuffer(string: ": events of \(registry.instance)\n\n"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        try await Task.sleep(for: .seconds(15))
                        feed.push(.heartbeat)
                    }
                }
                for await element in feed {
                    try await writer.write(ByteBuffer(string: element.serverSentEvent(of: registry.instance)))
                }
                group.cancelAll()
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"], body: body)
    }

    private func trace(_ name: String, _ request: Request, _ context: ControlContext) throws -> Response {
        let query = TraceQuery { key in request.uri.queryParameters[key[...]].map(String.init) }
        let feed = try service.trace(name, query)
        // A listener that hangs up ends it at once, whether or not there is I/O.
        context.channel.closeFuture.whenComplete { _ in feed.trace.stop() }
        let body = ResponseBody { writer in
            for await _ in feed.wakes {
                let (bytes, isLast) = feed.take()
                if !bytes.isEmpty { try await writer.write(ByteBuffer(bytes: bytes)) }
                if isLast { break }
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream", .cacheControl: "no-store"], body: body)
    }

    /// A part of a path as it was meant: `ram%2A` is `ram*`.
    private static func unescaped(_ text: String) -> String {
        var rest = Array(text.utf8)[...]
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            guard byte == UInt8(ascii: "%"), digits.count == 2,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func ifMatch(_ request: Request) throws -> DiskTag? {
        guard let text = request.headers[.ifMatch], text != "*" else { return nil }
        guard let tag = DiskTag(text) else {
            throw Problem(.usage, "If-Match has no tag of a disk: '\(text)'", errno: "EINVAL")
        }
        return tag
    }

    /// Where a listener wants to go on: behind what he has seen, or at the first that he wants.
    private static func place(_ request: Request) throws -> EventPlace? {
        func wrong(_ text: some StringProtocol, _ name: String) -> Problem {
            Problem(.usage, "'\(text)' is no number for '\(name)'", errno: "EINVAL")
        }
        if let text = request.headers[.lastEventID] {
            guard let place = EventPlace(text) else { throw wrong(text, "Last-Event-ID") }
            return place
        }
        guard let text = request.uri.queryParameters["from"] else { return nil }
        guard var place = EventPlace(String(text)) else { throw wrong(text, "from") }
        place.sequence = max(place.sequence, 1) - 1
        return place
    }
}

/// Answers every failure as problem+json.
private struct ProblemMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: ControlContext,
        next: @concurrent (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let problem as Problem {
            return try .problem(problem)
        } catch let error as HTTPError where error.status == .notFound {
            return try .problem(
                Problem(.notFound, "there is no \(request.method.rawValue) \(request.uri.path); see /openapi.json"))
        } catch let error as HTTPError {
            let kind: Problem.Kind = error.status.code < 500 ? .usage : .failed
            return try .problem(Problem(kind, error.body ?? error.status.reasonPhrase))
        }
    }
}

extension Response {
    fileprivate static func document(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) throws -> Response {
        var response = text(try ControlJSON.text(value), type: "application/json", status: status)
        for field in headers { response.headers[field.name] = field.value }
        return response
    }

    fileprivate static func problem(_ problem: Problem) throws -> Response {
        var response = text(
            try ControlJSON.text(problem), type: "application/problem+json",
            status: HTTPResponse.Status(code: problem.status))
        if problem.kind == .notPermitted { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }

    fileprivate static func text(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

extension HTTPField.Name {
    fileprivate static var lastEventID: HTTPField.Name { HTTPField.Name("Last-Event-ID") ?? .ifMatch }
}
