// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// How replies go out: everything of a turn with one call, and nothing behind what the socket did not take.
extension NBDSession {
    /// Whether `count` bytes can be put together now; sends what there is if that makes the room.
    func hasRoom(_ count: Int, flushing: Bool = true) -> Bool {
        if flow.value.hasBacklog { return false }
        if flow.value.used + count <= flow.value.output.count { return true }
        guard flushing else { return false }
        flush()
        return !flow.value.hasBacklog && count <= flow.value.output.count
    }

    /// Ends the run of bytes in the workspace: the next part comes from elsewhere.
    func closeSegment() {
        let segment = flow.value.segment
        let used = flow.value.used
        guard used > segment else { return }
        flow.value.parts.append(NBDPart(memory: flow.value.output.slice(segment, used - segment), slot: -1))
        flow.value.segment = used
    }

    /// Puts memory behind what is there, without copying it.
    func appendPart(_ memory: IOMemory, slot: Int) {
        closeSegment()
        flow.value.parts.append(NBDPart(memory: memory, slot: slot))
    }

    /// Bytes to go out before anything else, such as the end of the handshake.
    /// - Returns: false if that is more than a client who takes its replies can have outstanding.
    func queueOutput(_ bytes: [UInt8]) -> Bool {
        guard bytes.count <= flow.value.output.count else { return false }
        flow.value.output.store(bytes[...], at: 0)
        flow.value.used = bytes.count
        return true
    }

    /// Sends what was put together. What the socket does not take becomes the backlog; until that is gone nothing more
    /// is put together and nothing is read.
    func flush() {
        defer {
            flow.value.used = 0
            flow.value.segment = 0
        }
        if flow.value.parts.isEmpty {
            guard flow.value.used > 0 else { return }
            let memory = flow.value.output.slice(0, flow.value.used)
            switch flow.value.socket?.send(memory) {
            case .moved(let count) where count == memory.count: return
            case .moved(let count): keep([NBDPart(memory: memory.slice(count, memory.count - count), slot: -1)])
            case .wouldBlock: keep([NBDPart(memory: memory, slot: -1)])
            default: broken()
            }
            return
        }
        closeSegment()
        let parts = flow.value.parts
        flow.value.parts.removeAll(keepingCapacity: true)
        if let rest = send(parts[...]), !rest.isEmpty { keep(rest) }
    }

    /// Sends parts and lets go of those that are through; returns the rest, nil if the connection is broken.
    private func send(_ parts: ArraySlice<NBDPart>) -> [NBDPart]? {
        var rest = parts
        while !rest.isEmpty {
            var moved: Int
            switch flow.value.socket?.send(rest.prefix(64).map(\.memory)) {
            case .moved(let count): moved = count
            case .wouldBlock: return Array(rest)
            default:
                for part in rest where part.slot >= 0 { release(part.slot) }
                broken()
                return nil
            }
            while let first = rest.first, moved >= first.memory.count {
                moved -= first.memory.count
                rest.removeFirst()
                if first.slot >= 0 { release(first.slot) }
            }
            if moved > 0, let first = rest.first {
                let left = NBDPart(memory: first.memory.slice(moved, first.memory.count - moved), slot: first.slot)
                rest[rest.startIndex] = left
            }
        }
        return []
    }

    /// Copies what lies in the workspace, which the next connection needs; what lies in slots stays there.
    private func keep(_ parts: [NBDPart]) {
        let count = parts.reduce(0) { $0 + ($1.slot < 0 ? $1.memory.count : 0) }
        var kept: [NBDPart] = []
        if count > 0 {
            guard let buffer = try? IOBuffer(count: count) else { return broken() }
            var position = 0
            for part in parts {
                guard part.slot < 0 else {
                    kept.append(part)
                    continue
                }
                let memory = buffer.memory.slice(position, part.memory.count)
                memory.copy(from: part.memory)
                kept.append(NBDPart(memory: memory, slot: -1))
                position += part.memory.count
            }
            flow.value.backlog = consume buffer
        } else {
            kept = parts
        }
        flow.value.backlogParts = kept
    }

    /// The socket takes more again.
    func sendBacklog() {
        guard flow.value.hasBacklog else { return }
        let parts = flow.value.backlogParts
        guard let rest = send(parts[...]) else { return }
        flow.value.backlogParts = rest
        guard rest.isEmpty else { return }
        flow.value.backlog = nil
        replyToAnswers()
        flush()
    }

    /// Nothing more gets out. The connection ends when the caller settles.
    private func broken() {
        flow.value.backlogParts = []
        flow.value.backlog = nil
        flow.value.parts.removeAll()
        flow.value.isBroken = true
    }

    /// Gives a slot back, with its memory.
    func release(_ index: Int) {
        let slot = slots.value[index]
        slot.buffer = nil
        slot.extents = []
        flow.value.held -= slot.held
        slot.held = 0
        flow.value.freeSlots.append(index)
    }
}
