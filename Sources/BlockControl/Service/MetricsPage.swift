// SPDX-License-Identifier: Apache-2.0

/// A page in Prometheus' text format: each metric once, with its help and its type, in the order of first use.
public struct MetricsPage: Sendable {
    /// What a metric is.
    public enum Kind: String, Sendable { case counter, gauge, histogram }

    private struct Family: Sendable {
        let name: String
        let help: String
        let kind: Kind
        var samples: [String] = []
    }
    private var families: [Family] = []
    private var places: [String: Int] = [:]

    /// An empty page.
    public init() {}

    /// One more sample.
    public mutating func add(
        _ name: String, _ kind: Kind, _ help: String, _ labels: [(String, String)], _ value: Double
    ) {
        add(sample: MetricsPage.line(name, labels, value), to: name, kind, help)
    }

    /// One more histogram: how many were at most each of the bounds, how many there were, and their sum.
    public mutating func add(
        histogram name: String, _ help: String, _ labels: [(String, String)], bounds: [(Double, UInt64)],
        count: UInt64, sum: Double
    ) {
        for (bound, within) in bounds {
            let line = MetricsPage.line(
                name + "_bucket", labels + [("le", MetricsPage.text(of: bound))], Double(within))
            add(sample: line, to: name, .histogram, help)
        }
        let all = MetricsPage.line(name + "_bucket", labels + [("le", "+Inf")], Double(count))
        add(sample: all, to: name, .histogram, help)
        add(sample: MetricsPage.line(name + "_sum", labels, sum), to: name, .histogram, help)
        add(sample: MetricsPage.line(name + "_count", labels, Double(count)), to: name, .histogram, help)
    }

    private mutating func add(sample: String, to name: String, _ kind: Kind, _ help: String) {
        if let place = places[name] {
            families[place].samples.append(sample)
        } else {
            places[name] = families.count
            families.append(Family(name: name, help: help, kind: kind, samples: [sample]))
        }
    }

    private static func line(_ name: String, _ labels: [(String, String)], _ value: Double) -> String {
        let pairs = labels.map { "\($0.0)=\"\(escape($0.1))\"" }.joined(separator: ",")
        return labels.isEmpty ? "\(name) \(text(of: value))" : "\(name){\(pairs)} \(text(of: value))"
    }

    /// The page.
    public var text: String {
        var lines: [String] = []
        for family in families {
            lines.append("# HELP \(family.name) \(family.help)")
            lines.append("# TYPE \(family.name) \(family.kind.rawValue)")
            lines += family.samples
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(of value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
    }

    private static func escape(_ text: String) -> String {
        // Not by characters: a quote with an accent, or a carriage return with a newline, is one that is neither.
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\".unicodeScalars
            case "\"": result += "\\\"".unicodeScalars
            case "\n": result += "\\n".unicodeScalars
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
