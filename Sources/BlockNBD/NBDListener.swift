// SPDX-License-Identifier: Apache-2.0

public import BlockSystem
internal import Synchronization

/// An address that a server listens on.
public final class NBDListener: ReactorHandler, Sendable {
    /// Where clients connect, with the port that the system chose.
    public let address: SocketAddress
    /// Whether every disk is served here, or only what was added for this address.
    public let servesEveryDisk: Bool

    /// Connections that are open.
    public var connections: Int { open.load(ordering: .relaxed) }

    private struct Own: ~Copyable {
        var socket: Descriptor?
        var registration: Registration?
        /// Given up when there is no other descriptor left, so that a client can be turned away instead of waiting.
        var reserve: Descriptor?
        var pause: ReactorTimer?
    }
    // SAFETY: confined to the thread of the reactor that accepts.
    private let own = Confined(Own())
    private let open = Atomic<Int>(0)
    private let server: Weak
    private let isBoundByUs: Bool

    /// How long nothing is accepted after descriptors ran out.
    private static let pauseAfterShortage = Duration.milliseconds(100)

    private struct Weak: Sendable {
        weak let server: NBDServer?
    }

    init(_ socket: consuming Descriptor, _ asked: SocketAddress, servesEveryDisk: Bool, _ server: NBDServer) {
        address = socket.localAddress ?? asked
        self.servesEveryDisk = servesEveryDisk
        self.server = Weak(server: server)
        if case .inherited = asked { isBoundByUs = false } else { isBoundByUs = true }
        own.value.socket = consume socket
    }

    // MARK: On the accepting reactor

    func begin(on reactor: Reactor) throws(SystemError) {
        own.value.reserve = try? Descriptor.reserve()
        own.value.registration = try own.value.socket?.watched(on: reactor, self)
    }

    func end(on reactor: Reactor) {
        if let pause = own.value.pause.take() { reactor.cancel(pause) }
        if let registration = own.value.registration.take() { reactor.forget(registration) }
        if isBoundByUs, own.value.socket != nil, case .unix(let path) = address { removeSocketFile(path) }
        own.value.socket = nil
        own.value.reserve = nil
    }

    /// Clients are waiting.
    public func ready(_ readiness: Readiness, on reactor: Reactor) {
        // A burst is taken in pieces, so that those who are connected already have their turn.
        for _ in 0..<16 {
            do throws(SystemError) {
                guard let client = try own.value.socket?.acceptNext() else { return }
                take(client)
            } catch {
                return shortage(error, on: reactor)
            }
        }
    }

    private func take(_ client: consuming Descriptor) {
        guard let server = server.server else { return }
        // Only this thread adds, so the limit holds; a connection that ends meanwhile only lowers the number.
        guard connections < server.options.connectionsMax else {
            return server.refuse("\(address): \(connections) connections are open, more are turned away")
        }
        open.wrappingAdd(1, ordering: .relaxed)
        server.accept(client, from: self)
    }

    /// No descriptor for the next client. It is turned away with the one in reserve, and then nothing is accepted for a
    /// while: a level-triggered event that is not served would keep the thread busy.
    private func shortage(_ error: SystemError, on reactor: Reactor) {
        server.server?.refuse("\(address): cannot accept: \(error)")
        if own.value.reserve != nil {
            own.value.reserve = nil
            _ = try? own.value.socket?.acceptNext()
            own.value.reserve = try? Descriptor.reserve()
        }
        guard var registration = own.value.registration else { return }
        reactor.watch(&registration, for: [])
        own.value.registration = registration
        own.value.pause = reactor.after(Self.pauseAfterShortage) { [weak self] in self?.goOn(on: reactor) }
    }

    private func goOn(on reactor: Reactor) {
        own.value.pause = nil
        if own.value.reserve == nil { own.value.reserve = try? Descriptor.reserve() }
        guard var registration = own.value.registration else { return }
        reactor.watch(&registration, for: .read)
        own.value.registration = registration
    }

    func connectionEnded() { open.wrappingSubtract(1, ordering: .relaxed) }
}

extension Descriptor {
    fileprivate func watched(on reactor: Reactor, _ listener: NBDListener) throws(SystemError) -> Registration {
        try reactor.watch(self, for: .read, listener)
    }

    fileprivate func acceptNext() throws(SystemError) -> Descriptor? { try accept() }
}
