// SPDX-License-Identifier: Apache-2.0

/// Sizes as people write them: `512`, `4k`, `1M`, `1GiB`; powers of 1024.
public enum ByteSize {
    private static let units: [(name: String, shift: UInt64)] = [
        ("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50), ("E", 60),
    ]

    /// The bytes that `text` means.
    ///
    /// - Parameter key: what the error line calls it.
    /// - Parameter sector: what it must be a multiple of.
    public static func parse(
        _ text: String, key: String = "size", multipleOf sector: Int = 1
    ) throws(ConfigurationError) -> UInt64 {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        var unit = text.dropFirst(digits.count).uppercased()
        guard !digits.isEmpty else {
            throw ConfigurationError("\(key)=\(text) is not a size: write bytes, or a number with k, M, G or T")
        }
        if unit.hasSuffix("IB"), unit.count == 3 { unit.removeLast(2) }
        var shift: UInt64 = 0
        if !unit.isEmpty {
            guard let known = units.first(where: { $0.name == unit }) else {
                throw ConfigurationError(
                    "\(key)=\(text) has an unknown unit: use k, M, G, T, P or KiB, MiB … (powers of 1024)")
            }
            shift = known.shift
        }
        guard let number = UInt64(digits), number <= UInt64(Int64.max) >> shift else {
            throw ConfigurationError("\(key)=\(text) is too large: at most 8E less one byte")
        }
        let bytes = number << shift
        guard bytes % UInt64(sector) == 0 else {
            let below = bytes / UInt64(sector) * UInt64(sector)
            let above = "\(below + UInt64(sector))"
            // Nobody wants a disk of a sector: whoever writes a small number without a unit has forgotten it.
            let remedy =
                below > 0
                ? "use \(below) or \(above)" : unit.isEmpty ? "write \(digits)M or \(digits)G" : "use \(above)"
            throw ConfigurationError(
                "\(key)=\(text) is not a multiple of the sector size \(sector): \(remedy)")
        }
        return bytes
    }

    /// The shortest exact way to write so many bytes: `64M`, `1536`.
    public static func format(_ bytes: UInt64) -> String {
        guard bytes > 0, let unit = units.last(where: { bytes % (1 << $0.shift) == 0 }) else { return "\(bytes)" }
        return "\(bytes >> unit.shift)\(unit.name == "K" ? "k" : unit.name)"
    }
}
