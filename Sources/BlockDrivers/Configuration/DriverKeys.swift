// SPDX-License-Identifier: Apache-2.0

/// The `key=value` pairs that a driver is made from. Each is taken once; what is left at the end is an error.
public struct DriverKeys: Sendable {
    /// The driver that they are for, for error lines.
    public let driver: String
    private var pairs: [(key: String, value: String)]
    private var known: [String] = []

    /// The pairs for `driver`; a pair with an empty key is a bare word.
    public init(driver: String, _ pairs: [(String, String)]) {
        self.driver = driver
        self.pairs = pairs.map { (key: $0.0, value: $0.1) }
    }

    /// Splits the words of a command line at their first `=`; a word without one gets an empty key.
    public static func split(_ words: [String]) -> [(String, String)] {
        words.map { word in
            guard let equals = word.firstIndex(of: "=") else { return ("", word) }
            return (String(word[..<equals]), String(word[word.index(after: equals)...]))
        }
    }

    /// Lets a bare word stand for `key=`: `file disk.img`. One that looks like a pair because its path has a `=` in it
    /// does not count; it is written with its key.
    public mutating func nameBareWord(_ key: String) {
        if let index = pairs.firstIndex(where: { $0.key.isEmpty }) { pairs[index].key = key }
    }

    /// The value of a key that may be there once; nil if it is not.
    public mutating func take(_ key: String) throws(ConfigurationError) -> String? {
        known.append(key)
        let values = pairs.filter { $0.key == key }.map { $0.value }
        pairs.removeAll { $0.key == key }
        guard values.count <= 1 else {
            throw ConfigurationError("\(driver): \(key)= is given \(values.count) times: keep one")
        }
        guard values.first != "" else { throw ConfigurationError("\(driver): \(key)= has no value") }
        return values.first
    }

    /// The values of a key that may be there more than once, in order.
    public mutating func takeAll(_ key: String) -> [String] {
        known.append(key)
        let values = pairs.filter { $0.key == key }.map { $0.value }
        pairs.removeAll { $0.key == key }
        return values
    }

    /// A size in bytes; see ``ByteSize``.
    public mutating func takeSize(_ key: String, multipleOf sector: Int) throws(ConfigurationError) -> UInt64? {
        guard let text = try take(key) else { return nil }
        let bytes = try located { () throws(ConfigurationError) in
            try ByteSize.parse(text, key: key, multipleOf: sector)
        }
        guard bytes > 0 else { throw ConfigurationError("\(driver): \(key)=\(text) is no size for a disk") }
        return bytes
    }

    /// A duration; see ``DurationText``.
    public mutating func takeDuration(_ key: String) throws(ConfigurationError) -> Duration? {
        guard let text = try take(key) else { return nil }
        return try located { () throws(ConfigurationError) in try DurationText.parse(text, key: key) }
    }

    /// One of a few words.
    public mutating func takeWord(_ key: String, _ words: [String]) throws(ConfigurationError) -> String? {
        guard let text = try take(key) else { return nil }
        guard words.contains(text) else {
            throw ConfigurationError(
                "\(driver): \(key)=\(text) is not possible: use \(key)=\(words.joined(separator: "|"))")
        }
        return text
    }

    /// `on` or `off`.
    public mutating func takeSwitch(_ key: String) throws(ConfigurationError) -> Bool? {
        try takeWord(key, ["on", "off"]).map { $0 == "on" }
    }

    /// Fails if something was not taken: it is unknown to everybody.
    public func finish() throws(ConfigurationError) {
        guard let left = pairs.first else { return }
        guard !left.key.isEmpty else {
            throw ConfigurationError("\(driver): '\(left.value)' is not key=value")
        }
        throw ConfigurationError(
            "\(driver): unknown key '\(left.key)': it has \(known.map { "\($0)=" }.joined(separator: " "))")
    }

    private func located<Result>(
        _ body: () throws(ConfigurationError) -> Result
    ) throws(ConfigurationError) -> Result {
        do throws(ConfigurationError) {
            return try body()
        } catch {
            throw ConfigurationError("\(driver): \(error.reason)", errno: error.errno)
        }
    }
}
