// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// No daemon could be talked to.
public struct Unreachable: Error, Sendable, Equatable {
    /// One line: where, why and what to do.
    public let reason: String
    /// How a verb of the command line ends with it.
    public let exitStatus: ExitStatus

    /// An error from its parts.
    public init(reason: String, exitStatus: ExitStatus) {
        self.reason = reason
        self.exitStatus = exitStatus
    }
}

/// Talks to a daemon: one connection for each request.
public struct ControlClient: Sendable {
    /// Where the daemon listens.
    public let paths: ControlPaths

    /// A client of the daemon at this place.
    public init(paths: ControlPaths) { self.paths = paths }

    /// A request that is answered with a document.
    /// - Throws: ``Problem`` as the daemon told it, or ``Unreachable``.
    public func send<Answer: Decodable>(
        _ route: ControlRoute, _ name: String = "", query: [(String, String)] = [], body: (any Encodable)? = nil,
        ifMatch: String? = nil, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        let (status, bytes) = try await exchange(route, name, query: query, body: body, ifMatch: ifMatch)
        guard status < 300 else { throw try ControlJSON.decode(Problem.self, from: bytes) }
        return try ControlJSON.decode(Answer.self, from: bytes)
    }

    /// A request whose answer is wanted as text.
    public func text(_ route: ControlRoute) async throws -> String {
        let (status, bytes) = try await exchange(route, "", query: [], body: nil, ifMatch: nil)
        guard status < 300 else { throw try ControlJSON.decode(Problem.self, from: bytes) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The stream of events, from one on or from now; `deliver` returns whether to go on.
    ///
    /// - Parameters:
    ///   - filter: as the query of the route takes it: `device`, `action`, `devtype`.
    ///   - ready: called once the daemon has agreed: nothing that happens from then on is missed.
    public func events(
        from sequence: UInt64?, filter: [(String, String)] = [], ready: () async throws -> Void = {},
        _ deliver: (EventMessage) throws -> Bool
    ) async throws {
        let query = (sequence.map { [("from", String($0))] } ?? []) + filter
        let head = try head(.events, "", query: query, length: nil, ifMatch: nil)
        try await withConnection(head, body: nil) { inbound in
            var parser = EventParser()
            var status = 200
            var failure: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head):
                    status = Int(head.status.code)
                    if status < 300 { try await ready() }
                case .body(let buffer):
                    let bytes = Array(buffer.readableBytesView)
                    if status >= 300 {
                        failure += bytes
                        continue
                    }
                    for message in try parser.feed(bytes) where try !deliver(message) { return }
                case .end: break
                }
            }
            if status >= 300 { throw try ControlJSON.decode(Problem.self, from: failure) }
        }
    }

    /// A disk's trace as it is written; ends with the disk, or when the task is cancelled.
    /// - Parameter ready: called once the daemon has agreed, before the first bytes.
    public func trace(
        _ name: String, _ query: TraceQuery, ready: () throws -> Void, _ deliver: ([UInt8]) throws -> Void
    ) async throws {
        let head = try head(.traceDisk, name, query: query.parameters, length: nil, ifMatch: nil)
        try await withConnection(head, body: nil) { inbound in
            var status = 200
            var failure: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head):
                    status = Int(head.status.code)
                    if status < 300 { try ready() }
                case .body(let buffer):
                    let bytes = Array(buffer.readableBytesView)
                    if status < 300 { try deliver(bytes) } else { failure += bytes }
                case .end: break
                }
            }
            if status >= 300 { throw try ControlJSON.decode(Problem.self, from: failure) }
        }
    }

    /// Ends a disk's trace: whoever reads it gets the rest, and then the end.
    public func stopTrace(_ name: String) async throws {
        _ = try await send(.stopTrace, name, as: StoppedTrace.self)
    }

    private func exchange(
        _ route: ControlRoute, _ name: String, query: [(String, String)], body: (any Encodable)?, ifMatch: String?
    ) async throws -> (Int, [UInt8]) {
        let payload = try body.map { Array(try ControlJSON.text($0).utf8) }
        let head = try head(route, name, query: query, length: payload?.count ?? 0, ifMatch: ifMatch)
        return try await withConnection(head, body: payload) { inbound in
            var status = 0
            var bytes: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head): status = Int(head.status.code)
                case .body(let buffer): bytes += buffer.readableBytesView
                case .end: return (status, bytes)
                }
            }
            throw hungUp
        }
    }

    private func head(
        _ route: ControlRoute, _ name: String, query: [(String, String)], length: Int?, ifMatch: String?
    ) throws(Problem) -> HTTPRequestHead {
        var uri = route.path.split(separator: "{", maxSplits: 1).first.map(String.init) ?? "/"
        if let end = route.path.firstIndex(of: "}") {
            // Without a name the path is another route's, or another disk's.
            guard !name.isEmpty else {
                let word = route.path.contains("{id}") ? "id" : "name"
                throw Problem(
                    .usage, "an empty \(word) stands for nothing: is a variable of the script not set?",
                    errno: "EINVAL")
            }
            uri += ControlClient.escape(name) + route.path[route.path.index(after: end)...]
        }
        let pairs = query.map { "\($0.0)=\(ControlClient.escape($0.1))" }.joined(separator: "&")
        if !pairs.isEmpty { uri += "?" + pairs }
        var headers: HTTPHeaders = ["Host": "platter", "Connection": "close"]
        if let length, route.method == "POST" {
            headers.add(name: "Content-Length", value: "\(length)")
            headers.add(name: "Content-Type", value: "application/json")
        }
        if let ifMatch { headers.add(name: "If-Match", value: ifMatch) }
        return HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: route.method), uri: uri, headers: headers)
    }

    private typealias Inbound = NIOAsyncChannelInboundStream<HTTPClientResponsePart>

    private func withConnection<Result>(
        _ head: HTTPRequestHead, body: [UInt8]?, _ read: (Inbound) async throws -> Result
    ) async throws -> Result {
        try paths.checkOwner()
        let channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
        do {
            channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connect(unixDomainSocketPath: paths.socket) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch {
            throw unreachable(error)
        }
        do {
            return try await channel.executeThenClose { inbound, outbound in
                // In one piece: a server that has heard enough may answer and close between two.
                var parts: [HTTPClientRequestPart] = [.head(head)]
                if let body, !body.isEmpty { parts.append(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
                parts.append(.end(nil))
                try await outbound.write(contentsOf: parts)
                return try await read(inbound)
            }
        } catch let error where error is HTTPParserError || error is ChannelError || error is IOError {
            throw hungUp
        }
    }

    private var hungUp: Unreachable {
        Unreachable(
            reason: "the daemon at \(paths.socket) has hung up; see its log", exitStatus: .unreachable)
    }

    private func unreachable(_ error: any Error) -> Unreachable {
        let number = (error as? IOError)?.errnoCode ?? 0
        let why = number == 0 ? "\(error)" : SystemError(errno: number).description
        if number == ErrorNumber.access || number == ErrorNumber.notPermitted {
            return Unreachable(
                reason: "the daemon at \(paths.socket) belongs to somebody else: \(why)", exitStatus: .notPermitted)
        }
        return Unreachable(
            reason: "no daemon answers at \(paths.socket): \(why); start one with 'platter serve', "
                + "or name its socket with --socket or PLATTER_SOCKET",
            exitStatus: .unreachable)
    }

    static func escape(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                || [45, 46, 58, 95, 126].contains(byte)  // - . : _ ~
            if isPlain {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                result += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return result
    }
}
