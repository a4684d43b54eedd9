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

extension ChildProcess {
    /// What became of a child.
    public struct Outcome: Sendable {
        /// Its exit status; 128 and the signal that ended it; -1: it did not end in time, and was ended.
        public var status: Int32
        /// What it wrote, as far as it was kept.
        public var output: String
        /// What it complained about, in one line.
        public var errors: String
    }

    /// A program that helps this one: with nothing of this process's but what it is handed, and what it writes is kept.
    /// Arguments and descriptor as for the general initializer.
    public static func helper(
        _ path: String, _ arguments: [String], environment additions: [(name: String, value: String)] = [],
        _ ties: Ties = .kept(output: false, errors: true), third: Int32 = -1
    ) throws(SystemError) -> ChildProcess {
        try ChildProcess(
            path, arguments: [path] + arguments,
            environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]
                + additions.map { "\($0.name)=\($0.value)" },
            ties, third: third)
    }

    /// Waits for its end, takes in what it writes meanwhile, and ends it, with its process group, when the time is over. Once.
    ///
    /// What is written beyond the limits is read and dropped: nobody waits for room. What a child of the child still writes
    /// when the child has ended is not waited for.
    /// - Context: blocks, for `limit` at most and a moment.
    public func finish(within limit: Duration, outputLimit: Int = 64 << 10) -> Outcome {
        let deadline = Instant.now + limit
        var output = KeptText(pipes.withLock { $0.output.take() }, limit: outputLimit)
        var errors = KeptText(pipes.withLock { $0.errors.take() }, limit: 4096)
        // Without one, on old kernels, its end is looked for now and then.
        let ending = platter_watch_program(process)
        defer { if ending >= 0 { close(ending) } }
        var hasEnded = false
        while true {
            var wanted = [output.number, errors.number, hasEnded ? -1 : ending]
            let left = hasEnded ? .zero : deadline - Instant.now
            let wait = ending < 0 ? min(left, Self.glance) : left
            let ready = platter_poll(&wanted, 3, Int32(clamping: (wait.nanoseconds + 999_999) / 1_000_000))
            if ready & 1 != 0 { output.readOn() }
            if ready & 2 != 0 { errors.readOn() }
            // What it wrote before its end is there by now: one more round takes it in.
            if hasEnded, ready & 3 == 0 { break }
            if !hasEnded { hasEnded = ready & 4 != 0 || ending < 0 && platter_has_ended(process) == 1 }
            if Instant.now >= deadline { break }
        }
        var status: Int32 = -1
        if hasEnded || platter_has_ended(process) == 1 {
            status = take().status
        } else {
            kill()
            // One that hangs in the kernel ends when that lets it, and is waited for by others.
            var wanted = [ending]
            _ = platter_poll(&wanted, 1, Int32(Self.grace.nanoseconds / 1_000_000))
            if platter_has_ended(process) == 1 { _ = take() }
        }
        return Outcome(status: status, output: output.text, errors: errors.line)
    }

    /// How often it is looked at where its end cannot be waited for together with its words.
    private static let glance = Duration.milliseconds(20)
    /// How long one that was killed may take to be gone.
    private static let grace = Duration.milliseconds(500)
}

/// What comes out of a pipe, up to a limit.
private struct KeptText: ~Copyable {
    private var descriptor: Descriptor?
    /// -1: it is at its end.
    private(set) var number: Int32
    private let limit: Int
    private var bytes: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 4096)

    init(_ descriptor: consuming Descriptor?, limit: Int) {
        self.limit = limit
        if let descriptor = consume descriptor {
            number = descriptor.number
            self.descriptor = consume descriptor
        } else {
            number = -1
            self.descriptor = nil
        }
    }

    /// Takes in what is there; there is something, or it is the end.
    mutating func readOn() {
        let count = platter_read(number, &chunk, chunk.count)
        if count > 0 {
            bytes += chunk[..<min(count, limit - bytes.count)]
        } else {
            number = -1
            descriptor = nil
        }
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// The first line that says anything.
    var line: String {
        bytes.split { $0 == 10 || $0 == 13 }.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
