// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// A program that could not do what it was started for, and what it said of it.
public struct HelperFailure: Error, Sendable, CustomStringConvertible {
    /// Its words, in one line.
    public let text: String
    /// The words.
    public var description: String { text }
}

/// A program that runs as a child of this process, with nothing of this process's but what it is handed.
public final class HelperProgram: @unchecked Sendable {
    // SAFETY: the descriptors belong to whoever finishes it, once.
    private let child: Int32
    private var output: Descriptor?
    private var errors: Descriptor?

    /// What became of it.
    public struct Outcome: Sendable {
        /// Its exit status; 128 and the signal that ended it; -1: it did not end in time, and was ended.
        public var status: Int32
        /// What it wrote, as far as it was kept.
        public var output: String
        /// What it complained about, in one line.
        public var errors: String
    }

    /// Where a program is, among the places where a system has them; nil: nowhere.
    public static func find(_ name: String) -> String? {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"]
            .map { "\($0)/\(name)" }.first { HostFile.isExecutable($0) }
    }

    /// Starts it.
    /// - Parameters:
    ///   - third: what it has as descriptor 3; -1: nothing.
    ///   - isOnItsOwn: it stays when our session or process group is ended.
    public init(
        _ path: String, _ arguments: [String], environment additions: [(name: String, value: String)],
        third: Int32 = -1, keepsOutput: Bool = false, keepsErrors: Bool = false, isOnItsOwn: Bool = false
    ) throws(SystemError) {
        var outputPipe = keepsOutput ? try Pipe() : nil
        var errorsPipe = keepsErrors ? try Pipe() : nil
        var words = ([path] + arguments).map { (text: String) -> UnsafeMutablePointer<CChar>? in strdup(text) } + [nil]
        var variables = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"] + additions.map { "\($0.name)=\($0.value)" }
        variables.removeAll { $0.contains("\0") }
        var environment = variables.map { (text: String) -> UnsafeMutablePointer<CChar>? in strdup(text) } + [nil]
        defer { for text in words + environment { free(text) } }
        let result = platter_start_program(
            path, &words, &environment, third, outputPipe?.writing.number ?? -1, errorsPipe?.writing.number ?? -1,
            isOnItsOwn ? 1 : 0)
        guard result >= 0 else { throw SystemError(errno: -result) }
        child = result
        output = outputPipe.take()?.keepReading()
        errors = errorsPipe.take()?.keepReading()
    }

    private struct Pipe: ~Copyable {
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
    }

    /// Waits for its end, and ends it when the time is over. Once.
    /// - Context: blocks, for `limit` at most and a moment.
    public func finish(within limit: Duration, outputLimit: Int = 64 << 10) -> Outcome {
        let deadline = Instant.now + limit
        let written = Self.text(output.take(), deadline, outputLimit)
        let complaint = Self.text(errors.take(), deadline, 4096)
        let left = max((deadline - Instant.now).nanoseconds / 1_000_000, 0)
        var status = platter_wait_program(child, Int32(clamping: left))
        if status == -EAGAIN {
            platter_kill_program(child)
            _ = platter_wait_program(child, -1)
            status = -1
        }
        let line = complaint.utf8.split { $0 == 10 || $0 == 13 }.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
        return Outcome(status: status, output: written, errors: line)
    }

    private static func text(_ descriptor: consuming Descriptor?, _ deadline: Instant, _ limit: Int) -> String {
        guard let descriptor else { return "" }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < limit {
            let left = (deadline - Instant.now).nanoseconds / 1_000_000
            guard left >= 0, platter_wait_readable(descriptor.number, Int32(clamping: left + 1)) == 1 else { break }
            let count = platter_read(descriptor.number, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes.prefix(limit), as: UTF8.self)
    }
}
