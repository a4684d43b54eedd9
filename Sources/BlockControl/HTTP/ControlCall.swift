// SPDX-License-Identifier: Apache-2.0

internal import Hummingbird
internal import HummingbirdCore
internal import NIOCore

/// A request as the routes see it.
struct ControlCall: Sendable {
    let request: Request
    let context: ControlContext

    /// The disk, partition or pattern in the path, as it was meant: `ram%2A` is `ram*`.
    var name: String { ControlCall.unescaped(context.parameters.get("name") ?? "") }

    /// The number in the path.
    var id: String { context.parameters.get("id") ?? "" }

    /// A value of the query.
    func query(_ key: String) -> String? { request.uri.queryParameters[key[...]].map(String.init) }

    /// Whether the query has `key=1`.
    func isSet(_ key: String) throws -> Bool {
        switch query(key) {
        case nil, "0": return false
        case "1": return true
        case .some(let value): throw Problem(.usage, "\(key)=\(value) is not possible: use 0 or 1", errno: "EINVAL")
        }
    }

    /// Refuses what the route would not look at: `?mode=hard` where the mode stands in the body.
    func checkKeys(of route: ControlRoute) throws {
        let known = route.description.query.filter { $0.place == "query" }.map(\.name)
        guard let key = request.uri.queryParameters.map({ String($0.key) }).first(where: { !known.contains($0) }) else {
            return
        }
        throw Problem(
            .usage,
            "\(route.method) \(route.path) has no '\(key)' in its query: "
                + (known.isEmpty ? "it has nothing there" : "there are \(known.joined(separator: ", "))"),
            errno: "EINVAL")
    }

    /// The document in the body. No body at all is an empty document: every field may then be missing.
    func body<Value: Decodable>(_: Value.Type = Value.self) async throws -> Value {
        var request = request
        var buffer = try await request.collectBody(upTo: context.maxUploadSize)
        let bytes = buffer.readBytes(length: buffer.readableBytes) ?? []
        return try ControlJSON.decode(Value.self, from: bytes.isEmpty ? Array("{}".utf8) : bytes)
    }

    /// The disk that is meant; nil: whichever has the name.
    func ifMatch() throws -> DiskTag? {
        guard let text = request.headers[.ifMatch], text != "*" else { return nil }
        guard let tag = DiskTag(text) else {
            throw Problem(.usage, "If-Match has no tag of a disk: '\(text)'", errno: "EINVAL")
        }
        return tag
    }

    /// Calls this once if the caller hangs up before the answer is written, also while nothing is written to him: for
    /// streams, which last as long as their connection.
    func whenGone(_ body: @escaping @Sendable () -> Void) {
        let channel = context.channel
        let told = channel.eventLoop.makePromise(of: Void.self)
        // Nobody is there to be asked: the connection is gone already.
        told.futureResult.whenFailure { _ in body() }
        channel.triggerUserOutboundEvent(HangUpWish(body: body), promise: told)
    }

    private static func unescaped(_ text: String) -> String {
        var rest = Array(text.utf8)[...]
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            guard byte == UInt8(ascii: "%"), digits.count == 2,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
