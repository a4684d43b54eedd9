// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

struct TraceVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Write down each step of a disk's I/O, for blkparse, btt and iowatcher.",
        discussion: """
            It goes on until it is interrupted, the time is over or the disk is gone. The file's name is as blktrace makes \
            it, so that 'blkparse -i pl0' reads what 'platter trace pl0' wrote; live:

              platter trace pl0 -o - | blkparse -i -

            Of a partition the I/O that begins in it is traced. Of the actions those are written that have one of the \
            categories: read, write, flush, queue, requeue, issue, complete, notify, discard, fua.
            """)

    @Argument(help: "The disk or partition.")
    var name: String
    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp(
            "Write BASE.blktrace.0, or to standard output with '-'; the name without it.", valueName: "base"))
    var output: String?
    @Option(
        name: [.customShort("a"), .customLong("act-mask")],
        help: ArgumentHelp("A category of actions; may be given several times.", valueName: "category"))
    var actions: [String] = []
    @Option(help: ArgumentHelp("The first sector of the device.", valueName: "sector"))
    var start: UInt64?
    @Option(help: ArgumentHelp("The last sector of the device.", valueName: "sector"))
    var end: UInt64?
    @Option(help: ArgumentHelp("Only what this process has submitted.", valueName: "process"))
    var pid: Int32?
    @Option(
        name: [.customShort("w"), .customLong("stopwatch")],
        help: ArgumentHelp("End after so long, such as 10 (seconds) or 1.5m.", valueName: "duration"))
    var stopwatch: String?
    @Option(
        help: ArgumentHelp("How much the daemon keeps for us while we are slow, such as 32M.", valueName: "size"))
    var buffer: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var print: PrintOptions

    func run() async throws {
        let limit = try stopwatch.map { try Units.patience($0, option: "--stopwatch") }
        let query = try query()
        let path = output == "-" ? nil : (output ?? name) + ".blktrace.0"
        let (interrupts, interrupt) = AsyncStream.makeStream(of: Void.self)
        HostSignals.watch { _ in interrupt.yield() }
        let writer = TraceWriting(path: path)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [client = daemon.client, name] in
                try await client.trace(name, query, ready: writer.begin, writer.write)
                return true
            }
            group.addTask { await interrupts.first { _ in true } == nil }
            if let limit { group.addTask { try await TraceVerb.pause(limit) } }
            // Whichever is over first: the disk, the user's patience or the time.
            if try await group.next() == false {
                try? await daemon.client.stopTrace(name)
                // The rest comes at once, or the daemon is stuck. A second interrupt does not wait for it.
                group.addTask { await interrupts.first { _ in true } == nil }
                group.addTask { try await TraceVerb.pause(.seconds(5)) }
                _ = try await group.next()
            }
            group.cancelAll()
        }
        try report(writer.tally, path)
    }

    /// False after that time.
    private static func pause(_ duration: Duration) async throws -> Bool {
        try await Task.sleep(for: duration)
        return false
    }

    private func query() throws(Problem) -> TraceQuery {
        var query = TraceQuery()
        query.categories = actions.isEmpty ? nil : actions.joined(separator: ",")
        query.first = start.map(String.init)
        query.last = end.map(String.init)
        query.process = pid.map(String.init)
        if let buffer { query.buffer = String(try Units.bytes(buffer)) }
        return query
    }

    private func report(_ tally: TraceTally, _ path: String?) throws {
        if print.json, path != nil {
            try Output.json(TraceModel(tally, path))
            return
        }
        let lost = tally.lost == 0 ? "" : ", \(tally.lost) lost: a larger --buffer or fewer actions keep them"
        let text =
            "\(name): \(Units.plural(tally.records, "record")), \(Units.short(tally.bytes)) in \(path ?? "all")\(lost)"
        // Standard output has the trace, if no file has.
        if path == nil { Output.error(text) } else { Output.line(text) }
    }
}

/// Where the bytes of a trace go.
private final class TraceWriting: Sendable {
    private struct State {
        var tally = TraceTally()
        var file: OutputFile?
    }
    private let state = Lock(State())
    private let path: String?

    init(path: String?) { self.path = path }

    var tally: TraceTally { state.withLock { $0.tally } }

    /// The daemon has agreed: until then no file is made, so that a wrong name costs none.
    func begin() throws(Problem) {
        do throws(SystemError) {
            let file = try path.map { path throws(SystemError) in try OutputFile(path: path) } ?? OutputFile()
            state.withLock { $0.file = file }
        } catch {
            throw Problem(.failed, "the trace cannot be written to \(path ?? ""): \(error)", errno: error.name)
        }
    }

    func write(_ bytes: [UInt8]) throws(Problem) {
        let (file, isTrace) = state.withLock { ($0.file, $0.tally.feed(bytes)) }
        guard isTrace else { throw Problem(.failed, "what the daemon sends is no trace", errno: "EPROTO") }
        do throws(SystemError) {
            try file?.write(bytes)
        } catch {
            // Nobody reads any more, which is as good an end as any.
            if path == nil, error.name == "EPIPE" { Host.exit(ExitStatus.done.rawValue) }
            throw Problem(
                .failed, "the trace cannot be written to \(path ?? "standard output"): \(error)", errno: error.name)
        }
    }
}
