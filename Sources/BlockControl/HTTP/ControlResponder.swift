// SPDX-License-Identifier: Apache-2.0

internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore

/// Turns requests into verbs of the service and what comes of them into answers.
struct ControlResponder: Sendable {
    let service: ControlService

    /// A responder for one door.
    func responder(for door: Door) -> some HTTPResponder<ControlContext> {
        let router = Router(context: ControlContext.self)
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: Gatekeeper(door: door))
        for route in ControlRoute.all {
            router.on(
                RouterPath(route.path), method: HTTPRequest.Method(route.method) ?? .get,
                use: { [service] request, context in
                    let call = ControlCall(request: request, context: context)
                    // Scrapers and probes may send what they like.
                    if route.path.hasPrefix("/v1/") { try call.checkKeys(of: route) }
                    return try await route.answer(service, call)
                })
        }
        return router.buildResponder()
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
            let text = "there is no \(request.method.rawValue) \(request.uri.path)"
            let methods = ControlRoute.all.filter { $0.stands(at: request.uri.path) }.map(\.method).sorted()
            guard !methods.isEmpty else { return try .problem(Problem(.notFound, text + "; see /openapi.json")) }
            let allowed = methods.joined(separator: ", ")
            var response = try Response.problem(Problem(.methodNotAllowed, text + ", but \(allowed)"))
            response.headers[.allow] = allowed
            return response
        } catch let error as HTTPError {
            let kind: Problem.Kind = error.status.code < 500 ? .usage : .failed
            return try .problem(Problem(kind, error.body ?? error.status.reasonPhrase))
        }
    }
}

extension Response {
    static func document(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) throws -> Response {
        var response = text(try ControlJSON.text(value), type: "application/json", status: status)
        for field in headers { response.headers[field.name] = field.value }
        return response
    }

    /// A disk, with the tag that If-Match takes.
    static func disk(_ detail: DiskDetail) throws -> Response {
        try document(detail, headers: [.eTag: detail.tag])
    }

    fileprivate static func problem(_ problem: Problem) throws -> Response {
        var response = text(
            try ControlJSON.text(problem), type: "application/problem+json",
            status: HTTPResponse.Status(code: problem.status))
        if problem.kind == .notPermitted { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }

    static func text(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    /// What is written as it happens, and kept by nobody on the way.
    static func stream(type: String, _ body: ResponseBody) -> Response {
        Response(status: .ok, headers: [.contentType: type, .cacheControl: "no-store"], body: body)
    }
}
