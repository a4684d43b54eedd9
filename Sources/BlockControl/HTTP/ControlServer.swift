// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Hummingbird
internal import HummingbirdCore
public import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Listens for requests: on a unix socket, and on TCP where that was asked for.
///
/// Hummingbird's own `Application` is not used: it wakes up every second to keep a date, and the daemon sleeps when
/// nothing happens.
public final class ControlServer: Sendable {
    /// Where TCP is served, and to whom.
    public struct Remote: Sendable {
        /// A loopback address.
        public var host: String
        /// The port; 0 lets the kernel choose.
        public var port: Int
        /// What clients have to show.
        public var token: String
        /// Whether `/metrics` is served without it.
        public var metricsAreOpen: Bool
        /// How long and how many who only hold a connection may: whoever can reach the address can do that.
        package var limits = ConnectionLimits()

        /// An address.
        public init(host: String, port: Int, token: String, metricsAreOpen: Bool) {
            self.host = host
            self.port = port
            self.token = token
            self.metricsAreOpen = metricsAreOpen
        }
    }

    private struct State {
        var channels: [any Channel] = []
        var tasks: [Task<Void, Never>] = []
        var doors: [Lock<ConnectionSeats>] = []
    }
    private let state = Lock(State())
    private let responder: ControlResponder
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger

    /// A server that answers with this service; it does not listen yet.
    public init(service: ControlService, logger: Logger) {
        responder = ControlResponder(service: service)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.logger = logger
    }

    /// Serves a unix socket; when this returns, clients can connect to it.
    public func listen(unix path: String) async throws {
        let socket = try UnixSocket.listen(path: path)
        let http = channelSetup(responder.responder(for: .local))
        let logger = logger
        let listener = try await bootstrap.bind(socket) { ControlServer.setUp($0, http, .none, logger) }
        // A socket that is handed over is given NIO's own queue, of 128, whatever the options say.
        UnixSocket.setQueue(of: socket)
        serve(listener, http, .none)
    }

    /// Serves a TCP address, and returns the port.
    public func listen(tcp remote: Remote) async throws -> Int {
        let door = Door.remote(token: remote.token, metricsAreOpen: remote.metricsAreOpen)
        let http = channelSetup(responder.responder(for: door))
        let (logger, limits) = (logger, remote.limits)
        let listener = try await tcpBootstrap.bind(host: remote.host, port: remote.port) {
            ControlServer.setUp($0, http, limits, logger)
        }
        serve(listener, http, limits)
        return listener.channel.localAddress?.port ?? remote.port
    }

    /// Connections that are open: for tests.
    package var connections: Int { state.withLock { $0.doors }.reduce(0) { $0 + $1.withLock { $0.taken } } }

    /// Stops listening; who is connected is still answered.
    public func stopListening() async {
        let channels = state.withLock { state in
            defer { state.channels = [] }
            return state.channels
        }
        for channel in channels { try? await channel.close() }
    }

    /// Ends every connection, streams of events too, and waits until all is gone.
    public func stop() async {
        await stopListening()
        let tasks = state.withLock { state in
            defer { state.tasks = [] }
            return state.tasks
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        try? await group.shutdownGracefully()
    }

    private typealias Listener = NIOAsyncChannel<HTTP1Channel.Value, Never>

    private var bootstrap: ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.backlog, value: 256)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
    }

    /// A peer whose machine is gone, or whose tunnel is, says nothing of it: the kernel asks after a minute of silence.
    private var tcpBootstrap: ServerBootstrap {
        bootstrap
            .childChannelOption(ChannelOptions.socketOption(.so_keepalive), value: 1)
            .childChannelOption(ChannelOptions.tcpOption(.keepIdle), value: 60)
            .childChannelOption(ChannelOptions.tcpOption(.keepInterval), value: 15)
            .childChannelOption(ChannelOptions.tcpOption(.keepCount), value: 4)
    }

    /// The pipeline of a connection, with somebody who looks after it.
    private static func setUp(
        _ channel: any Channel, _ http: HTTP1Channel, _ limits: ConnectionLimits, _ logger: Logger
    ) -> EventLoopFuture<HTTP1Channel.Value> {
        http.setup(channel: channel, logger: logger).flatMapThrowing { value in
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(ConnectionWatch(limits), position: .after(decoder))
            return value
        }
    }

    private func channelSetup(_ responder: some HTTPResponder<ControlContext>) -> HTTP1Channel {
        let logger = logger
        return HTTP1Channel(
            responder: { request, writer, channel in
                let context = ControlContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
                var response: Response
                do {
                    response = try await responder.respond(to: request, context: context)
                } catch {
                    // Whoever asked has gone, or what he said is no request: that is told by others, and nothing is wrong.
                    guard channel.isActive, !(error is HTTPParserError) else { throw error }
                    logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
                    response = Response(status: .internalServerError)
                }
                response.headers[.server] = "platter"
                try await writer.write(response: response.head, body: response.body)
            })
    }

    private func serve(_ listener: Listener, _ http: HTTP1Channel, _ limits: ConnectionLimits) {
        let logger = logger
        let seats = Lock(ConnectionSeats(limit: limits.connections))
        let task = Task {
            await withDiscardingTaskGroup { connections in
                do {
                    try await listener.executeThenClose { inbound in
                        for try await connection in inbound {
                            switch seats.withLock({ $0.take() }) {
                            case .seated:
                                connections.addTask {
                                    await http.handle(value: connection, logger: logger)
                                    seats.withLock { $0.leave() }
                                }
                            case .full(let isNews):
                                if isNews {
                                    logger.warning(
                                        "connections are refused: there are too many",
                                        metadata: ["limit": "\(limits.connections)"])
                                }
                                connections.addTask { try? await connection.executeThenClose { _, _ in } }
                            }
                        }
                    }
                } catch {
                    logger.debug("listener ended", metadata: ["error": "\(error)"])
                }
            }
        }
        state.withLock { state in
            state.channels.append(listener.channel)
            state.tasks.append(task)
            state.doors.append(seats)
        }
    }
}

extension NIOBSDSocket.Option {
    fileprivate static let keepIdle = NIOBSDSocket.Option(rawValue: 4)  // TCP_KEEPIDLE
    fileprivate static let keepInterval = NIOBSDSocket.Option(rawValue: 5)  // TCP_KEEPINTVL
    fileprivate static let keepCount = NIOBSDSocket.Option(rawValue: 6)  // TCP_KEEPCNT
}
