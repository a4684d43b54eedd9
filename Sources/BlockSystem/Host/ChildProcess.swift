// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// A program that runs as a child of this process.
///
/// It gets signals as a fresh program does, whatever this process holds back or ignores. Its end is waited for once, by
/// ``wait()`` or ``finish(within:outputLimit:)``; where nobody does, a thread of its own does it, so that nothing of the child
/// stays behind.
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

    /// What a child shares with this process.
    public enum Ties: Sendable {
        /// All that a command line has: terminal, process group, and what it is handed down open.
        case all
        /// A process group of its own, which ``kill()`` ends as one, nothing to read, and what it writes goes to this process's
        /// standard error.
        case errors
        /// A process group of its own, nothing to read, and what it writes is kept for ``finish(within:outputLimit:)``,
        /// where that is asked for, or lost.
        case kept(output: Bool, errors: Bool)
        /// A session of its own, and deaf to the signals that ask a process to end: it stays when all that belongs to this
        /// process is told to.
        case none
    }

    /// The child's number.
    public let process: Int32
    private let isGroup: Bool
    /// Its number may be somebody else's from then on.
    private let isReaped = Lock(false)
    let pipes: Lock<Pipes>

    /// The ends of what the child writes.
    struct Pipes: ~Copyable {
        var output: Descriptor?
        var errors: Descriptor?
    }

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - path: the file; nothing is searched for.
    ///   - arguments: the first is what the program is to take for its own name.
    ///   - environment: `NAME=value` each; nothing of this process's own is added.
    ///   - third: what it has as descriptor 3; -1: nothing. Unless it shares all, it has no others beyond that.
    /// - Throws: ENOENT, EACCES, ENOEXEC and what else the system says of the file; EAGAIN where there is no process left.
    public init(
        _ path: String, arguments: [String], environment: [String], _ ties: Ties = .all, third: Int32 = -1
    ) throws(SystemError) {
        var given = platter_child_files(input: -1, output: -1, errors: -1, third: third)
        var place = PLATTER_CHILD_GROUP
        var output: Pipe?
        var errors: Pipe?
        switch ties {
        case .all: place = PLATTER_CHILD_SHARED
        case .errors: given = platter_child_files(input: -1, output: 2, errors: 2, third: third)
        case .kept(let keepsOutput, let keepsErrors):
            if keepsOutput { output = try Pipe() }
            if keepsErrors { errors = try Pipe() }
            given.output = output?.writing.number ?? -1
            given.errors = errors?.writing.number ?? -1
        case .none: place = PLATTER_CHILD_SESSION
        }
        var words = Self.copies(of: arguments)
        var variables = Self.copies(of: environment.filter { !$0.contains("\0") })
        defer { for text in words + variables { free(text) } }
        let result = platter_start_program(path, &words, &variables, &given, Int32(place))
        guard result >= 0 else { throw SystemError(errno: -result) }
        process = result
        isGroup = place != PLATTER_CHILD_SHARED
        pipes = Lock(Pipes(output: output.take()?.keepReading(), errors: errors.take()?.keepReading()))
    }

    deinit {
        guard isReaped.withLock({ !$0 }) else { return }
        let process = process
        WorkerThread.detach(name: "pl-child") { _ = platter_take_program(process) }
    }

    /// A pipe into which a child writes.
    struct Pipe: ~Copyable {
        let reading: Descriptor
        let writing: Descriptor

        init() throws(SystemError) {
            var first: Int32 = -1
            var second: Int32 = -1
            let made = platter_pipe(&first, &second)
            guard made == 0 else { throw SystemError(errno: -made) }
            reading = Descriptor(adopting: first)
            writing = Descriptor(adopting: second)
        }

        /// Closes the other end, so that the child's is the only one.
        consuming func keepReading() -> Descriptor { reading }
        /// Closes the end that the child has.
        consuming func keepWriting() -> Descriptor { writing }
    }

    /// Where a program is, among the places where a system has them; nil: nowhere.
    public static func find(_ name: String) -> String? {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"]
            .map { "\($0)/\(name)" }.first { HostFile.isExecutable($0) }
    }

    /// Waits for the end; blocks the thread. Once.
    public func wait() -> End {
        // Looked at first and taken afterwards: until then the number is the child's, and may be sent a signal.
        platter_await_program(process)
        return take()
    }

    /// Takes a child that has ended.
    func take() -> End {
        isReaped.withLock { isReaped in
            isReaped = true
            let status = platter_take_program(process)
            // Somebody else has taken it: how it ended is not known.
            guard status >= 0 else { return .exited(1) }
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
