// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// How things are measured on a machine that is never quiet: many short samples, their median, and the best of a few
/// such medians. A sample that was interrupted falls out of the median; a whole bad moment falls out of the best.
public enum Measure {
    /// Nanoseconds per operation.
    ///
    /// - Parameter sample: does `operations` of them.
    public static func nanoseconds(
        per operations: Int, samples: Int = 101, rounds: Int = 5, _ sample: () -> Void
    ) -> Double {
        var best = Double.infinity
        for _ in 0..<rounds {
            let times = (0..<samples).map { _ in
                let start = Instant.now
                sample()
                return Double((Instant.now - start).nanoseconds)
            }
            best = min(best, Spread(times).median / Double(operations))
        }
        return best
    }

    /// Runs `body` on a thread of ours, which counts on gate stripes of its own, and waits for it.
    public static func onWorker<Result: Sendable>(_ body: @escaping @Sendable () -> Result) -> Result {
        let box = Lock<Result?>(nil)
        WorkerThread.detachAndWait { box.withLock { $0 = body() } }
        guard let result = box.withLock({ $0 }) else { invariantBroken("a worker ended without a result") }
        return result
    }

    /// Runs `body` while `threads` other workers run `other` again and again.
    public static func besides<Result: Sendable>(
        _ threads: Int, _ other: @escaping @Sendable () -> Void, _ body: @escaping @Sendable () -> Result
    ) -> Result {
        let isOver = Flag()
        let others = (0..<threads).compactMap { _ in
            try? WorkerThread.start(name: "bench-other") {
                while !isOver.isUp { other() }
            }
        }
        let result = onWorker(body)
        isOver.raise()
        for thread in others { thread.join() }
        return result
    }
}

/// A flag that is looked at often.
public final class Flag: Sendable {
    private let word = Atomic<Bool>(false)
    /// A flag that is down.
    public init() {}
    /// Whether it is up.
    public var isUp: Bool { word.load(ordering: .acquiring) }
    /// Puts it up.
    public func raise() { word.store(true, ordering: .releasing) }
}

/// Values in order.
public struct Spread: Sendable {
    private let sorted: [Double]

    /// The spread of these values, of which there is at least one.
    public init(_ values: [Double]) { sorted = values.sorted() }

    /// The value in the middle.
    public var median: Double { quantile(0.5) }
    /// The largest.
    public var worst: Double { sorted.last ?? .nan }
    /// The smallest.
    public var best: Double { sorted.first ?? .nan }

    /// The value below which this share of all lies.
    public func quantile(_ share: Double) -> Double {
        guard !sorted.isEmpty else { return .nan }
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}

extension WorkerThread {
    fileprivate static func detachAndWait(_ body: @escaping @Sendable () -> Void) {
        do throws(SystemError) {
            try start(name: "bench", body).join()
        } catch {
            body()
        }
    }
}

/// Numbers that look random and are the same in every run.
public struct Shuffle: Sendable {
    private var state: UInt64
    /// A sequence of its own for each seed.
    public init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }
    /// The next one, below `limit`.
    public mutating func next(below limit: UInt64) -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (state &* 0x2545_f491_4f6c_dd1d >> 16) % limit
    }
}
