// SPDX-License-Identifier: Apache-2.0

/// How requests and replies are framed after the handshake.
package enum NBDFraming: Sendable, Equatable {
    case simple
    case structured
    case extended
}

/// What the handshake has settled.
package struct NBDAgreement: Sendable, Equatable {
    /// How requests and replies are framed.
    package var framing = NBDFraming.simple
    /// The client may ask where data lies.
    package var hasAllocationContext = false

    package init(framing: NBDFraming = .simple, hasAllocationContext: Bool = false) {
        self.framing = framing
        self.hasAllocationContext = hasAllocationContext
    }
}

/// What the handshake needs to know from outside, before it can go on.
package enum NBDLookup: Sendable, Equatable {
    /// The names of all exports.
    case list
    /// The facts of an export.
    case describe(String)
    /// The facts of an export, opened.
    case open(String)
}

/// The answer to a lookup.
package enum NBDLookupAnswer: Sendable, Equatable {
    case names([String])
    case facts(NBDExportFacts)
    case refused(NBDRefusal)
}

/// Why an export is not to be had.
package struct NBDRefusal: Error, Sendable, Equatable {
    package var reply: NBDOptionReply
    package var reason: String

    package init(reply: NBDOptionReply, reason: String) {
        self.reply = reply
        self.reason = reason
    }

    package static func unknown(_ name: String) -> NBDRefusal {
        NBDRefusal(reply: .unknown, reason: "no export named '\(name)'")
    }
}

/// What is to be done after bytes were taken in.
package enum NBDHandshakeStep: Sendable, Equatable {
    /// Send what there is, and wait for more.
    case more
    /// Look something up and come back with ``NBDHandshake/answer(_:)``; nothing is taken in meanwhile.
    case lookUp(NBDLookup)
    /// Send what there is; the transmission begins.
    case enter(NBDAgreement)
    /// Send what there is, and close.
    case close(String)
}

