// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// What became of a request that was parsed.
enum NBDVerdict {
    /// It is submitted or answered, with this many bytes of its payload.
    case taken(Int)
    /// It is answered with an error, and its payload is of no use.
    case refused(NBDError)
    /// It stays where it is, for now or for good.
    case pause(NBDPause)
}

/// What requests are checked for, and how they are submitted.
extension NBDSession {
    /// - Parameter rest: the bytes behind the head, of this request's payload and perhaps of more requests.
    func handle(_ request: NBDRequest, _ payload: UInt64, _ rest: IOMemory) -> NBDVerdict {
        let isExtended = flow.value.agreement.framing == .extended
        // With a length that cannot be believed nobody can tell where the next request begins.
        if isExtended, payload > UInt64(NBDWire.payloadMax) { return .pause(.stop("a payload over 32 MiB")) }
        guard hasRoom(64) else { return .pause(.blocked) }
        guard let command = NBDCommand(rawValue: request.type),
            request.flags.isSubset(of: NBDRequest.flagsAllowed(command, extended: isExtended))
        else { return .refused(.invalid) }
        if command == .disconnect { return .pause(.stop("the client disconnected")) }
        if isExtended, command == .write, !request.flags.contains(.payloadLength) {
            // Whether data follows is anybody's guess, and data must not be taken for requests.
            appendReply(to: request, .invalid)
            return .pause(.stop("a write without the payload flag"))
        }
        let news = hasNews
        if !news.isEmpty, !news.contains(.died) { return .refused(.shutdown) }
        // One sector is the least; what the disk wants beyond that the core checks.
        guard (request.offset | request.length) & UInt64(sectorSize - 1) == 0 else { return .refused(.invalid) }
        if request.length == 0, command != .flush { return handleEmpty(request, command, news) }
        let range = SectorRange(
            start: request.offset / UInt64(sectorSize), count: request.length / UInt64(sectorSize))
        switch command {
        case .read: return read(request, range)
        case .write: return write(request, range, rest)
        case .flush:
            guard request.offset == 0, request.length == 0 else { return .refused(.invalid) }
            return submit(.flush, request, SectorRange(start: 0, count: 0))
        case .trim: return submit(.discard, request, range)
        case .writeZeroes: return submit(.writeZeroes, request, range)
        case .cache: return cache(request, range)
        case .blockStatus: return blockStatus(request, range)
        case .disconnect: return .pause(.stop("the client disconnected"))
        }
    }

    /// A request for nothing. The protocol leaves the answer open; nothing done is done well, where it would be allowed.
    private func handleEmpty(_ request: NBDRequest, _ command: NBDCommand, _ news: News) -> NBDVerdict {
        if news.contains(.died) { return .refused(.ioError) }
        if command == .blockStatus { return .refused(.invalid) }
        if flow.value.isReadOnly, command == .write || command == .trim || command == .writeZeroes {
            return .refused(.notPermitted)
        }
        return .refused(.ok)
    }

    // MARK: Read

    private func read(_ request: NBDRequest, _ range: SectorRange) -> NBDVerdict {
        guard request.length <= UInt64(NBDWire.payloadMax) else { return .refused(.invalid) }
        let length = Int(request.length)
        guard let token = flow.value.freeSlots.last else { return .pause(.blocked) }
        flow.value.bytesLeft -= length
        // A reply that would not fit into the workspace waits for nothing there: it gets a buffer.
        let fits = length + 64 <= flow.value.output.count
        guard fits, flow.value.opener?.isInline(.read, bytes: length) == true else {
            return readLater(request, range, length, token)
        }
        let mayHaveHoles = flow.value.agreement.framing != .simple && !request.flags.contains(.dontFragment)
        var extents: [DeviceExtent] = []
        // Asking costs an allocation: worth it where much copying may be saved. A smaller read is looked at afterwards.
        if mayHaveHoles, length >= NBDFlow.smallPayload, let opener = flow.value.opener?.extents(of: range),
            case .success(let found) = opener
        {
            extents = found
            if NBDExtents.coverAsZeroes(found, range.count) {
                appendHole(cookie: request.cookie, request: request.offset, at: request.offset, length, isLast: true)
                return .taken(0)
            }
        }
        let lead = dataLead
        guard hasRoom(lead + length) else { return .pause(.blocked) }
        let memory = flow.value.output.slice(flow.value.used + lead, length)
        switch submitInline(.read, range, [], .borrowed(memory), token) {
        case .ok?:
            if mayHaveHoles, memory.isZero {
                appendHole(cookie: request.cookie, request: request.offset, at: request.offset, length, isLast: true)
            } else if NBDExtents.isMixed(extents, range.count) {
                appendMixed(request, memory, extents)
            } else {
                appendDataInPlace(request, length)
            }
        case .again?: return readLater(request, range, length, token)
        case let status?: appendReply(to: request, NBDError(status, isWrite: false))
        case nil:
            // The driver keeps the bio; it has filled the memory, and will not touch it again.
            let kept = hold(length)
            guard let kept else { return .pause(.stop("no memory")) }
            kept.memory.slice(0, length).copy(from: memory)
            let slot = take(token, request, .read, length)
            slot.buffer = consume kept
        }
        return .taken(0)
    }

