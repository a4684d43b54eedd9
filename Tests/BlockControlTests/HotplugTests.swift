// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockDrivers
import BlockSystem
import Logging
import Testing

/// Keeps the lines of a log.
private final class KeptLog: Sendable {
    let lines = Lock<[String]>([])
    var logger: Logger { Logger(label: "test") { _ in KeptLogHandler(log: self) } }
}

private struct KeptLogHandler: LogHandler {
    let log: KeptLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { keep(event.message, event.metadata) }
    private func keep(_ message: Logger.Message, _ metadata: Logger.Metadata?) {
        let facts = (metadata ?? [:]).filter { $0.key != "program" }.map { " \($0.key)=\($0.value)" }.sorted().joined()
        log.lines.withLock { $0.append("\(message)\(facts)") }
    }
}

private func removed(_ disk: Disk) async -> Bool {
    if case .removed = await disk.remove() { true } else { false }
}

@Suite(.timeLimit(.minutes(2))) struct `The hotplug helper` {
    private struct Rig {
        let registry: DiskRegistry
        let directory: String
        let helper: HotplugHelper
        let log: KeptLog

        func disk(_ name: String) async throws -> Disk {
            var options = DiskOptions()
            options.name = name
            options.scansPartitions = false
            return try await registry.add(NullDriver(capacity: 1024), options)
        }
        var told: String { (try? HostFile.readText(directory + "/told")) ?? "" }
        func settle() async { #expect(await registry.events.settle(within: .seconds(60)) == 0) }
    }

    /// - Parameter script: what the program does; `$here` is the directory of the test.
    private func withHelper(
        _ script: String, limit: Duration = .seconds(60), capacity: Int = 64, _ body: (Rig) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let program = directory + "/helper"
            let writing = try ShellCommand(
                "mkfifo \"$directory/gate\"; cat >\"$directory/helper\" <<'END'\n#!/bin/sh\nhere=\(directory)\n"
                    + "\(script)\nEND\nchmod 755 \"$directory/helper\"",
                environment: [("directory", directory)])
            #expect(writing.wait() == 0)
            let log = KeptLog()
            let registry = DiskRegistry(eventCapacity: capacity)
            let helper = HotplugHelper(program: program, limit: limit, logger: log.logger)
            helper.start(registry.events)
            try await body(Rig(registry: registry, directory: directory, helper: helper, log: log))
            helper.stop()
            for disk in registry.disks { _ = await disk.remove(.surprise) }
        }
    }

    @Test func `has the event and nothing else for its environment, and is called in order`() async throws {
        // The shell's own variables are not among those that it was started with.
        try await withHelper(#"{ echo "$1 $#"; tr '\0' '\n' <"/proc/$$/environ"; } >>"$here/told""#) { rig in
            let disk = try await rig.disk("a")
            try disk.part0.synthesizeEvent("change")
            #expect(await removed(disk))
            await rig.settle()
            let keys = [
                "MAJOR=259", "MINOR=0", "DEVNAME=a", "DEVTYPE=disk", "DISKSEQ=1",
            ]
            func call(_ number: Int, _ action: String, _ extra: [String] = []) -> [String] {
                ["block 1", "ACTION=\(action)", "DEVPATH=/devices/virtual/block/a", "SUBSYSTEM=block"] + extra + keys
                    + ["SEQNUM=\(number)", "HOME=/", "PATH=/sbin:/bin:/usr/sbin:/usr/bin"]
            }
            let told = rig.told.split(separator: "\n").map(String.init)
            #expect(
                told == call(1, "add") + call(2, "change", ["SYNTH_UUID=0"]) + call(3, "offline") + call(4, "remove"))
            #expect(rig.log.lines.withLock { $0 } == [])
        }
    }

    @Test func `is killed with all that it has started when it takes too long, and called for the next`() async throws {
        let script =
            #"echo "$SEQNUM" >>"$here/told"; [ "$SEQNUM" = 2 ] || exit 0; tail -f /dev/null; echo >>"$here/told""#
        try await withHelper(script, limit: .seconds(5)) { rig in
            let disk = try await rig.disk("a")
            for _ in 2...3 { try disk.part0.synthesizeEvent("change") }
            await rig.settle()
            #expect(rig.told == "1\n2\n3\n")
            #expect(
                rig.log.lines.withLock { $0 } == [
                    "hotplug helper: it took longer than 5.0 seconds and was killed", "hotplug helper: it works again",
                ])
        }
    }

    @Test func `is told of what it was too slow for, and holds up no disk meanwhile`() async throws {
        let script =
            #"echo "$ACTION $SEQNUM $PLATTER_LOST" >>"$here/told"; [ "$SEQNUM" != 1 ] || read -r x <"$here/gate""#
        try await withHelper(script, capacity: 2) { rig in
            let disk = try await rig.disk("a")
            while rig.told.isEmpty { await Task.yield() }
            for _ in 2...9 { try disk.part0.synthesizeEvent("change") }
            #expect(await removed(disk), "the removal is over while the helper still has the add")
            #expect(rig.told == "add 1 \n")
            let opening = try ShellCommand("echo >\"$gate\"", environment: [("gate", rig.directory + "/gate")])
            #expect(opening.wait() == 0)
            await rig.settle()
            #expect(rig.told == "add 1 \nlost  8\noffline 10 \nremove 11 \n")
            #expect(rig.log.lines.withLock { $0 } == ["events lost to the hotplug helper count=8"])
        }
    }

    @Test func `is ended when it is stopped amid a call`() async throws {
        // Nobody else ends it within the time that the test waits, and what a failure leaves behind ends by itself.
        try await withHelper(#"echo >>"$here/told"; sleep 50"#) { rig in
            let disk = try await rig.disk("a")
            try disk.part0.synthesizeEvent("change")
            // It may be heard of before the helper knows it.
            let begun = Instant.now + .seconds(20)
            while rig.told.isEmpty || !rig.helper.isCalling, Instant.now < begun { await Task.yield() }
            #expect(rig.told == "\n" && rig.helper.isCalling && rig.registry.events.deliverers > 0)
            rig.helper.stop()
            let ended = Instant.now + .seconds(20)
            while rig.registry.events.deliverers > 0, Instant.now < ended { await Task.yield() }
            #expect(rig.registry.events.deliverers == 0 && !rig.helper.isCalling, "it was killed")
            #expect(rig.told == "\n", "and is not called again")
            #expect(rig.log.lines.withLock { $0 } == [])
        }
    }

    @Test func `says once what goes wrong each time`() async throws {
        try await withHelper(#"[ "$SEQNUM" -gt 3 ] || exit 7"#) { rig in
            let disk = try await rig.disk("a")
            for _ in 2...5 { try disk.part0.synthesizeEvent("change") }
            await rig.settle()
            #expect(
                rig.log.lines.withLock { $0 } == [
                    "hotplug helper: it ended with status 7", "hotplug helper: it ended with status 7 times=3",
                    "hotplug helper: it works again",
                ])
        }
    }
}
