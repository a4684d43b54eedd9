// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// How requests come in: one read takes what is there, everything in it is submitted as one batch.
extension NBDSession {
    func transmissionIsReady(_ readiness: Readiness) {
        if readiness.contains(.write) {
            sendBacklog()
            guard greeting.value.phase == .transmission else { return }
        }
        let reads = readiness.contains(.read)
        if readiness.contains(.broken) && (!reads || flow.value.isBlocked || flow.value.farewell != nil) {
            // Nobody is there to read what is still to be answered.
            return finish("the client left")
        }
        if flow.value.isBlocked || flow.value.hasBacklog || flow.value.farewell != nil {
            // Not before it happens: a connection that is blocked for a moment only would pay for two calls each time.
            if reads { stopReading() }
            if readiness.contains(.write) { resume() } else { settle() }
            return
        }
        // What is left of an earlier read comes first, when its turn has come.
        if reads, flow.value.isHungry { return turn(reading: true) }
        // The backlog may be gone, and while it was there reading was perhaps switched off.
        settle()
    }

    /// Goes on after a pause: with what was read before, else with the next event.
    func resume() {
        // Its turn may have come while replies do not go out: then it waits for that.
        flow.value.isBlocked = flow.value.hasBacklog
        if flow.value.hasBacklog || flow.value.farewell != nil { return settle() }
        if flow.value.isHungry { return settle() }
        turn(reading: false)
    }

    /// One turn: a read, or what an earlier one left; then all answers together.
    private func turn(reading: Bool) {
        var pause: NBDPause
        if reading {
            pause = readAndParse()
        } else {
            pause = parseCarried()
        }
        if !flow.value.answers.isEmpty { replyToAnswers() }
        flush()
        if flow.value.hasBacklog, case .hadItsShare = pause { pause = .blocked }
        switch pause {
        case .hungry: flow.value.isHungry = true
        case .hadItsShare:
            flow.value.isHungry = false
            putOff()
        case .blocked:
            flow.value.isHungry = false
            flow.value.isBlocked = true
        case .stop(let reason):
            if flow.value.farewell == nil { flow.value.farewell = reason }
        }
        settle()
    }

    /// Has the connection's next turn come after everybody else's.
    func putOff() {
        guard !flow.value.isPutOff else { return }
        flow.value.isPutOff = true
        // One that strayed finds it when it comes back.
        if !isStray { workspace.reactor.again(self) }
    }

    // MARK: Reading

    private func readAndParse() -> NBDPause {
        let scratch = workspace.reactor.scratch
        let carried = moveCarried(to: scratch)
        let transfer: Transfer?
        var missing = 0
        if flow.value.incomingSlot >= 0 {
            let filled = flow.value.incomingFilled
            let slot = slots.value[flow.value.incomingSlot]
            missing = slot.length - filled
            let rest = slot.buffer?.memory.slice(filled, missing) ?? .none
            transfer = flow.value.socket?.read(into: rest, then: scratch)
        } else {
            transfer = flow.value.socket?.read(into: scratch.slice(carried, scratch.count - carried))
        }
        var count = carried
        switch transfer {
        case .moved(let moved): count += moved
        case .wouldBlock: break
        case .ended: return .stop("the client left")
        case .failed(let error): return .stop("\(error)")
        case nil: return .stop("the client left")
        }
        if missing > 0 {
            let received = min(count, missing)
            flow.value.incomingFilled += received
            count -= received
            if received < missing { return .hungry }
        }
        return batch(scratch, from: 0, to: count) { end in carry(scratch, from: end, to: count) }
    }

    private func parseCarried() -> NBDPause {
        guard let memory = flow.value.carry?.memory else { return .hungry }
        let start = flow.value.carryStart
        let end = start + flow.value.carryCount
        return batch(memory, from: start, to: end) { position in
            flow.value.carryStart = position
            flow.value.carryCount = end - position
        }
    }

    /// Parses and submits what lies between `start` and `end`; `leave` is told where it stopped.
    private func batch(_ input: IOMemory, from start: Int, to end: Int, leave: (Int) -> Void) -> NBDPause {
        flow.value.requestsLeft = NBDFlow.requestsPerTurn
        flow.value.bytesLeft = NBDFlow.bytesPerTurn
        var position = start
        // From here to the end of the batch the driver may be called, and nothing else uses the reactor.
        let stay = workspace.reactor.beginForeign(self, flow.value.registration)
        flow.value.opener?.beginBatch()
        if flow.value.incomingSlot >= 0, flow.value.incomingFilled == slots.value[flow.value.incomingSlot].length {
            submitReceived()
        }
        let pause = parse(input, &position, end)
        flow.value.opener?.endBatch()
        // Whether this thread is still the reactor's is asked where it matters: `isStray`.
        _ = workspace.reactor.endForeign(stay)
        leave(position)
        return pause
    }

