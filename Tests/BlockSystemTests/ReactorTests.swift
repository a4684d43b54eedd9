// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Synchronization
import TestSupport
import Testing

/// Takes what comes on a socket and counts how often it was asked to.
private final class Taker: ReactorHandler, @unchecked Sendable {
    // SAFETY: touched on its reactor's thread, but for the counters.
    let calls = Counter()
    let bytes = Counter()
    let isDone = Parker()
    var socket: Descriptor?
    var registration: Registration?

    init(_ pair: Pair) { socket = pair.near.take() }

    func begin(on reactor: Reactor) {
        registration = try? watch(reactor)
    }

    private func watch(_ reactor: Reactor) throws -> Registration? {
        try socket?.watched(by: reactor, self)
    }

    func ready(_ readiness: Readiness, on reactor: Reactor) {
        calls.add()
        switch socket?.read(into: reactor.scratch) {
        case .moved(let count): bytes.add(count)
        case .wouldBlock: break
        default: end(on: reactor)
        }
    }

    func end(on reactor: Reactor) {
        if let registration { reactor.forget(registration) }
        registration = nil
        socket = nil
        isDone.raise()
    }
}

extension Descriptor {
    fileprivate func watched(by reactor: Reactor, _ taker: Taker) throws -> Registration {
        try makeNonblocking()
        return try reactor.watch(self, for: .read, taker)
    }
}

/// Counts its runs.
private final class Tally: ReactorTask {
    let runs = Counter()
    let order = Lock<[String]>([])
    private let name: String
    private let log: Lock<[String]>?
    init(_ name: String = "", into log: Lock<[String]>? = nil) {
        self.name = name
        self.log = log
    }
    func run(on reactor: Reactor) {
        runs.add()
        log?.withLock { $0.append(name) }
    }
}

/// Runs `body` on the reactor's thread and waits for it.
private func on(_ reactor: Reactor, _ body: @escaping @Sendable () -> Void) {
    let done = Parker()
    reactor.post {
        body()
        done.raise()
    }
    done.wait()
}

@Suite struct `A reactor` {
    @Test func `runs jobs of any thread on its own, in the order of each thread`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        #expect(!reactor.isCurrent)
        let seen = Lock<[Int]>([])
        let wasCurrent = Lock(true)
        let threads = try (0..<4).map { thread in
            try WorkerThread.start(name: "test-poster") {
                for number in 0..<500 {
                    reactor.post {
                        if !reactor.isCurrent { wasCurrent.withLock { $0 = false } }
                        seen.withLock { $0.append(thread * 1000 + number) }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        reactor.stop()
        let all = seen.withLock { $0 }
        #expect(all.count == 2000)
        for thread in 0..<4 { #expect(all.filter { $0 / 1000 == thread } == (0..<500).map { thread * 1000 + $0 }) }
        #expect(wasCurrent.withLock { $0 })
    }

    @Test func `refuses jobs after its end, and loses none before`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        let taken = Counter()
        let ran = Counter()
        let poster = try WorkerThread.start(name: "test-poster") {
            while reactor.post({ ran.add() }) { taken.add() }
        }
        #expect(eventually { taken.value > 100 })
        reactor.stop()
        poster.join()
        #expect(ran.value == taken.value)
        #expect(!reactor.post {})
    }

    @Test func `does nothing while there is nothing to do`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        on(reactor) {}
        #expect(eventually { reactor.turns > 0 })
        on(reactor) {}
        let turns = reactor.turns
        // An hour is far away: that timer must not wake it either.
        on(reactor) { _ = reactor.after(.seconds(3600)) {} }
        let waited = Parker()
        let other = try Reactor.start(name: "test-clock")
        on(other) { _ = other.after(.milliseconds(100)) { waited.raise() } }
        waited.wait()
        #expect(reactor.turns <= turns + 2)
        reactor.stop()
        other.stop()
    }

    @Test func `fires timers once, soonest first, and not those that were cancelled`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        let fired = Lock<[Int]>([])
        let done = Parker()
        on(reactor) {
            var cancelled: [ReactorTimer] = []
            for number in [5, 1, 4, 2, 3] {
                _ = reactor.after(.milliseconds(number * 10)) { fired.withLock { $0.append(number) } }
                cancelled.append(reactor.after(.milliseconds(number)) { fired.withLock { $0.append(-number) } })
            }
            for timer in cancelled { reactor.cancel(timer) }
            _ = reactor.after(.milliseconds(60)) { done.raise() }
        }
        done.wait()
        #expect(fired.withLock { $0 } == [1, 2, 3, 4, 5])
        reactor.stop()
    }

    @Test func `runs what is put off in a later turn, and the end of a turn after all else`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        let log = Lock<[String]>([])
        let again = Tally("again", into: log)
        let end = Tally("end", into: log)
        on(reactor) {
            reactor.again(again)
            reactor.atEndOfTurn(end)
            log.withLock { $0.append("job") }
        }
        #expect(eventually { again.runs.value == 1 && end.runs.value == 1 })
        #expect(log.withLock { $0 } == ["job", "end", "again"])
        reactor.stop()
    }

    @Test func `tells of bytes until they are taken, and of the end`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        let pair = try connectedPair()
        let taker = Taker(pair)
        on(reactor) { taker.begin(on: reactor) }
        let buffer = try IOBuffer(count: 100_000)
        var sent = 0
        while sent < 300_000 { if case .moved(let count) = pair.far.send(buffer.memory) { sent += count } }
        #expect(eventually { taker.bytes.value == sent })
        pair.far.finishSending()
        taker.isDone.wait()
        on(reactor) { #expect(reactor.watched == 0) }
        reactor.stop()
    }

    @Test func `reaches nobody with an event for a descriptor that was forgotten`() throws {
        let reactor = try Reactor.start(name: "test-reactor")
        for _ in 0..<200 {
            let pair = try connectedPair()
            let taker = Taker(pair)
            on(reactor) { taker.begin(on: reactor) }
            _ = pair.far.send([1, 2, 3])
            on(reactor) { taker.end(on: reactor) }
            let calls = taker.calls.value
            _ = pair.far.send([4])
            on(reactor) {}
            #expect(taker.calls.value == calls)
        }
        reactor.stop()
    }

    private func connectedPair() throws -> Pair {
        let path = "/tmp/platter-reactor-\(UInt64.random(in: .min ... .max)).sock"
        let listening = try Descriptor.listening(on: .unix(path: path), mode: 0o600)
        let far = try Descriptor.connected(to: .unix(path: path))
        removeSocketFile(path)
        var near: Descriptor?
        while near == nil { near = try listening.accept() }
        guard let near else { throw SystemError(errno: 9) }
        return Pair(near: near, far: far)
    }
}

/// Both ends of a connection.
private final class Pair {
    var near: Descriptor?
    let far: Descriptor
    init(near: consuming Descriptor, far: consuming Descriptor) {
        self.near = consume near
        self.far = consume far
    }
}
