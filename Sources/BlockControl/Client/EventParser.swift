// SPDX-License-Identifier: Apache-2.0

/// Takes server-sent events out of bytes as they come.
package struct EventParser: Sendable {
    private var line: [UInt8] = []
    private var kind = ""
    private var data = ""

    package init() {}

    package mutating func feed(_ bytes: [UInt8]) throws -> [EventMessage] {
        var messages: [EventMessage] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            let text = String(decoding: line, as: UTF8.self)
            line = []
            if text.isEmpty {
                if let message = try take() { messages.append(message) }
            } else if let value = EventParser.value(of: "event", in: text) {
                kind = value
            } else if let value = EventParser.value(of: "data", in: text) {
                data += value
            }
        }
        return messages
    }

    private mutating func take() throws -> EventMessage? {
        defer {
            kind = ""
            data = ""
        }
        guard !data.isEmpty else { return nil }
        if kind == "lost" { return .lost(try ControlJSON.decode(LostModel.self, from: Array(data.utf8)).count) }
        return .event(try ControlJSON.decode(EventModel.self, from: Array(data.utf8)))
    }

    private static func value(of field: String, in line: String) -> String? {
        guard line.hasPrefix(field + ":") else { return nil }
        let rest = line.dropFirst(field.count + 1)
        return String(rest.first == " " ? rest.dropFirst() : rest)
    }
}
