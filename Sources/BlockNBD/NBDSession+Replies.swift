// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// How replies are put together in the workspace. Room has been made before: see ``hasRoom(_:)``.
extension NBDSession {
    /// Bytes before the data of a read.
    var dataLead: Int { flow.value.agreement.framing == .simple ? 16 : flow.value.replySize + 8 }

    // MARK: Heads

    private func putSimple(cookie: UInt64, _ error: NBDError) {
        let out = flow.value.output
        let at = flow.value.used
        out.storeBigEndian(NBDWire.simpleReplyMagic, at: at)
        out.storeBigEndian(error.rawValue, at: at + 4)
        out.storeBigEndian(cookie, at: at + 8)
        flow.value.used = at + 16
    }

    /// - Parameter request: the offset of the request, which extended heads repeat.
    private func putChunk(_ type: NBDChunk, cookie: UInt64, request: UInt64, length: Int, isLast: Bool) {
        let out = flow.value.output
        let at = flow.value.used
        let isExtended = flow.value.agreement.framing == .extended
        out.storeBigEndian(isExtended ? NBDWire.extendedReplyMagic : NBDWire.structuredReplyMagic, at: at)
        out.storeBigEndian(isLast ? NBDWire.replyIsDone : 0, at: at + 4)
        out.storeBigEndian(type.rawValue, at: at + 6)
        out.storeBigEndian(cookie, at: at + 8)
        if isExtended {
            out.storeBigEndian(request, at: at + 16)
            out.storeBigEndian(UInt64(length), at: at + 24)
        } else {
            out.storeBigEndian(UInt32(length), at: at + 16)
        }
        flow.value.used = at + flow.value.replySize
    }