    private func readLater(_ request: NBDRequest, _ range: SectorRange, _ length: Int, _ token: Int) -> NBDVerdict {
        guard mayHold(length) else { return .pause(.blocked) }
        guard let buffer = hold(length) else { return .refused(.noMemory) }
        _ = take(token, request, .read, length)
        submitTaken(.read, range, [], .owned(consume buffer, count: length), token)
        return .taken(0)
    }

    // MARK: Write

    private func write(_ request: NBDRequest, _ range: SectorRange, _ rest: IOMemory) -> NBDVerdict {
        guard request.length <= UInt64(NBDWire.payloadMax) else { return .refused(.invalid) }
        if flow.value.isReadOnly { return .refused(.notPermitted) }
        let length = Int(request.length)
        guard let token = flow.value.freeSlots.last else { return .pause(.blocked) }
        let isHere = rest.count >= length
        if !isHere, length <= NBDFlow.smallPayload { return .pause(.hungry) }
        let flags: BioFlags = request.flags.contains(.fua) ? .fua : []
        if isHere, flow.value.opener?.isInline(.write, bytes: length) == true {
            switch submitInline(.write, range, flags, .borrowed(rest.slice(0, length)), token) {
            case .again?: break
            case let status?:
                flow.value.bytesLeft -= length
                appendReply(to: request, NBDError(status, isWrite: true))
                return .taken(length)
            case nil:
                flow.value.bytesLeft -= length
                _ = take(token, request, .command, 0)
                return .taken(length)
            }
        }
        guard mayHold(length) else { return .pause(.blocked) }
        guard let buffer = hold(length) else { return .refused(.noMemory) }
        flow.value.bytesLeft -= length
        let there = min(rest.count, length)
        buffer.memory.slice(0, there).copy(from: rest)
        let slot = take(token, request, .command, length)
        if isHere {
            submitTaken(.write, range, flags, .owned(consume buffer, count: length), token)
        } else {
            slot.buffer = consume buffer
            flow.value.incomingSlot = token
            flow.value.incomingFilled = there
        }
        return .taken(there)
    }

    /// A write whose payload was received straight into its buffer.
    func submitReceived() {
        let token = flow.value.incomingSlot
        flow.value.incomingSlot = -1
        let slot = slots.value[token]
        guard let buffer = slot.buffer.take() else { return }
        let range = SectorRange(
            start: slot.offset / UInt64(sectorSize), count: UInt64(slot.length / sectorSize))
        let flags: BioFlags = slot.flags.contains(.fua) ? .fua : []
        submitTaken(.write, range, flags, .owned(consume buffer, count: slot.length), token)
    }

    // MARK: The rest

    private func submit(_ operation: BioOperation, _ request: NBDRequest, _ range: SectorRange) -> NBDVerdict {
        if flow.value.isReadOnly, operation != .flush { return .refused(.notPermitted) }
        guard let token = flow.value.freeSlots.last else { return .pause(.blocked) }
        var flags: BioFlags = []
        if operation != .flush, request.flags.contains(.fua) { flags.insert(.fua) }
        if operation == .writeZeroes {
            if request.flags.contains(.noHole) { flags.insert(.noUnmap) }
            if request.flags.contains(.fastZero) { flags.insert(.fastZero) }
        }
        switch submitInline(operation, range, flags, .none, token) {
        case .again?:
            _ = take(token, request, .command, 0)
            submitTaken(operation, range, flags, .none, token)
        case let status?: appendReply(to: request, NBDError(status, isWrite: operation == .writeZeroes))
        case nil: _ = take(token, request, .command, 0)
        }
        return .taken(0)
    }

