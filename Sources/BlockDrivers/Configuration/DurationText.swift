// SPDX-License-Identifier: Apache-2.0

/// Durations as people write them: `5ms`, `1.5s`, `2m`. A bare number is an error, for nobody agrees on its unit.
public enum DurationText {
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ]

    /// The duration that `text` means.
    /// - Parameter key: what the error line calls it.
    public static func parse(_ text: String, key: String) throws(ConfigurationError) -> Duration {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        var rest = text.dropFirst(digits.count)
        var fraction: Substring = ""
        if rest.first == "." {
            fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(fraction.count + 1)
        }
        let unit = String(rest)
        guard !digits.isEmpty, fraction.isEmpty != text.contains(".") else {
            throw ConfigurationError("\(key)=\(text) is not a duration: write 5ms, 1s, 1.5s or 2m")
        }
        guard !unit.isEmpty else {
            throw ConfigurationError("\(key)=\(text) has no unit: write \(text)ms, \(text)s or \(text)m")
        }
        guard let known = units.first(where: { $0.name == unit }) else {
            throw ConfigurationError("\(key)=\(text) has an unknown unit: use ns, us, ms, s, m or h")
        }
        // Exact in 128 bits: 18 digits behind the point of what 64 bits hold before it.
        guard fraction.count <= 18, let number = Int64(digits), let all = Int128(digits + fraction) else {
            throw ConfigurationError("\(key)=\(text) has too many digits")
        }
        let scale = fraction.reduce(Int128(1)) { scale, _ in scale * 10 }
        guard number <= Int64.max / known.nanoseconds - 1 else {
            throw ConfigurationError("\(key)=\(text) is too long: at most 292 years")
        }
        let part = all % scale * Int128(known.nanoseconds)
        guard part % scale == 0 else {
            throw ConfigurationError("\(key)=\(text) is no whole number of nanoseconds")
        }
        return .nanoseconds(number * known.nanoseconds + Int64(part / scale))
    }

    /// The shortest exact way to write a duration of whole nanoseconds: `5ms`.
    public static func format(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        guard nanoseconds > 0, let unit = units.last(where: { nanoseconds % $0.nanoseconds == 0 }) else { return "0s" }
        return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
    }
}