    private func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        flow.value.output.storeBigEndian(value, at: flow.value.used)
        flow.value.used += MemoryLayout<T>.size
    }

    // MARK: Whole replies

    /// A reply without data: to anything that failed, and to what needs none.
    func appendReply(to request: NBDRequest, _ error: NBDError) {
        let isRead = request.type == NBDCommand.read.rawValue || request.type == NBDCommand.blockStatus.rawValue
        appendReply(cookie: request.cookie, offset: request.offset, isRead: isRead, error)
    }

    /// - Parameter isRead: whether the protocol wants a chunk even where replies are only structured.
    func appendReply(cookie: UInt64, offset: UInt64, isRead: Bool, _ error: NBDError) {
        switch flow.value.agreement.framing {
        case .simple: return putSimple(cookie: cookie, error)
        case .structured: if !isRead { return putSimple(cookie: cookie, error) }
        case .extended: break
        }
        if error == .ok {
            putChunk(.none, cookie: cookie, request: offset, length: 0, isLast: true)
        } else {
            putChunk(.error, cookie: cookie, request: offset, length: 6, isLast: true)
            put(error.rawValue)
            put(UInt16(0))
        }
    }

    /// The head of a read whose data already lies ``dataLead`` bytes behind what is used.
    func appendDataInPlace(_ request: NBDRequest, _ length: Int) {
        putDataHead(cookie: request.cookie, request: request.offset, at: request.offset, length, isLast: true)
        flow.value.used += length
    }

    private func putDataHead(cookie: UInt64, request: UInt64, at offset: UInt64, _ length: Int, isLast: Bool) {
        if flow.value.agreement.framing == .simple {
            putSimple(cookie: cookie, .ok)
        } else {
            putChunk(.offsetData, cookie: cookie, request: request, length: length + 8, isLast: isLast)
            put(offset)
        }
    }

    func appendHole(cookie: UInt64, request: UInt64, at offset: UInt64, _ length: Int, isLast: Bool) {
        putChunk(.offsetHole, cookie: cookie, request: request, length: 12, isLast: isLast)
        put(offset)
        put(UInt32(length))
    }

    /// A read that holds data and holes: the data stays where it is in the workspace, the heads go in between as parts.
    func appendMixed(_ request: NBDRequest, _ memory: IOMemory, _ extents: [DeviceExtent]) {
        let joined = NBDExtents.joined(extents, limit: .max)
        // Many small pieces cost more than they save.
        let heads = joined.count * (flow.value.replySize + 20)
        guard joined.count <= 16, hasRoomBehind(memory, heads) else { return appendDataInPlace(request, memory.count) }
        // What is used so far ends before the data, and the heads begin behind it.
        closeSegment()
        let end = flow.value.used + dataLead + memory.count
        flow.value.used = end
        flow.value.segment = end
        var position = 0
        for (index, extent) in joined.enumerated() {
            let length = min(Int(extent.count) * sectorSize, memory.count - position)
            let at = request.offset + UInt64(position)
            let isLast = index == joined.count - 1
            if extent.kind == .data {
                putDataHead(cookie: request.cookie, request: request.offset, at: at, length, isLast: isLast)
                appendPart(memory.slice(position, length), slot: -1)
            } else {
                appendHole(cookie: request.cookie, request: request.offset, at: at, length, isLast: isLast)
            }
            position += length
        }
    }

    private func hasRoomBehind(_ memory: IOMemory, _ heads: Int) -> Bool {
        flow.value.used + dataLead + memory.count + heads <= flow.value.output.count
    }

    func appendBlockStatus(cookie: UInt64, offset: UInt64, _ flags: NBDCommandFlags, _ found: [DeviceExtent]) {
        let extents = NBDExtents.joined(found, limit: flags.contains(.requestOne) ? 1 : NBDWire.extentsMax)
        let isExtended = flow.value.agreement.framing == .extended
        let length = isExtended ? 8 + extents.count * 16 : 4 + extents.count * 8
        putChunk(
            isExtended ? .blockStatusExtended : .blockStatus, cookie: cookie, request: offset, length: length,
            isLast: true)
        put(NBDWire.allocationContextID)
        if isExtended { put(UInt32(extents.count)) }
        for extent in extents {
            let bytes = extent.count * UInt64(sectorSize)
            if isExtended {
                put(bytes)
                put(UInt64(NBDExtents.flags(extent.kind)))
            } else {
                // Fits: a question is never about more than 1 GiB.
                put(UInt32(clamping: bytes))
                put(NBDExtents.flags(extent.kind))
            }
        }
    }

    // MARK: Answers from other threads

    /// Answers that came over the inbox: replies for them, and then what waited for them.
    func take(_ answers: [NBDAnswer]) {
        flow.value.answers += answers
        replyToAnswers()
        flush()
        let wasPutOff = flow.value.isPutOff
        flow.value.isPutOff = false
        if wasPutOff || flow.value.isBlocked { resume() } else { settle() }
    }

    /// As long as replies go out; the rest stays, with its memory, and is counted as under way.
    func replyToAnswers() {
        var taken = 0
        while taken < flow.value.answers.count, !flow.value.hasBacklog {
            let answer = flow.value.answers[taken]
            guard hasRoom(NBDExtents.replyMax) else { break }
            taken += 1
            reply(to: answer)
            if flow.value.used >= NBDWorkspace.flushSize || flow.value.parts.count >= 48 { flush() }
        }
        if taken == flow.value.answers.count {
            flow.value.answers.removeAll(keepingCapacity: true)
        } else {
            flow.value.answers.removeFirst(taken)
        }
    }

    private func reply(to answer: NBDAnswer) {
        let slot = slots.value[answer.slot]
        guard answer.status == .ok else {
            appendReply(
                cookie: slot.cookie, offset: slot.offset, isRead: slot.kind != .command,
                NBDError(answer.status, isWrite: slot.isWrite))
            return release(answer.slot)
        }
        switch slot.kind {
        case .command:
            appendReply(cookie: slot.cookie, offset: slot.offset, isRead: false, .ok)
            release(answer.slot)
        case .blockStatus:
            appendBlockStatus(cookie: slot.cookie, offset: slot.offset, slot.flags, slot.extents)
            release(answer.slot)
        case .read: replyToRead(slot, answer.slot)
        }
    }

    private func replyToRead(_ slot: NBDSlot, _ index: Int) {
        guard let memory = slot.buffer?.memory.slice(0, slot.length) else {
            appendReply(cookie: slot.cookie, offset: slot.offset, isRead: true, .ioError)
            return release(index)
        }
        let mayHaveHoles = flow.value.agreement.framing != .simple && !slot.flags.contains(.dontFragment)
        if mayHaveHoles, memory.isZero {
            appendHole(cookie: slot.cookie, request: slot.offset, at: slot.offset, slot.length, isLast: true)
            return release(index)
        }
        putDataHead(cookie: slot.cookie, request: slot.offset, at: slot.offset, slot.length, isLast: true)
        if slot.length <= 8192, hasRoom(slot.length, flushing: false) {
            // Cheaper to copy than to send as a piece of its own.
            flow.value.output.slice(flow.value.used, slot.length).copy(from: memory)
            flow.value.used += slot.length
            release(index)
        } else {
            appendPart(memory, slot: index)
        }
    }
}