    /// A hint that these bytes will be read. What lies in memory is as near as it gets; a file is read ahead by its kernel.
    private func cache(_ request: NBDRequest, _ range: SectorRange) -> NBDVerdict {
        let size = flow.value.opener?.device.size ?? 0
        if size == 0 { return .refused(.ioError) }
        return .refused(range.fits(in: size) ? .ok : .invalid)
    }

    private func blockStatus(_ request: NBDRequest, _ range: SectorRange) -> NBDVerdict {
        guard flow.value.agreement.hasAllocationContext else { return .refused(.invalid) }
        guard let token = flow.value.freeSlots.last else { return .pause(.blocked) }
        let size = flow.value.opener?.device.size ?? 0
        if size == 0 { return .refused(.ioError) }
        guard range.fits(in: size) else { return .refused(.invalid) }
        let asked = SectorRange(start: range.start, count: min(range.count, NBDExtents.askMax))
        guard flow.value.opener?.isInline != true else {
            guard hasRoom(NBDExtents.replyMax) else { return .pause(.blocked) }
            answerBlockStatus(request, asked, flow.value.opener?.extents(of: asked))
            return .taken(0)
        }
        let slot = take(token, request, .blockStatus, 0)
        let source = flow.value.opener?.extentSource
        server.helpers.run { [self] in
            var status = BlockStatus.ok
            switch source?.extents(of: asked) {
            case .success(let extents): slot.extents = extents
            case .failure(let failure): status = failure
            case nil: status = .gone
            }
            tell(NBDAnswer(slot: token, status: status))
        }
        return .taken(0)
    }

    private func answerBlockStatus(
        _ request: NBDRequest, _ asked: SectorRange, _ found: Result<[DeviceExtent], BlockStatus>?
    ) {
        switch found {
        case .success(let extents):
            appendBlockStatus(cookie: request.cookie, offset: request.offset, request.flags, extents)
        case .failure(let status): appendReply(to: request, NBDError(status, isWrite: false))
        case nil: appendReply(to: request, .ioError)
        }
    }

    // MARK: Submitting

    /// Submits, and returns the answer if it came before the submission was over; nil: it comes to the inbox.
    private func submitInline(
        _ operation: BioOperation, _ range: SectorRange, _ flags: BioFlags, _ data: consuming BioData, _ token: Int
    ) -> BlockStatus? {
        answer.value.expected = UInt64(token)
        // A frozen disk must not keep memory that is only lent: it says "again", and gets a buffer.
        flow.value.opener?.submit(operation, range, flags: flags.union(.noWait), data: data, token: UInt64(token))
        if answer.value.expected == .max { return answer.value.status }
        answer.value.expected = .max
        return nil
    }

    /// Submits for a slot that is taken. An answer that comes at once waits for the end of the batch, not for the inbox.
    private func submitTaken(
        _ operation: BioOperation, _ range: SectorRange, _ flags: BioFlags, _ data: consuming BioData, _ token: Int
    ) {
        answer.value.expected = UInt64(token)
        flow.value.opener?.submit(operation, range, flags: flags, data: data, token: UInt64(token))
        if answer.value.expected == .max {
            flow.value.answers.append(NBDAnswer(slot: token, status: answer.value.status))
        }
        answer.value.expected = .max
    }

    /// Takes the slot on top of the free ones for a request that is answered later.
    private func take(_ token: Int, _ request: NBDRequest, _ kind: NBDSlot.Kind, _ held: Int) -> NBDSlot {
        // Connections whose every request is answered inline never need them.
        if slots.value.isEmpty { slots.value = (0..<NBDFlow.depth).map { _ in NBDSlot() } }
        let slot = slots.value[token]
        flow.value.freeSlots.removeLast()
        slot.kind = kind
        slot.isWrite = request.type == NBDCommand.write.rawValue || request.type == NBDCommand.writeZeroes.rawValue
        slot.flags = request.flags
        slot.cookie = request.cookie
        slot.offset = request.offset
        slot.length = held
        slot.held = held
        flow.value.held += held
        return slot
    }

    private func mayHold(_ count: Int) -> Bool {
        flow.value.held == 0 || flow.value.held + count <= NBDFlow.heldMax
    }

    private func hold(_ count: Int) -> IOBuffer? { try? IOBuffer(count: count) }
}
