// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockSystem

/// Loads any NBD server on a unix socket and tells what it cost; or is such a server, with a RAM disk.
@main
struct NBDBench {
    static let usage = """
        usage: platter-bench-nbd load SOCKET [export=NAME] [pid=PID] [op=read|write] [bytes=N] [depth=N]
                                             [connections=N] [seconds=N] [label=TEXT] [lockstep=1]
               platter-bench-nbd count SOCKET COUNT [the same]   exactly so many requests, for an instruction counter
               platter-bench-nbd fill SOCKET [export=NAME]
               platter-bench-nbd serve SOCKET MEBIBYTES          until its input ends
        """

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            guard arguments.count >= 2 else { throw NBDFailure(usage) }
            switch arguments[0] {
            case "load": try LoadRun(arguments).measure()
            case "count": try LoadRun(arguments).count()
            case "fill": try LoadRun(arguments).fill()
            case "serve": try BenchServer.run(arguments)
            default: throw NBDFailure(usage)
            }
        } catch {
            print("platter-bench-nbd: \(error)")
            ProcessFigures.fail()
        }
    }
}

/// One measurement.
struct LoadRun {
    private var load = NBDLoad()
    private let socket: String
    private var export = ""
    private var process: Int32 = 0
    private var connections = 1
    private var milliseconds = 1000
    private var label = "load"
    private var requests = 0

    init(_ arguments: [String]) throws {
        socket = arguments[1]
        for argument in arguments.dropFirst(2) {
            guard let sign = argument.firstIndex(of: "=") else {
                guard let number = Int(argument), requests == 0 else { throw NBDFailure(NBDBench.usage) }
                requests = number
                continue
            }
            let value = String(argument[argument.index(after: sign)...])
            switch argument[..<sign] {
            case "export": export = value
            case "label": label = value
            case "lockstep": load.isLockstep = true
            case "op": load.isWrite = value == "write"
            case "pid": process = try Self.number(value)
            case "bytes": load.bytes = try Self.number(value)
            case "depth": load.depth = try Self.number(value)
            case "connections": connections = try Self.number(value)
            case "seconds": milliseconds = Int((Double(value) ?? 1) * 1000)
            default: throw NBDFailure(NBDBench.usage)
            }
        }
    }

    private static func number<T: FixedWidthInteger>(_ text: String) throws -> T {
        guard let number = T(text), number > 0 else { throw NBDFailure("'\(text)' is not a number above zero") }
        return number
    }

    /// Writes every byte of the disk once: a page that was never written costs less to read.
    func fill() throws {
        let connection = try NBDConnection(path: socket, export: export)
        let load = NBDLoad(isWrite: true, bytes: 128 << 10, depth: 8, isSequential: true)
        try connection.run(load, limit: Int(connection.size) / load.bytes, isOver: { false }, answered: { _ in })
        connection.disconnect()
    }

    func count() throws {
        let connection = try NBDConnection(path: socket, export: export)
        try connection.run(load, limit: requests, isOver: { false }, answered: { _ in })
        connection.disconnect()
    }

    /// Requests per second, and processor time of the server and of this client for each.
    func measure() throws {
        let isOver = Flag()
        let total = Counter()
        let trouble = Lock<String?>(nil)
        let all = try (0..<connections).map { _ in try NBDConnection(path: socket, export: export) }
        let load = load
        let threads = try all.map { connection in
            try WorkerThread.start(name: "bench-nbd") {
                do {
                    try connection.run(load, limit: .max, isOver: { isOver.isUp }, answered: { total.add($0) })
                    connection.disconnect()
                } catch {
                    trouble.withLock { $0 = "\(error)" }
                }
            }
        }
        let nap = Parker()
        nap.wait(until: Instant.now + .milliseconds(min(300, milliseconds)))
        let before = snapshot(total)
        nap.wait(until: Instant.now + .milliseconds(milliseconds))
        let after = snapshot(total)
        isOver.raise()
        for thread in threads { thread.join() }
        if let text = trouble.withLock({ $0 }) { throw NBDFailure(text) }
        let count = Double(max(1, after.count - before.count))
        let seconds = Double(after.time - before.time) / 1e9
        Report.figure("\(label).iops", count / seconds, "per second")
        Report.figure("\(label).client", Double(after.own - before.own) / count / 1000, "us")
        guard process > 0 else { return }
        Report.figure("\(label).server", Double(after.server - before.server) / count / 1000, "us")
    }

    private struct Snapshot {
        var count: Int
        var time: UInt64
        var server: UInt64
        var own: UInt64
    }

    private func snapshot(_ total: Counter) -> Snapshot {
        Snapshot(
            count: total.value, time: Instant.now.nanoseconds,
            server: process > 0 ? ProcessFigures.processorNanoseconds(process) : 0,
            own: ProcessFigures.processorNanoseconds(ProcessFigures.current))
    }
}
