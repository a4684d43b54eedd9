// SPDX-License-Identifier: Apache-2.0

package import BlockControl
import BlockDrivers

/// Sizes, durations and moments, as people write and read them.
package enum Units {
    private static let letters: [Character] = ["K", "M", "G", "T", "P", "E"]

    /// A size in bytes, as the drivers' keys take them.
    package static func bytes(_ text: String) throws(Problem) -> UInt64 {
        do throws(ConfigurationError) {
            return try ByteSize.parse(text, key: "size")
        } catch {
            throw Problem(.usage, error.reason, errno: "EINVAL")
        }
    }

    /// A duration, as the drivers' keys take them.
    package static func duration(_ text: String, option: String) throws(Problem) -> Duration {
        do throws(ConfigurationError) {
            return try DurationText.parse(text, key: option)
        } catch {
            throw Problem(.usage, error.reason, errno: "EINVAL")
        }
    }

    /// How long a verb is to wait: a number alone is seconds, as for timeout(1), udevadm and blktrace.
    package static func patience(_ text: String, option: String) throws(Problem) -> Duration {
        let isNumber = text.last?.isNumber == true && text.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }
        return try duration(isNumber ? text + "s" : text, option: option)
    }

    /// `1.5 MiB (1572864 bytes)`; no unit where the bytes alone say it.
    package static func size(_ bytes: UInt64) -> String {
        bytes < 1024 ? plural(bytes, "byte") : "\(short(bytes, separator: " ", unit: "iB")) (\(bytes) bytes)"
    }

    /// `1.5M`, as lsblk writes sizes.
    package static func short(_ bytes: UInt64, separator: String = "", unit: String = "") -> String {
        guard bytes >= 1024 else { return "\(bytes)\(separator)B" }
        var value = Double(bytes)
        var power = -1
        while value >= 1024, power < letters.count - 1 {
            value /= 1024
            power += 1
        }
        // One digit behind the point, as lsblk rounds; 1023.97 becomes 1 of the next unit, not 1024 of this.
        var tenths = (value * 10).rounded()
        if tenths >= 10240, power < letters.count - 1 {
            tenths = 10
            power += 1
        }
        let whole = Int(tenths) / 10
        let tenth = Int(tenths) % 10
        return "\(whole)" + (tenth == 0 ? "" : ".\(tenth)") + separator + String(letters[power]) + unit
    }

    /// `1 byte`, `2 bytes`.
    package static func plural(_ count: some BinaryInteger, _ word: String) -> String {
        count == 1 ? "1 \(word)" : "\(count) \(word)" + (word.hasSuffix("sh") ? "es" : "s")
    }

    /// `850 µs`, `3.2 ms`, `1.00 s`.
    package static func seconds(_ value: Double) -> String {
        if value < 1e-3 { return "\(Int((value * 1e6).rounded())) µs" }
        if value < 1 { return "\(decimal(value * 1e3, 1)) ms" }
        if value < 120 { return "\(decimal(value, 2)) s" }
        let whole = Int(value.rounded())
        if whole < 7200 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    /// `1795232466.868431`, as monitors print moments.
    package static func microseconds(_ seconds: Double) -> String {
        let whole = UInt64(max(seconds, 0) * 1e6)
        let rest = String(whole % 1_000_000)
        return "\(whole / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
    }

    private static func decimal(_ value: Double, _ digits: Int) -> String {
        let factor = digits == 1 ? 10 : 100
        let scaled = Int((value * Double(factor)).rounded())
        let rest = String(scaled % factor)
        return "\(scaled / factor)." + String(repeating: "0", count: digits - rest.count) + rest
    }

    /// `2026-11-21T02:41:39Z`
    package static func moment(_ secondsSince1970: Double) -> String {
        let total = Int64(secondsSince1970)
        var day = total / 86_400
        let second = total - day * 86_400
        // The civil calendar counted from 1 March of the year 0: the leap day is the last of its year.
        day += 719_468
        let era = day / 146_097
        let dayOfEra = day - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * shifted + 2) / 5 + 1))T"
            + "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))Z"
    }
}
