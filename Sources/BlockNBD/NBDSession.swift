// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// One connection, from the greeting to its end.
///
/// It lives on one reactor. Answers and news of the disk come from other threads: answers through `inbox`, news as bits
/// in `news`. The reactor's list keeps it alive while it is connected; the core keeps it, as the sink, until the last
/// answer is back.
final class NBDSession: ReactorHandler, ReactorTask, ReactorGuest, BioSink, OpenerDelegate, Sendable {
    /// What other threads have to tell.
    struct News: OptionSet {
        let rawValue: UInt32
        /// Soft removal: new requests are answered "shutdown".
        static let leave = News(rawValue: 1)
        /// The disk is dead.
        static let died = News(rawValue: 2)
    }

    enum Phase { case handshake, transmission, closed }

    /// The part before the transmission.
    struct Greeting {
        var phase = Phase.handshake
        var machine = NBDHandshake()
        /// Bytes behind the last option that was taken in.
        var input: ArraySlice<UInt8> = []
        var deadline: ReactorTimer?
        var isWaiting = false
        var closing: String?
        var device = ""
        /// What the client's process runs.
        var program: String?
        var since = Instant.now
    }

    /// The answer to what is being submitted, if it comes before `submit` returns.
    struct Inline {
        var expected = UInt64.max
        var status = BlockStatus.ok
    }

    struct Inbox {
        var answers: [NBDAnswer] = []
        var isPosted = false
    }

    let workspace: NBDWorkspace
    let listener: NBDListener
    let server: NBDServer
    let peer: SocketPeer
    let home: UInt
    /// Away: with a thread that a driver did not give back. See `NBDSession+Away`.
    let away = NBDAway()
    let news = Atomic<UInt32>(0)
    let inbox = Lock(Inbox())
    /// An opener on its way from the helper that opened it.
    let opened = Mutex<Opener?>(nil)

    // SAFETY: these three are confined to the thread of `workspace.reactor`, and while the session is away to the thread
    // that it is away with.
    let flow = Confined(NBDFlow())
    let greeting = Confined(Greeting())
    let answer = Confined(Inline())
    // SAFETY: made before the first request that needs one; constant from then on.
    let slots = Confined<[NBDSlot]>([])

    init(_ socket: consuming Descriptor, _ workspace: NBDWorkspace, _ listener: NBDListener, _ server: NBDServer) {
        self.workspace = workspace
        self.listener = listener
        self.server = server
        home = workspace.reactor.identity
        peer = socket.peer
        flow.value.socket = consume socket
    }

    /// The client, for the log.
    var who: String {
        if let address = peer.address { return address }
        guard let process = peer.process else { return listener.address.description }
        return "process \(process) (\(greeting.value.program ?? "unknown"))"
    }

    var hasNews: News { News(rawValue: news.load(ordering: .relaxed)) }

    // MARK: On the reactor

    /// Takes up the connection: greets, and begins to listen.
    func begin() {
        let reactor = workspace.reactor
        workspace.sessions.value[ObjectIdentifier(self)] = self
        do throws(SystemError) {
            guard let registration = try flow.value.socket?.begin(on: reactor, self) else { return }
            flow.value.registration = registration
        } catch {
            return finish("cannot be watched: \(error)")
        }
        // Unowned would do: the timer is cancelled when the session ends. Strong, so that nothing has to be argued.
        greeting.value.deadline = reactor.after(server.options.handshakeDeadline) { [self] in
            server.count { $0.handshakeTimeouts += 1 }
            finish("did not finish its handshake in time")
        }
        greet()
    }

    func ready(_ readiness: Readiness, on reactor: Reactor) {
        guard !away.isAway else { return }
        flow.value.output = workspace.output
        defer { comeBackIfStray() }
        switch greeting.value.phase {
        case .handshake: handshakeIsReady(readiness)
        case .transmission: transmissionIsReady(readiness)
        case .closed: break
        }
    }

    /// Answers have come, or this connection had more to do than its share of the last turn.
    func run(on reactor: Reactor) {
        // What is in the inbox stays there until the session is back.
        guard !away.isAway else { return }
        flow.value.output = workspace.output
        defer { comeBackIfStray() }
        let answers = inbox.withLock { inbox -> [NBDAnswer] in
            inbox.isPosted = false
            guard !inbox.answers.isEmpty else { return [] }
            let answers = inbox.answers
            inbox.answers.removeAll(keepingCapacity: true)
            return answers
        }
        guard greeting.value.phase == .transmission else { return lateAnswers(answers) }
        take(answers)
    }

