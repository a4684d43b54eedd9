// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockSystem
import Testing

@Suite struct `The patience with a connection` {
    private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    /// The second at which it is closed, if it was opened at 0 and this was seen since.
    private func end(_ happenings: (UInt64, ConnectionPatience.Happening)...) -> UInt64? {
        var patience = ConnectionPatience(ConnectionLimits(), opened: at(0))
        for (second, happening) in happenings { patience.saw(happening, at: at(second)) }
        return patience.deadline.map { $0.nanoseconds / 1_000_000_000 }
    }

    @Test func `ends with a request that does not come, whole`() {
        #expect(end() == 30)
        #expect(end((10, .head)) == 40)
        #expect(end((5, .answered)) == 35, "what was no request is told so")
    }

    @Test func `has no end while a request is worked on or a stream is written`() {
        #expect(end((10, .head), (11, .end)) == nil)
        #expect(end((10, .head), (11, .end), (12, .streaming)) == nil)
        #expect(end((10, .head), (12, .streaming), (13, .blocked)) == nil)
        #expect(end((1, .head), (1, .end), (2, .head)) == nil, "one that comes meanwhile may take its time")
        #expect(end((1, .head), (1, .end), (2, .head), (100, .answered)) == 130)
    }

    @Test func `is longer between two requests`() {
        #expect(end((10, .head), (11, .end), (100, .answered)) == 400)
        #expect(end((10, .head), (11, .end), (12, .streaming), (100, .answered)) == 400)
        #expect(end((10, .head), (11, .end), (100, .answered), (399, .head)) == 429)
    }

    @Test func `does not grow with an answer that comes before the end of its request`() {
        #expect(end((10, .head), (11, .answered)) == 41)
        #expect(end((10, .head), (11, .answered), (12, .end)) == 311)
    }

    @Test func `ends with an answer that nobody takes`() {
        #expect(end((1, .head), (1, .end), (2, .answered), (3, .blocked)) == 33)
        #expect(end((1, .head), (1, .end), (3, .blocked), (20, .blocked)) == 33)
        #expect(end((1, .head), (1, .end), (2, .answered), (3, .blocked), (20, .flowing)) == 302)
    }

    @Test func `leaves so many places, and says once that they are taken`() {
        var seats = ConnectionSeats(limit: 2)
        func take() -> ConnectionSeats.Answer { seats.take() }
        #expect(take() == .seated)
        #expect(take() == .seated)
        #expect(take() == .full(isNews: true))
        #expect(take() == .full(isNews: false))
        seats.leave()
        #expect(take() == .seated)
        #expect(take() == .full(isNews: true))
        #expect(seats.taken == 2)
    }
}

/// A client that says what it is told to, and hears on a thread of its own.
private final class RawClient: Sendable {
    private let socket: Descriptor
    private let heard = Lock((text: "", hasEnded: false))

    init(_ port: Int) throws {
        socket = try Descriptor.connected(to: .tcp(host: "127.0.0.1", port: UInt16(port)))
        WorkerThread.detach(name: "client") { [self] in hear() }
    }

    private func hear() {
        guard let room = try? IOBuffer(count: 1 << 16) else { return }
        while case .moved(let count) = socket.read(into: room.memory) {
            let text = String(decoding: room.memory.slice(0, count).array, as: UTF8.self)
            heard.withLock { $0.text += text }
        }
        heard.withLock { $0.hasEnded = true }
    }

    /// A request line and the token, then whatever more there is.
    func send(_ line: String, _ more: String = "\r\n") {
        let text = "\(line) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\(more)"
        _ = socket.send(Array(text.utf8)[...])
    }

    func finishSending() { socket.finishSending() }

    var text: String { heard.withLock { $0.text } }
    var hasEnded: Bool { heard.withLock { $0.hasEnded } }
    var hasAnswer: Bool { text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.contains("\r\n\r\n") }
}

/// Whether it comes to hold; waits for it without holding a thread.
private func comes(_ condition: () -> Bool) async -> Bool {
    let end = Instant.now + .seconds(20)
    while !condition() {
        guard Instant.now < end else { return false }
        await Task.yield()
    }
    return true
}

/// Of a server's end, as the kernel lists it.
private func hasKeepaliveTimer(_ port: Int) -> Bool {
    let place = String(port, radix: 16, uppercase: true)
    let local = ":" + String(repeating: "0", count: 4 - place.count) + place
    let table = (try? HostFile.readText("/proc/net/tcp", limit: 1 << 24)) ?? ""
    return table.split(separator: "\n").contains { line in
        let words = line.split(separator: " ")
        return words.count > 5 && words[1].hasSuffix(local) && words[3] == "01" && words[5].hasPrefix("02:")
    }
}