    private func parse(_ input: IOMemory, _ position: inout Int, _ end: Int) -> NBDPause {
        let headSize = flow.value.headSize
        let isExtended = headSize == NBDWire.extendedRequestSize
        while true {
            if flow.value.skip > 0 {
                let count = min(flow.value.skip, UInt64(end - position))
                flow.value.skip -= count
                position += Int(count)
            }
            guard end - position >= headSize else { return .hungry }
            if flow.value.requestsLeft == 0 || flow.value.bytesLeft <= 0 { return .hadItsShare }
            guard let request = NBDRequest(input, at: position, extended: isExtended) else {
                return .stop("bad magic of a request")
            }
            let payload = request.payload(extended: isExtended)
            let there = end - position - headSize
            let verdict = handle(request, payload, input.slice(position + headSize, there))
            switch verdict {
            case .taken(let payloadTaken):
                position += headSize + payloadTaken
                flow.value.requestsLeft -= 1
                flow.value.requests &+= 1
                let isShare = flow.value.requestsLeft % NBDFlow.repliesPerSend == 0 && end - position >= headSize
                if isShare || flow.value.used >= NBDWorkspace.flushSize {
                    flush()
                    if flow.value.hasBacklog { return .blocked }
                }
            case .refused(let error):
                // The answer first; the payload is thrown away as it comes.
                position += headSize
                flow.value.skip = payload
                flow.value.requestsLeft -= 1
                flow.value.requests &+= 1
                appendReply(to: request, error)
            case .pause(let pause): return pause
            }
        }
    }

    // MARK: What is carried over

    private func moveCarried(to scratch: IOMemory) -> Int {
        let count = flow.value.carryCount
        guard count > 0, let memory = flow.value.carry?.memory else { return 0 }
        scratch.slice(0, count).copy(from: memory.slice(flow.value.carryStart, count))
        flow.value.carryCount = 0
        // A buffer of the usual size is kept: the end of a read falls into a request nearly every time.
        if memory.count > NBDFlow.smallPayload * 2 { flow.value.carry = nil }
        return count
    }

    private func carry(_ memory: IOMemory, from start: Int, to end: Int) {
        let count = end - start
        flow.value.carryStart = 0
        flow.value.carryCount = count
        guard count > 0 else { return }
        if (flow.value.carry?.memory.count ?? 0) < count {
            do throws(SystemError) {
                flow.value.carry = try IOBuffer(count: max(count, 4096))
            } catch {
                flow.value.carryCount = 0
                flow.value.farewell = "no memory"
                return
            }
        }
        flow.value.carry?.memory.slice(0, count).copy(from: memory.slice(start, count))
    }

    /// Bytes that came behind the last option.
    func carryOver(_ bytes: ArraySlice<UInt8>) {
        guard !bytes.isEmpty else { return }
        let scratch = workspace.reactor.scratch
        scratch.store(bytes, at: 0)
        carry(scratch, from: 0, to: bytes.count)
        flow.value.isHungry = false
    }

    // MARK: Between turns

    /// After every event: what to watch for, and whether it is over.
    func settle() {
        guard greeting.value.phase == .transmission else { return }
        // Nobody to tell: what is under way is not waited for.
        if flow.value.isBroken { return finish("the client left") }
        if let farewell = flow.value.farewell {
            let isDone =
                !flow.value.hasBacklog && flow.value.answers.isEmpty && flow.value.underWay == incomingCount
            if isDone { return finish(farewell) }
        }
        guard var registration = flow.value.registration else { return }
        var interest = registration.interest
        if flow.value.hasBacklog { interest.insert(.write) } else { interest.remove(.write) }
        if flow.value.farewell != nil {
            interest.remove(.read)
        } else if !flow.value.isBlocked && !flow.value.hasBacklog {
            interest.insert(.read)
        }
        guard interest != registration.interest else { return }
        workspace.reactor.watch(&registration, for: interest)
        flow.value.registration = registration
    }

    /// A write whose payload is still coming holds a slot, but nobody will answer it.
    private var incomingCount: Int { flow.value.incomingSlot >= 0 ? 1 : 0 }

    private func stopReading() {
        guard var registration = flow.value.registration else { return }
        workspace.reactor.watch(&registration, for: registration.interest.subtracting(.read))
        flow.value.registration = registration
    }
}