/// The fixed newstyle handshake, server side: bytes in, bytes and steps out. It does no I/O and keeps no time.
///
///     greeting ──▶ client flags ──▶ option header ◀──▶ option data ──▶ (lookup) ──▶ transmission
///                                        ▲                 too long: skipped, answered "too big"
///                                        └── every option but GO and EXPORT_NAME comes back here
package struct NBDHandshake {
    private enum State {
        case clientFlags
        case optionHeader
        case optionData(code: UInt32, length: Int)
        case skipping(code: UInt32, remaining: Int)
        case waiting(Pending)
        case over
    }

    /// The option that waits for a lookup.
    package enum Pending {
        case list
        case exportName(String)
        case infoOrGo(NBDOption, NBDExportRequest)
        case metaContext(NBDOption, NBDMetaContextRequest)
    }

    private var state = State.clientFlags
    private var input: [UInt8] = []
    private var clientFlags: NBDClientFlags = []
    package private(set) var agreement = NBDAgreement()
    /// The export that the selected metadata context belongs to.
    private var contextName: String?

    /// What is to be sent; the caller takes it.
    package var output: [UInt8] = []

    /// A handshake that begins with the greeting in ``output``.
    package init() {
        output.append(bigEndian: NBDWire.greetingMagic)
        output.append(bigEndian: NBDWire.optionMagic)
        output.append(bigEndian: NBDHandshakeFlags([.fixedNewstyle, .noZeroes]).rawValue)
    }

    /// Bytes that the present state still lacks; at least 1 unless the machine waits or is over.
    package var wanted: Int {
        switch state {
        case .clientFlags: 4 - input.count
        case .optionHeader: NBDWire.optionHeaderSize - input.count
        case .optionData(_, let length): length - input.count
        case .skipping(_, let remaining): remaining
        case .waiting, .over: 0
        }
    }

    /// Takes in bytes from `bytes` on, counts down what it took, and says what to do next. Bytes behind the end of
    /// the handshake are left alone.
    package mutating func receive(_ bytes: inout ArraySlice<UInt8>) -> NBDHandshakeStep {
        while true {
            if case .skipping(let code, let remaining) = state {
                let count = min(remaining, bytes.count)
                bytes.removeFirst(count)
                state = .skipping(code: code, remaining: remaining - count)
                if count < remaining { return .more }
                reply(code, .tooBig, text: "option data is longer than \(NBDWire.optionLengthMax) bytes")
                state = .optionHeader
            }
            let count = min(wanted, bytes.count)
            input += bytes.prefix(count)
            bytes.removeFirst(count)
            switch state {
            case .waiting, .over: return .more
            default: if wanted > 0 { return .more }
            }
            let step = advance()
            if step != .more { return step }
        }
    }

    /// The answer to the lookup that the last step asked for.
    package mutating func answer(_ answer: NBDLookupAnswer) -> NBDHandshakeStep {
        guard case .waiting(let pending) = state else { return close("an answer that nobody asked for") }
        state = .optionHeader
        switch pending {
        case .list: return finishList(answer)
        case .exportName(let name): return finishExportName(name, answer)
        case .infoOrGo(let option, let request): return finishInfoOrGo(option, request, answer)
        case .metaContext(let option, let request): return finishMetaContext(option, request, answer)
        }
    }

    // MARK: One unit is complete

    private mutating func advance() -> NBDHandshakeStep {
        let unit = input
        input.removeAll(keepingCapacity: true)
        var reader = NBDReader(unit)
        switch state {
        case .clientFlags:
            clientFlags = NBDClientFlags(rawValue: reader.next(UInt32.self) ?? 0)
            guard clientFlags.isSubset(of: .known) else { return close("unknown client flags") }
            state = .optionHeader
            return .more
        case .optionHeader:
            guard reader.next(UInt64.self) == NBDWire.optionMagic else { return close("bad magic of an option") }
            return begin(code: reader.next(UInt32.self) ?? 0, length: reader.next(UInt32.self) ?? 0)
        case .optionData(let code, _):
            state = .optionHeader
            return run(code, unit)
        case .skipping, .waiting, .over:
            return .more
        }
    }

    private mutating func begin(code: UInt32, length: UInt32) -> NBDHandshakeStep {
        let isExportName = code == NBDOption.exportName.rawValue
        // Before "fixed" newstyle the only option was EXPORT_NAME, and the only answer to another was to hang up.
        if !clientFlags.contains(.fixedNewstyle) && !isExportName { return close("an option of fixed newstyle") }
        if isExportName && length > NBDWire.stringMax { return close("an export name that is too long") }
        if Int(length) > NBDWire.optionLengthMax {
            state = .skipping(code: code, remaining: Int(length))
            return .more
        }
        if length == 0 { return run(code, []) }
        state = .optionData(code: code, length: Int(length))
        return .more
    }

    private mutating func run(_ code: UInt32, _ data: [UInt8]) -> NBDHandshakeStep {
        state = .optionHeader
        guard let option = NBDOption(rawValue: code) else {
            reply(code, .unsupported, text: "unknown option \(code)")
            return .more
        }
        switch option {
        case .exportName:
            if agreement.framing == .extended { return close("EXPORT_NAME after extended headers") }
            var reader = NBDReader(data)
            guard let name = reader.nextString(UInt32(data.count)) else { return close("a malformed export name") }
            return wait(.exportName(name), for: .open(name))
        case .abort:
            reply(code, .ack)
            return close("the client aborted the handshake")
        case .list:
            return data.isEmpty ? wait(.list, for: .list) : refuse(option, "LIST takes no data")
        case .startTLS:
            reply(code, .unsupported, text: "TLS is not spoken here; use a unix socket, ssh or a TLS proxy")
            return .more
        case .info, .go:
            guard let request = NBDExportRequest(data) else { return refuse(option, "malformed data") }
            return wait(.infoOrGo(option, request), for: option == .go ? .open(request.name) : .describe(request.name))
        case .structuredReply:
            guard data.isEmpty else { return refuse(option, "STRUCTURED_REPLY takes no data") }
            if agreement.framing == .extended {
                reply(code, .extendedHeadersRequired, text: "extended headers are agreed on")
            } else {
                agreement.framing = .structured
                reply(code, .ack)
            }
            return .more
        case .extendedHeaders:
            guard data.isEmpty else { return refuse(option, "EXTENDED_HEADERS takes no data") }
            agreement.framing = .extended
            reply(code, .ack)
            return .more
        case .listMetaContext, .setMetaContext:
            return metaContext(option, data)
        }
    }

    private mutating func metaContext(_ option: NBDOption, _ data: [UInt8]) -> NBDHandshakeStep {
        // Every SET replaces the one before it, also one that fails.
        if option == .setMetaContext { contextName = nil }
        if agreement.framing == .simple { return refuse(option, "structured replies or extended headers come first") }
        guard let request = NBDMetaContextRequest(data) else { return refuse(option, "malformed data") }
        return wait(.metaContext(option, request), for: .describe(request.name))
    }

    // MARK: After a lookup

    private mutating func finishList(_ answer: NBDLookupAnswer) -> NBDHandshakeStep {
        let code = NBDOption.list.rawValue
        switch answer {
        case .names(let names):
            for name in names {
                let text = [UInt8](name.utf8)
                var data: [UInt8] = []
                data.append(bigEndian: UInt32(text.count))
                reply(code, .server, data + text)
            }
            reply(code, .ack)
        case .refused(let refusal): reply(code, refusal.reply, text: refusal.reason)
        case .facts: reply(code, .platform)
        }
        return .more
    }

    private mutating func finishExportName(_ name: String, _ answer: NBDLookupAnswer) -> NBDHandshakeStep {
        switch answer {
        case .facts(let facts):
            output.append(bigEndian: facts.size)
            output.append(bigEndian: facts.flags(framing: agreement.framing).rawValue)
            if !clientFlags.contains(.noZeroes) { output += [UInt8](repeating: 0, count: 124) }
            return enter(name)
        case .refused(let refusal): return close(refusal.reason)  // this option has no way to say why
        case .names: return close("a lookup gone wrong")
        }
    }

    private mutating func finishInfoOrGo(
        _ option: NBDOption, _ request: NBDExportRequest, _ answer: NBDLookupAnswer
    ) -> NBDHandshakeStep {
        switch answer {
        case .facts(let facts):
            for info in request.replies(facts, framing: agreement.framing) { reply(option.rawValue, .info, info) }
            reply(option.rawValue, .ack)
            return option == .go ? enter(request.name) : .more
        case .refused(let refusal): reply(option.rawValue, refusal.reply, text: refusal.reason)
        case .names: reply(option.rawValue, .platform)
        }
        return .more
    }

    private mutating func finishMetaContext(
        _ option: NBDOption, _ request: NBDMetaContextRequest, _ answer: NBDLookupAnswer
    ) -> NBDHandshakeStep {
        switch answer {
        case .facts:
            if request.selectsAllocation(listing: option == .listMetaContext) {
                if option == .setMetaContext { contextName = request.name }
                var data: [UInt8] = []
                data.append(bigEndian: option == .setMetaContext ? NBDWire.allocationContextID : 0)
                reply(option.rawValue, .metaContext, data + [UInt8](NBDWire.allocationContext.utf8))
            }
            reply(option.rawValue, .ack)
        case .refused(let refusal): reply(option.rawValue, refusal.reply, text: refusal.reason)
        case .names: reply(option.rawValue, .platform)
        }
        return .more
    }

    // MARK: Words

    private mutating func wait(_ pending: Pending, for lookup: NBDLookup) -> NBDHandshakeStep {
        state = .waiting(pending)
        return .lookUp(lookup)
    }

    private mutating func enter(_ name: String) -> NBDHandshakeStep {
        state = .over
        // A context that was selected for another export does not count for this one.
        agreement.hasAllocationContext = contextName == name
        return .enter(agreement)
    }

    private mutating func close(_ reason: String) -> NBDHandshakeStep {
        state = .over
        return .close(reason)
    }

    private mutating func refuse(_ option: NBDOption, _ why: String) -> NBDHandshakeStep {
        reply(option.rawValue, .invalid, text: why)
        return .more
    }

    private mutating func reply(_ code: UInt32, _ type: NBDOptionReply, text: String) {
        reply(code, type, [UInt8](text.utf8.prefix(NBDWire.stringMax)))
    }

    private mutating func reply(_ code: UInt32, _ type: NBDOptionReply, _ data: [UInt8] = []) {
        output.append(bigEndian: NBDWire.optionReplyMagic)
        output.append(bigEndian: code)
        output.append(bigEndian: type.rawValue)
        output.append(bigEndian: UInt32(data.count))
        output += data
    }
}
