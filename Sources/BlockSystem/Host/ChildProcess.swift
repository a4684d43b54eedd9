// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A program that runs as a child of this process.
///
/// It gets signals as a fresh program does, whatever this process holds back or ignores. Whoever starts one waits for
/// it, once: ``wait()``.
public final class ChildProcess: Sendable {
    /// How a child ended.
    public enum End: Sendable, Equatable {
        /// By itself, with this status.
        case exited(Int32)
        /// By this signal.
        case killed(Int32)

        /// As a shell says it: the status, or 128 and the signal.
        public var status: Int32 {
            switch self {
            case .exited(let status): status
            case .killed(let signal): 128 + signal
            }
        }
    }

    /// The child's number.
    public let process: Int32
    private let isGroup: Bool
    /// Its number may be somebody else's from then on.
    private let isReaped = Lock(false)

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - path: the file; nothing is searched for.
    ///   - arguments: the first is what the program is to take for its own name.
    ///   - environment: `NAME=value` each; nothing of this process's own is added.
    ///   - isDetached: a process group of its own, which ``kill()`` ends as one, nothing to read, and what it writes goes
    ///     to this process's standard error. False: it shares all of that with this process.
    /// - Throws: ENOENT, EACCES, ENOEXEC and what else the system says of the file; EAGAIN where there is no process left.
    public init(
        _ path: String, arguments: [String], environment: [String], isDetached: Bool = false
    ) throws(SystemError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var nothing = sigset_t()
        sigemptyset(&nothing)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        var usual = HostSignals.endings()
        sigaddset(&usual, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        var flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if isDetached {
            posix_spawnattr_setpgroup(&attributes, 0)
            flags |= POSIX_SPAWN_SETPGROUP
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_adddup2(&actions, 2, 1)
        }
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var argumentCopies = ChildProcess.copies(of: arguments)
        var environmentCopies = ChildProcess.copies(of: environment)
        defer { for text in argumentCopies + environmentCopies { free(text) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, path, &actions, &attributes, &argumentCopies, &environmentCopies)
        guard result == 0 else { throw SystemError(errno: result) }
        process = child
        isGroup = isDetached
    }

    /// Waits for the end; blocks the thread. Once.
    public func wait() -> End {
        // Looked at first and taken afterwards: until then the number is the child's, and may be sent a signal.
        var information = siginfo_t()
        while waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT) < 0 {
            if errno == EINTR { continue }
            // Somebody else has taken it: its number may be another process's by now.
            isReaped.withLock { $0 = true }
            return .exited(1)
        }
        return isReaped.withLock { isReaped in
            isReaped = true
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0 {
                if errno != EINTR { return .exited(1) }
            }
            let signal = status & 0x7f
            return signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal)
        }
    }

    /// Sends it the signal that asks it to end; nothing once its end was waited for.
    public func terminate() { send(SIGTERM) }

    /// Ends it, and what it has started in its process group where that is its own.
    public func kill() { send(SIGKILL) }

    private func send(_ signal: Int32) {
        isReaped.withLock { isReaped in
            if !isReaped { _ = Glibc.kill(isGroup ? -process : process, signal) }
        }
    }

    // What the C interface wants: strings of its own and a null pointer at the end.
    private static func copies(of texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        texts.map { (text: String) -> UnsafeMutablePointer<CChar>? in strdup(text) } + [nil]
    }
}
