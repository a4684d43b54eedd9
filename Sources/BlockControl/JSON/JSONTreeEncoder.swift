// SPDX-License-Identifier: Apache-2.0

/// Turns a Codable value into a ``JSONValue`` whose keys stand in the order in which they were declared,
/// with `null` for what is absent.
struct JSONTreeEncoder: Encoder {
    let slot: Slot
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    /// The tree of a value.
    static func tree(of value: some Encodable) throws -> JSONValue {
        let slot = Slot()
        try slot.put(value, at: [])
        return slot.value
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        slot.becomeObject()
        return KeyedEncodingContainer(KeyedContainer(slot: slot, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        slot.becomeArray()
        return UnkeyedContainer(slot: slot, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        SingleContainer(slot: slot, codingPath: codingPath)
    }
}

/// A place in the tree that is still being filled.
final class Slot {
    private enum Content {
        case leaf(JSONValue)
        case array([Slot])
        case object([(key: String, slot: Slot)])
    }
    private var content = Content.leaf(.null)

    var count: Int {
        switch content {
        case .leaf: 0
        case .array(let slots): slots.count
        case .object(let members): members.count
        }
    }

    var value: JSONValue {
        switch content {
        case .leaf(let value): value
        case .array(let slots): .array(slots.map(\.value))
        case .object(let members): .object(members.map { JSONValue.Member($0.key, $0.slot.value) })
        }
    }

    func becomeObject() {
        if case .object = content { return }
        content = .object([])
    }

    func becomeArray() {
        if case .array = content { return }
        content = .array([])
    }

    func member(_ key: String) -> Slot {
        let slot = Slot()
        if case .object(let members) = content { content = .object(members + [(key, slot)]) }
        return slot
    }

    func element() -> Slot {
        let slot = Slot()
        if case .array(let slots) = content { content = .array(slots + [slot]) }
        return slot
    }

    func put(_ value: some Encodable, at path: [any CodingKey]) throws {
        switch value {
        case let value as Bool: content = .leaf(.bool(value))
        case let value as String: content = .leaf(.string(value))
        case let value as Double: content = .leaf(.number(value))
        case let value as Float: content = .leaf(.number(Double(value)))
        case let value as any UnsignedInteger: content = .leaf(.unsigned(UInt64(clamping: value)))
        case let value as any SignedInteger: content = .leaf(.integer(Int64(clamping: value)))
        case let value as [String: String]:
            // A dictionary has no order of its own; a reader deserves one.
            content = .object([])
            for (key, text) in value.sorted(by: { $0.key < $1.key }) { try member(key).put(text, at: path) }
        default: try value.encode(to: JSONTreeEncoder(slot: self, codingPath: path))
        }
    }
}

private struct KeyedContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let slot: Slot
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) throws { _ = slot.member(key.stringValue) }
    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try slot.member(key.stringValue).put(value, at: codingPath + [key])
    }
    private func encodeOptional(_ value: (some Encodable)?, _ key: Key) throws {
        if let value { try encode(value, forKey: key) } else { try encodeNil(forKey: key) }
    }

    // One for each type, because the protocol's own versions leave an absent value out.
    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try encodeOptional(value, key) }
    func encodeIfPresent<Value: Encodable>(_ value: Value?, forKey key: Key) throws { try encodeOptional(value, key) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        JSONTreeEncoder(slot: slot.member(key.stringValue), codingPath: codingPath + [key]).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        JSONTreeEncoder(slot: slot.member(key.stringValue), codingPath: codingPath + [key]).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { JSONTreeEncoder(slot: slot.member("super"), codingPath: codingPath) }
    func superEncoder(forKey key: Key) -> any Encoder {
        JSONTreeEncoder(slot: slot.member(key.stringValue), codingPath: codingPath + [key])
    }
}

private struct UnkeyedContainer: UnkeyedEncodingContainer {
    let slot: Slot
    let codingPath: [any CodingKey]
    var count: Int { slot.count }

    func encodeNil() throws { _ = slot.element() }
    func encode<Value: Encodable>(_ value: Value) throws { try slot.element().put(value, at: codingPath) }
    func nestedContainer<Nested: CodingKey>(keyedBy keyType: Nested.Type) -> KeyedEncodingContainer<Nested> {
        JSONTreeEncoder(slot: slot.element(), codingPath: codingPath).container(keyedBy: keyType)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        JSONTreeEncoder(slot: slot.element(), codingPath: codingPath).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { JSONTreeEncoder(slot: slot.element(), codingPath: codingPath) }
}

private struct SingleContainer: SingleValueEncodingContainer {
    let slot: Slot
    let codingPath: [any CodingKey]

    func encodeNil() throws {}
    func encode<Value: Encodable>(_ value: Value) throws { try slot.put(value, at: codingPath) }
}
