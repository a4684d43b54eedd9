// SPDX-License-Identifier: Apache-2.0

/// What the scheduler counts of a thread: how long it ran, and how long it could have run but had no processor.
///
/// Time that was spent in neither was spent asleep.
package struct ThreadUsage: Sendable, Equatable {
    /// Nanoseconds on a processor.
    package var running: UInt64
    /// Nanoseconds of waiting for one.
    package var waiting: UInt64

    /// Of the calling thread; nil where the kernel does not count it. Reads a file: for those who are under suspicion.
    package static var current: ThreadUsage? {
        guard let text = ProcessFigures.read("/proc/thread-self/schedstat") else { return nil }
        return ThreadUsage(text)
    }

    init?(_ text: String) {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count > 1, let running = UInt64(fields[0]), let waiting = UInt64(fields[1]) else { return nil }
        self.running = running
        self.waiting = waiting
    }
}