@Suite(.timeLimit(.minutes(2))) struct `A connection over TCP` {
    private func listen(_ daemon: Daemon, _ change: (inout ConnectionLimits) -> Void = { _ in }) async throws -> Int {
        var remote = ControlServer.Remote(host: "127.0.0.1", port: 0, token: "t", metricsAreOpen: false)
        change(&remote.limits)
        return try await daemon.server.listen(tcp: remote)
    }

    @Test func `whose request does not come is closed, and what came of it is not done`() async throws {
        try await withDaemon { daemon in
            try await daemon.client.add("ram", "size=1M", "name=foo", "partscan=off")
            let port = try await listen(daemon) { $0.request = .milliseconds(50) }
            let (silent, amidHead, amidBody) = (try RawClient(port), try RawClient(port), try RawClient(port))
            amidHead.send("GET /healthz", "X: y")
            // Trap: without a body its defaults would hold.
            amidBody.send("POST /v1/disks/foo/remove", "Content-Length: 20\r\n\r\n")
            for client in [silent, amidHead, amidBody] {
                #expect(await comes { client.hasEnded })
                #expect(client.text.isEmpty)
            }
            await daemon.server.stop()
            #expect(daemon.registry.disk(named: "foo") != nil)
        }
    }

    @Test func `that idles behind an answer is closed`() async throws {
        try await withDaemon { daemon in
            let port = try await listen(daemon) { $0.idle = .milliseconds(50) }
            let client = try RawClient(port)
            client.send("GET /healthz")
            #expect(await comes { client.hasEnded })
            #expect(client.hasAnswer)
        }
    }

    @Test func `has one of so many places`() async throws {
        try await withDaemon { daemon in
            let port = try await listen(daemon) { $0.connections = 2 }
            let (first, second, third) = (try RawClient(port), try RawClient(port), try RawClient(port))
            #expect(await comes { third.hasEnded })
            #expect(!first.hasEnded && !second.hasEnded && third.text.isEmpty)
            #expect(daemon.server.connections == 2)
            first.finishSending()
            #expect(await comes { daemon.server.connections == 1 })
            let fourth = try RawClient(port)
            for client in [second, fourth] {
                client.send("GET /healthz")
                #expect(await comes { client.hasAnswer })
            }
        }
    }

    @Test func `that the caller has closed on his side ends its streams, and answers what was asked`() async throws {
        try await withDaemon { daemon in
            try await daemon.client.add("ram", "size=1M", "name=foo", "partscan=off")
            let port = try await listen(daemon)
            // No I/O and no events: nothing is written that could fail.
            for stream in ["/v1/disks/foo/trace", "/v1/events"] {
                let client = try RawClient(port)
                client.send("GET \(stream)")
                #expect(await comes { client.hasAnswer })
                client.finishSending()
                #expect(await comes { client.hasEnded }, "\(stream)")
            }
            #expect(try await daemon.client.send(.stopTrace, "foo", as: StoppedTrace.self).wasTraced == false)
            let client = try RawClient(port)
            client.send("GET /healthz")
            client.finishSending()
            #expect(await comes { client.hasEnded })
            #expect(client.hasAnswer)
            // Trap: without a body its defaults would hold.
            let cut = try RawClient(port)
            cut.send("POST /v1/disks/foo/remove", "Content-Length: 20\r\n\r\n")
            cut.finishSending()
            #expect(await comes { cut.hasEnded })
            #expect(cut.text.hasPrefix("HTTP/1.1 400 "))
            #expect(daemon.registry.disk(named: "foo") != nil)
        }
    }

    @Test func `is asked by the kernel whether its other end is there`() async throws {
        try await withDaemon { daemon in
            let port = try await listen(daemon)
            let client = try RawClient(port)
            client.send("GET /healthz")
            #expect(await comes { client.hasAnswer })
            // A retransmission may still have the timer.
            #expect(await comes { hasKeepaliveTimer(port) })
        }
    }
}

@Suite struct `The door of a unix socket` {
    @Test func `lets in its own user and root, and nobody who is unknown`() throws {
        try LocalPeer.check(user: 1000, own: 1000)
        try LocalPeer.check(user: 0, own: 1000)
        for user: UInt32? in [nil, 1001, .max] {
            #expect(throws: Problem.self) { try LocalPeer.check(user: user, own: 1000) }
            #expect(throws: Problem.self) { try LocalPeer.check(user: user, own: 0) }
        }
    }
}
