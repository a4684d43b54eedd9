// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// The part of a connection before the transmission: carries bytes and lookups between socket, machine and directory.
extension NBDSession {
    /// Most bytes that are read in one go before the transmission.
    private static let readSize = 4096

    func greet() { sendGreeting() }

    func handshakeIsReady(_ readiness: Readiness) {
        if readiness.contains(.write) { sendGreeting() }
        guard greeting.value.phase == .handshake else { return }
        if readiness.contains(.read), !greeting.value.isWaiting, greeting.value.closing == nil { return readOptions() }
        if readiness.contains(.broken) { finish("the client left during the handshake") }
    }

    private func readOptions() {
        let room = workspace.reactor.scratch.slice(0, Self.readSize)
        switch flow.value.socket?.read(into: room) {
        case .moved(let count):
            greeting.value.input += room.slice(0, count).array
            advance()
        case .wouldBlock: break
        case .ended: finish("the client left during the handshake")
        case .failed(let error): finish("\(error) during the handshake")
        case nil: break
        }
    }

    /// Feeds the machine until it wants more bytes or something from outside.
    private func advance() { act(on: greeting.value.machine.receive(&greeting.value.input)) }

    private func act(on step: NBDHandshakeStep) {
        switch step {
        case .more: sendGreeting()
        case .lookUp(let lookup):
            greeting.value.isWaiting = true
            // Nothing is read while a helper looks: what the client sends meanwhile stays in the kernel.
            if var registration = flow.value.registration {
                workspace.reactor.watch(&registration, for: [])
                flow.value.registration = registration
            }
            server.helpers.run { [self] in lookUp(lookup) }
        case .enter(let agreement):
            flow.value.agreement = agreement
            enterTransmission()
        case .close(let reason):
            greeting.value.closing = reason
            sendGreeting()
        }
    }

    /// Sends what the machine has put out; closes when that was the last.
    private func sendGreeting() {
        while !greeting.value.machine.output.isEmpty {
            switch flow.value.socket?.send(greeting.value.machine.output[...]) {
            case .moved(let count): greeting.value.machine.output.removeFirst(count)
            case .wouldBlock: return watch(for: .write)
            default: return finish("the client left during the handshake")
            }
        }
        if let closing = greeting.value.closing { return finish(closing) }
        if !greeting.value.isWaiting { watch(for: .read) }
    }

    private func watch(for interest: Readiness) {
        guard var registration = flow.value.registration else { return }
        workspace.reactor.watch(&registration, for: interest)
        flow.value.registration = registration
    }

    // MARK: Lookups

    /// On a helper thread: asks the directory, opens, and posts what came of it.
    private func lookUp(_ lookup: NBDLookup) {
        let answer: NBDLookupAnswer
        var name = ""
        switch lookup {
        case .list: answer = .names(server.directory.list(on: listener))
        case .describe(let asked):
            answer =
                server.directory.export(named: asked, on: listener).map { .facts($0.facts) }
                ?? .refused(.unknown(asked))
        case .open(let asked):
            if let export = server.directory.export(named: asked, on: listener) {
                name = export.device.name
                answer = open(export) ?? openMade(asked, &name)
            } else {
                answer = openMade(asked, &name)
            }
        }
        let device = name
        let program = peer.process.flatMap(programName)
        let isTaken = workspace.reactor.post { [self] in
            greeting.value.program = program
            lookedUp(answer, device)
        }
        // The reactor has ended: nobody will take the opener.
        if !isTaken { opened.withLock { $0 = nil } }
    }

    /// nil: it is on its way out with its last opener, and may be made anew.
    private func open(_ export: NBDExport) -> NBDLookupAnswer? {
        let isReadOnly = export.refusesWrites
        do throws(DiskError) {
            var opener: Opener? = try export.device.open(
                isReadOnly ? .read : .readWrite, as: identity(), depth: NBDFlow.openerDepth, sink: self, delegate: self)
            opened.withLock { swap(&$0, &opener) }
            // After the open: the size cannot have been that of a disk that was gone by then.
            return .facts(export.facts)
        } catch {
            let disk = export.device.disk
            let isGoing = disk.isAutoclear && disk.lifeState != .live && export.name == export.device.name
            return isGoing ? nil : refused(export.name, error)
        }
    }

    /// There is no such export, but somebody may make the disk for whoever opens it.
    private func openMade(_ asked: String, _ name: inout String) -> NBDLookupAnswer {
        guard let registry = server.directory.maker(of: asked, on: listener) else {
            return .refused(.unknown(asked))
        }
        do throws(DiskError) {
            var opener: Opener? = try registry.openOrCreateBlocking(
                .name(asked), .readWrite, as: identity(), depth: NBDFlow.openerDepth, sink: self, delegate: self,
                deadline: server.options.handshakeDeadline)
            guard let device = opener?.device, device.disk.options.isExported else { return .refused(.unknown(asked)) }
            name = device.name
            opened.withLock { swap(&$0, &opener) }
            return .facts(NBDDiskDirectory.export(of: device).facts)
        } catch {
            return error.errno == 6 ? .refused(.unknown(asked)) : refused(asked, error)
        }
    }

    private func refused(_ name: String, _ error: DiskError) -> NBDLookupAnswer {
        server.countRefused("\(name): \(error.reason)")
        // EBUSY may pass, so it is the policy of the moment; ENXIO and the like mean that there is no such export.
        let reply: NBDOptionReply = error.errno == 16 ? .policy : error.errno == 6 ? .unknown : .platform
        return .refused(NBDRefusal(reply: reply, reason: error.reason))
    }

    private func identity() -> OpenerIdentity {
        return OpenerIdentity(
            kind: "nbd", process: peer.process, user: peer.user, program: peer.process.flatMap(programName),
            address: peer.address ?? listener.address.description)
    }

    private func lookedUp(_ answer: NBDLookupAnswer, _ device: String) {
        greeting.value.isWaiting = false
        let opener = opened.withLock { $0.take() }
        // The client may have left meanwhile; then the opener is closed here, by being dropped.
        guard greeting.value.phase == .handshake else { return }
        if opener != nil {
            greeting.value.device = device
            flow.value.opener = consume opener
        }
        let step = greeting.value.machine.answer(answer)
        guard step == .more else { return act(on: step) }
        advance()
    }

    // MARK: Over to the transmission

    private func enterTransmission() {
        guard flow.value.opener != nil else { return finish("an export without a device") }
        if let deadline = greeting.value.deadline.take() { workspace.reactor.cancel(deadline) }
        greeting.value.phase = .transmission
        away.prepare(flow.value.registration, flow.value.opener?.device.disk)
        flow.value.isReadOnly = flow.value.opener?.mode.contains(.write) != true
        if flow.value.agreement.framing == .extended { flow.value.headSize = NBDWire.extendedRequestSize }
        switch flow.value.agreement.framing {
        case .simple: flow.value.replySize = 16
        case .structured: flow.value.replySize = 20
        case .extended: flow.value.replySize = 32
        }
        server.count { $0.served += 1 }
        flow.value.output = workspace.output
        guard queueOutput(greeting.value.machine.output) else { return finish("does not take its replies") }
        greeting.value.machine.output = []
        carryOver(greeting.value.input)
        greeting.value.input = []
        flush()
        settle()
        if greeting.value.phase == .transmission, !flow.value.isHungry { putOff() }
    }
}
