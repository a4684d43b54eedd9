// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials

/// Values of the control interface to and from JSON text.
public enum ControlJSON {
    /// The value as one JSON document.
    public static func text(_ value: some Encodable, pretty: Bool = false) throws -> String {
        try JSONTreeEncoder.tree(of: value).text(pretty: pretty)
    }

    /// A value from its document.
    /// - Throws: ``Problem`` of the kind `usage` with a line that names the place.
    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws(Problem) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw Problem(.usage, ControlJSON.explain(error), errno: "EINVAL")
        } catch {
            throw Problem(.usage, "this is not the JSON document that was expected here", errno: "EINVAL")
        }
    }

    private static func explain(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context):
            "the JSON document lacks '\(key.stringValue)'\(place(context))"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "the JSON document has the wrong kind of value\(place(context))"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty
                ? "this is not JSON" : "the JSON document has an impossible value\(place(context))"
        @unknown default: "this is not the JSON document that was expected here"
        }
    }

    private static func place(_ context: DecodingError.Context) -> String {
        let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        return path.isEmpty ? "" : " at '\(path)'"
    }
}
