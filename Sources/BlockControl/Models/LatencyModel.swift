// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

/// How long one kind of I/O of a disk took, from the moment it was let in to its answer.
public struct LatencyModel: Codable, Sendable, Equatable {
    /// `read`, `write`, `discard` or `flush`.
    public var operation: String
    /// How many.
    public var count: UInt64
    /// Seconds within which half of them were answered.
    public var p50: Double
    /// Nine of ten.
    public var p90: Double
    /// 99 of a hundred.
    public var p99: Double
    /// 999 of a thousand.
    public var p999: Double
    /// The longest.
    public var max: Double

    enum CodingKeys: String, CodingKey {
        case operation, count, p50, p90, p99
        case p999 = "p99.9"
        case max
    }

    /// Figures in seconds.
    public init(
        operation: String, count: UInt64, p50: Double, p90: Double, p99: Double, p999: Double, max: Double
    ) {
        self.operation = operation
        self.count = count
        self.p50 = p50
        self.p90 = p90
        self.p99 = p99
        self.p999 = p999
        self.max = max
    }

    /// The figures of a histogram; nil: it is empty.
    init?(_ operation: LatencyHistogram.Operation, _ histogram: LatencyHistogram) {
        func seconds(_ part: Double) -> Double { Double(histogram.percentile(part) ?? 0) / 1e9 }
        guard histogram.count > 0 else { return nil }
        self.init(
            operation: operation.rawValue, count: histogram.count, p50: seconds(0.5), p90: seconds(0.9),
            p99: seconds(0.99), p999: seconds(0.999), max: Double(histogram.longest) / 1e9)
    }
}
