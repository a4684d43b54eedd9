// SPDX-License-Identifier: Apache-2.0

/// Prints figures, one to a line: `name value unit`, which people and `Scripts/bench` both read.
public enum Report {
    /// One figure.
    public static func figure(_ name: String, _ value: Double, _ unit: String) {
        print("\(padded(name, 34)) \(padded(rounded(value), 12)) \(unit)")
    }

    /// A line for people; scripts skip what begins with `#`.
    public static func note(_ text: String) { print("# \(text)") }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// Two decimals below 100, one below 10,000, none above.
    static func rounded(_ value: Double) -> String {
        guard value.isFinite else { return "nan" }
        let scale: Double = value < 100 ? 100 : value < 10_000 ? 10 : 1
        let units = (value * scale).rounded()
        if scale == 1 { return String(Int(units)) }
        let whole = Int(units / scale)
        let fraction = Int(units) - whole * Int(scale)
        return "\(whole).\(scale == 100 && fraction < 10 ? "0" : "")\(fraction)"
    }
}
