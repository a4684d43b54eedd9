// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The signals that end a daemon or a recording, taken by a thread of its own instead of a handler.
public enum HostSignals {
    /// A signal that asks the process to end.
    public enum Ending: Int32, Sendable {
        /// From the service manager, or `kill`.
        case terminate = 15
        /// From the terminal, Ctrl-C.
        case interrupt = 2
        /// The terminal is gone.
        case hangUp = 1
    }

    /// Keeps the ending signals from every thread that is started from now on. Call it before any thread is started.
    ///
    /// A peer that goes away is told by the failed write: the signal for it is ignored.
    public static func hold() {
        signal(SIGPIPE, SIG_IGN)
        // Ignored by who started us, the ends of our children would be nobody's to wait for.
        signal(SIGCHLD, SIG_DFL)
        var set = endings()
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Hands each ending signal that arrives to `deliver`, on a thread of its own, for the rest of the process's life.
    public static func watch(_ deliver: @escaping @Sendable (Ending) -> Void) {
        WorkerThread.detach(name: "signals") {
            while true {
                var set = endings()
                var number: Int32 = 0
                guard sigwait(&set, &number) == 0 else { continue }
                if let ending = Ending(rawValue: number) { deliver(ending) }
            }
        }
    }

    static func endings() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for ending in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, ending) }
        return set
    }
}