    // MARK: From any thread

    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        let slot = Int(truncatingIfNeeded: token)
        if buffer != nil { slots.value[slot].buffer = consume buffer }
        if Reactor.currentIdentity == home, !away.isAway, answer.value.expected == token {
            answer.value.expected = .max
            answer.value.status = status
            return
        }
        tell(NBDAnswer(slot: slot, status: status))
    }

    /// Puts an answer into the inbox, and sends for the reactor if it is the first of a burst.
    func tell(_ answer: NBDAnswer) {
        let isFirst = inbox.withLock { inbox in
            inbox.answers.append(answer)
            defer { inbox.isPosted = true }
            return !inbox.isPosted
        }
        if isFirst { workspace.reactor.post(self) }
    }

    func askedToLeave() { news.bitwiseOr(News.leave.rawValue, ordering: .relaxed) }

    func died(_ mode: RemovalMode) {
        news.bitwiseOr(News.died.rawValue, ordering: .relaxed)
        // Nobody is here to answer the client: it is cut off instead.
        away.cut()
    }

    // MARK: The end

    /// The server goes down: what is under way is answered, then the connection is closed.
    func shutDown() {
        if away.cut() { return }
        switch greeting.value.phase {
        case .handshake: finish("the server shuts down")
        case .transmission:
            if flow.value.farewell == nil { flow.value.farewell = "the server shut down" }
            settle()
        case .closed: break
        }
    }

    /// Closes the connection, whatever state it is in. Answers that are still to come are swallowed by the core.
    func finish(_ reason: String) {
        if isStray {
            flow.value.leaving = reason
            return
        }
        guard !away.cut(), greeting.value.phase != .closed else { return }
        end(reason)
    }

    /// The end itself: on the reactor's thread, or on one that strayed when the reactor is gone.
    func end(_ reason: String) {
        let wasServing = greeting.value.phase == .transmission
        greeting.value.phase = .closed
        away.forget()
        if let deadline = greeting.value.deadline.take() { workspace.reactor.cancel(deadline) }
        // Before the close: the number may belong to another connection a moment later.
        if let registration = flow.value.registration.take() { workspace.reactor.forget(registration) }
        flow.value.socket = nil
        freeMemory()
        // A copy of the reference: a change through the property counts as one of the property, which other threads read.
        let workspace = workspace
        workspace.sessions.value[ObjectIdentifier(self)] = nil
        guard let opener = flow.value.opener.take() else {
            return server.ended(self, reason: reason, wasServing: wasServing)
        }
        // On a helper thread: the close tells the driver, who may take his time. Counted as ended when that is over.
        var leaving: Opener? = consume opener
        opened.withLock { swap(&$0, &leaving) }
        server.helpers.run { [self] in
            opened.withLock { $0.take() }?.close()
            server.ended(self, reason: reason, wasServing: wasServing)
        }
    }

    /// What comes after the end: nothing is answered any more.
    private func lateAnswers(_ answers: [NBDAnswer]) {
        for answer in answers where slots.value.indices.contains(answer.slot) {
            slots.value[answer.slot].buffer = nil
        }
    }

    /// Frees what the connection holds by itself. What is under way is not ours to free: it comes back with its answer,
    /// or stays with the core.
    private func freeMemory() {
        let parts = flow.value.parts + flow.value.backlogParts
        for slot in parts.map(\.slot) + flow.value.answers.map(\.slot) + [flow.value.incomingSlot] where slot >= 0 {
            slots.value[slot].buffer = nil
        }
        flow.value.carry = nil
        flow.value.backlog = nil
        flow.value.backlogParts = []
        flow.value.parts = []
        flow.value.answers = []
    }
}

extension Descriptor {
    /// Prepares an accepted socket and has it watched.
    fileprivate func begin(on reactor: Reactor, _ session: NBDSession) throws(SystemError) -> Registration {
        tune()
        return try reactor.watch(self, for: .read, session)
    }
}
