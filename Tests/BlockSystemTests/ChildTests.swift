// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Glibc
import Testing

/// A pipe whose writing end a child is handed: the reading end is at its end when nobody has that any more.
private final class LifeLine {
    private var ends: [Int32] = [-1, -1]
    var reading: Int32 { ends[0] }
    var writing: Int32 { ends[1] }

    init() {
        #expect(pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit { for end in ends where end >= 0 { close(end) } }

    func letGo() {
        close(ends[1])
        ends[1] = -1
    }

    /// What was written until nobody has it any more.
    func readToEnd() -> String {
        letGo()
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256)
        while true {
            let count = read(ends[0], &chunk, chunk.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }

    /// Waits for something to be written.
    func readSome() -> String {
        var chunk = [UInt8](repeating: 0, count: 256)
        return String(decoding: chunk[..<max(read(ends[0], &chunk, chunk.count), 0)], as: UTF8.self)
    }
}

private func shell(
    _ script: String, _ ties: ChildProcess.Ties = .kept(output: true, errors: true), third: Int32 = -1
) throws -> ChildProcess {
    try ChildProcess.helper("/bin/sh", ["-c", script], ties, third: third)
}

/// So long that a test which waits for it fails by its own limit.
private let forever = Duration.seconds(3600)

@Suite(.timeLimit(.minutes(1))) struct `A child process` {
    @Test func `may fill both of its pipes, in any order`() throws {
        let outcome = try shell("head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero | tr '\\0' x; echo end >&2")
            .finish(within: forever, outputLimit: 1000)
        #expect(outcome.status == 0)
        #expect(outcome.output == String(repeating: "x", count: 1000), "the rest is dropped, and nobody waits for room")
    }

    @Test func `says what it wrote, what it complained about, and how it ended`() throws {
        let outcome = try shell("echo one; echo two; printf '\\nbad\\r\\nworse\\n' >&2; exit 7").finish(within: forever)
        #expect(outcome.status == 7 && outcome.output == "one\ntwo\n" && outcome.errors == "bad")
        #expect(try shell("kill -9 $$").finish(within: forever).status == 137)
        #expect(
            try shell("echo x; echo y >&2", .kept(output: false, errors: false)).finish(within: forever).output == "")
        #expect(throws: SystemError.self) { try ChildProcess.helper("/nonexistent", []) }
    }

    @Test func `is not waited for longer than it lives, whatever it has started`() throws {
        let life = LifeLine()
        let child = try shell("tail -f /dev/null & echo $!", third: life.writing)
        let outcome = child.finish(within: forever)
        let left = try #require(Int32(outcome.output.split(separator: "\n").first ?? ""))
        #expect(outcome.status == 0)
        #expect(kill(left, 0) == 0, "it has its pipe still")
        kill(left, SIGKILL)
        #expect(life.readToEnd() == "")
    }

    @Test func `is ended with all that it has started when its time is over`() throws {
        let life = LifeLine()
        let child = try shell("tail -f /dev/null >/dev/null & echo ready >&3; wait", third: life.writing)
        #expect(life.readSome() == "ready\n")
        #expect(child.finish(within: .zero).status == -1)
        #expect(life.readToEnd() == "", "nobody of them has it any more")
        #expect(waitpid(child.process, nil, WNOHANG) < 0 && errno == ECHILD, "and nobody is left to be waited for")
        // It is over: its number may be another's.
        child.kill()
    }

    @Test func `leaves nothing behind when nobody waits for it`() throws {
        var child: ChildProcess? = try shell("exit 3", .kept(output: false, errors: false))
        let process = try #require(child?.process)
        child = nil
        let deadline = Instant.now + .seconds(30)
        while kill(process, 0) == 0, Instant.now < deadline { yieldThread() }
        #expect(kill(process, 0) != 0 && errno == ESRCH)
    }

    @Test func `has nothing open but what it is handed`() throws {
        // Without close-on-exec, as a careless library opens it.
        let stray = open("/dev/null", O_RDONLY)
        defer { close(stray) }
        let life = LifeLine()
        let listing = "for f in /proc/$$/fd/*; do echo ${f##*/}; done"
        for (third, expected) in [(Int32(-1), "0\n1\n2\n"), (life.writing, "0\n1\n2\n3\n")] {
            let outcome = try shell("\(listing)", third: third).finish(within: forever)
            // The shell's own, for the list, is above those.
            #expect(outcome.output.hasPrefix(expected))
            #expect(!outcome.output.split(separator: "\n").contains("\(stray)"))
        }
        #expect(try shell("cat; echo end").finish(within: forever).output == "end\n", "and nothing to read")
    }

    @Test func `that is to stay hears of no signal that ends the others, from its first moment on`() throws {
        let life = LifeLine()
        let child = try shell("read -r go <&3; exit 5", .none, third: life.reading)
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            kill(child.process, signal)
            kill(-child.process, signal)
        }
        #expect(getsid(child.process) == child.process)
        life.letGo()
        #expect(child.wait() == .exited(5))
    }
}
