// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the kernel counts of a thread: how long it ran, and how often it went to sleep by itself.
package struct ThreadUsage: Sendable, Equatable {
    /// Nanoseconds on a processor.
    package var running: UInt64
    /// Times that it gave its processor up because it waited for something. Being taken off it does not count.
    package var sleeps: Int

    /// Of the calling thread. A system call: for those who are under suspicion.
    package static var current: ThreadUsage {
        var usage = rusage()
        // RUSAGE_THREAD is hidden behind a feature macro.
        getrusage(__rusage_who_t(1), &usage)
        func nanoseconds(_ time: timeval) -> UInt64 {
            UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_usec) * 1000
        }
        return ThreadUsage(
            running: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime), sleeps: usage.ru_nvcsw)
    }
}
