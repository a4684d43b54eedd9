// SPDX-License-Identifier: Apache-2.0

public import BlockSystem
internal import Synchronization

/// Limits of a server.
public struct NBDServerOptions: Sendable {
    /// Connections on one address.
    public var connectionsMax = 1024
    /// How long a handshake may take, however slowly the client speaks.
    public var handshakeDeadline = Duration.seconds(10)
    /// Event loops; nil: one for each processor, two at most.
    public var reactors: Int?

    /// The defaults.
    public init() {}
}

/// How important a line of the log is.
public enum NBDLogLevel: Sendable { case debug, info, warning, error }

/// What a server has done so far.
public struct NBDServerStatistics: Sendable, Equatable {
    /// Connections that are open.
    public var connections = 0
    /// Connections since the start.
    public var accepted = 0
    /// Connections that were turned away: too many, or no descriptor left.
    public var refused = 0
    /// Connections that got as far as a disk.
    public var served = 0
    /// Connections that did not finish their handshake in time.
    public var handshakeTimeouts = 0
    /// Requests of connections that have ended.
    public var requests = 0
}

/// Serves block devices over NBD to any number of clients on any number of addresses.
///
/// A client costs nobody but itself anything: one that stalls, vanishes or sends garbage is dropped or waited for
/// without a thread, and with bounded memory.
public final class NBDServer: Sendable {
    let directory: any NBDExportDirectory
    let options: NBDServerOptions
    let helpers = NBDHelpers()
    private let log: @Sendable (NBDLogLevel, String) -> Void
    private let workspaces: [NBDWorkspace]
    private let repeats = NBDRepeats()

    private struct State {
        var statistics = NBDServerStatistics()
        var listeners: [NBDListener] = []
        var next = 0
        var isStopping = false
        var whenEmpty: Parker?
    }
    private let state = Lock(State())

    /// A server without an address.
    /// - Parameter log: takes one line for each connection, and one for each kind of trouble; any thread.
    /// - Throws: what the system says when it has no thread, descriptor or memory left.
    public init(
        _ directory: any NBDExportDirectory, options: NBDServerOptions = .init(),
        log: @escaping @Sendable (NBDLogLevel, String) -> Void = { _, _ in }
    ) throws(SystemError) {
        self.directory = directory
        self.options = options
        self.log = log
        var workspaces: [NBDWorkspace] = []
        do throws(SystemError) {
            for index in 0..<max(options.reactors ?? min(2, processorCount()), 1) {
                workspaces.append(try NBDWorkspace(name: "pl-nbd-\(index)"))
            }
        } catch {
            for workspace in workspaces { workspace.reactor.stop() }
            throw error
        }
        self.workspaces = workspaces
    }

    /// What it has done so far.
    public var statistics: NBDServerStatistics { state.withLock { $0.statistics } }
    /// Where it listens.
    public var listeners: [NBDListener] { state.withLock { $0.listeners } }

    // MARK: Addresses

    /// Listens on an address.
    /// - Parameters:
    ///   - servesEveryDisk: false: only what is added for this listener.
    ///   - mode: access rights of a socket file.
    /// - Throws: EADDRINUSE where somebody else listens, ESHUTDOWN after ``stop(within:)``, and so on.
    public func listen(
        on address: SocketAddress, servesEveryDisk: Bool = true, mode: UInt32? = nil
    ) throws(SystemError) -> NBDListener {
        let socket = try Descriptor.listening(on: address, mode: mode)
        let listener = NBDListener(socket, address, servesEveryDisk: servesEveryDisk, self)
        let outcome = Mutex<SystemError?>(nil)
        let reactor = workspaces[0].reactor
        let isTaken = onReactor(reactor) {
            do throws(SystemError) { try listener.begin(on: reactor) } catch { outcome.withLock { $0 = error } }
        }
        let error: SystemError? = isTaken ? outcome.withLock { $0 } : SystemError(errno: NBDServer.shutdown)
        if let error {
            if case .unix(let path) = address { removeSocketFile(path) }
            throw error
        }
        state.withLock { $0.listeners.append(listener) }
        return listener
    }

    /// Takes no more connections there, and removes a socket file that it made. Clients stay.
    public func stopListening(_ listener: NBDListener) {
        state.withLock { $0.listeners.removeAll { $0 === listener } }
        let reactor = workspaces[0].reactor
        _ = onReactor(reactor) { listener.end(on: reactor) }
    }

    // MARK: The end

    /// Ends it: no new connections; what is under way is answered, for as long as `grace`; then connections are cut.
    ///
    /// Returns when everything is closed and the threads are gone. A second call does nothing.
    /// - Context: blocks; not on a reactor.
    public func stop(within grace: Duration = .seconds(5)) {
        let empty = Parker()
        let listeners = state.withLock { state -> [NBDListener]? in
            guard !state.isStopping else { return nil }
            state.isStopping = true
            state.whenEmpty = empty
            return state.listeners
        }
        guard let listeners else { return }
        let deadline = Instant.now + grace
        for listener in listeners { stopListening(listener) }
        for workspace in workspaces {
            workspace.reactor.post { for session in workspace.sessions.value.values { session.shutDown() } }
        }
        if statistics.connections > 0 { empty.wait(until: deadline) }
        for workspace in workspaces {
            _ = onReactor(workspace.reactor) {
                for session in workspace.sessions.value.values { session.finish("the server shut down") }
            }
        }
        for workspace in workspaces { workspace.reactor.stop() }
    }

    /// Runs `body` there and waits for it; false: the reactor has ended.
    private func onReactor(_ reactor: Reactor, _ body: @escaping @Sendable () -> Void) -> Bool {
        if reactor.isCurrent {
            body()
            return true
        }
        let done = Parker()
        let isTaken = reactor.post {
            body()
            done.raise()
        }
        if isTaken { done.wait() }
        return isTaken
    }

    private static let shutdown: Int32 = 108

    // MARK: Connections

    func accept(_ client: consuming Descriptor, from listener: NBDListener) {
        let index = state.withLock { state in
            state.statistics.accepted += 1
            state.statistics.connections += 1
            state.next += 1
            return state.next % workspaces.count
        }
        let workspace = workspaces[index]
        let session = NBDSession(client, workspace, listener, self)
        workspace.reactor.post { [self] in
            session.begin()
            // It may have been on its way while the others were told.
            if state.withLock({ $0.isStopping }) { session.shutDown() }
        }
    }

    func ended(_ session: NBDSession, reason: String, wasServing: Bool) {
        session.listener.connectionEnded()
        let requests = session.flow.value.requests
        let empty = state.withLock { state -> Parker? in
            state.statistics.connections -= 1
            state.statistics.requests += requests
            return state.statistics.connections == 0 ? state.whenEmpty : nil
        }
        let who = session.who
        if wasServing {
            let device = session.greeting.value.device
            let milliseconds = (Instant.now - session.greeting.value.since).nanoseconds / 1_000_000
            log(.info, "nbd: \(who) used \(device) for \(milliseconds) ms, \(requests) requests: \(reason)")
        } else if let line = repeats.line("handshake \(reason)", "nbd: \(who): \(reason)") {
            log(.info, line)
        }
        empty?.raise()
    }

    func refuse(_ text: String) {
        count { $0.refused += 1 }
        if let line = repeats.line("refuse", "nbd: \(text)") { log(.warning, line) }
    }

    func countRefused(_ text: String) {
        if let line = repeats.line("open \(text)", "nbd: refused \(text)") { log(.warning, line) }
    }

    func count(_ change: (inout NBDServerStatistics) -> Void) { state.withLock { change(&$0.statistics) } }
}
