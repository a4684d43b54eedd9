// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Says a thing the first time, and then only each time it has happened ten times as often.
final class NBDRepeats: Sendable {
    private let counts = Lock<[String: Int]>([:])

    /// The line to log, or nil: it was said often enough.
    func line(_ kind: String, _ text: String) -> String? {
        let count = counts.withLock { counts -> Int in
            // Bounded: kinds are few, but one may carry a client's words.
            if counts.count > 256 { counts.removeAll() }
            counts[kind, default: 0] += 1
            return counts[kind] ?? 1
        }
        if count == 1 { return text }
        var power = 10
        while power < count { power *= 10 }
        return power == count ? "\(text) (\(count) times so far)" : nil
    }
}
