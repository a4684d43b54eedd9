// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
package import BlockControl
import BlockSystem

struct EventsVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print what happens to disks, as 'udevadm monitor --property' does, until interrupted.",
        discussion: """
            platter events pl0 --action add --action remove
            platter events --from 1 --json
            """)

    @Argument(help: "Only these disks, with their partitions, or partitions; without names all.")
    var names: [String] = []
    @Option(
        help: "Only this action; may be repeated.",
        completion: .list(["add", "remove", "change", "offline", "bind", "unbind", "move", "online"]))
    var action: [String] = []
    @Option(
        name: [.customShort("s"), .customLong("subsystem-match")],
        help: ArgumentHelp("Only disks or only partitions: block/disk or block/partition.", valueName: "type"))
    var type: String?
    @Option(help: ArgumentHelp("The first event that is wanted, where it is still kept.", valueName: "seq"))
    var from: UInt64?
    @OptionGroup var daemon: DaemonOptions
    @Flag(help: "Print one JSON object on a line for each event.")
    var json = false

    func run() async throws {
        let client = daemon.client
        try await client.events(
            from: from, filter: try filter(),
            ready: {
                if !json { Output.text(EventText.heading) }
                // Who looks back may well mean one that is gone.
                if !names.isEmpty, from == nil { try await noteAbsent(client) }
            }
        ) { message in
            switch message {
            case .event(let event):
                if json { try Output.json(event, pretty: false) } else { Output.text(EventText.text(event)) }
            case .lost(let count):
                if json {
                    try Output.json(LostModel(count: count), pretty: false)
                } else {
                    Output.text(EventText.lost(count))
                }
            }
            return true
        }
        throw Unreachable(reason: "the daemon at \(client.paths.socket) has ended", exitStatus: .unreachable)
    }

    /// A name may come yet, or be mistyped: whoever waits for it should know which.
    private func noteAbsent(_ client: ControlClient) async throws {
        let found = try await client.send(.listDisks, query: [("hidden", "1")], as: DeviceList.self).blockdevices
        let known = Set(found.flatMap { [$0.name] + ($0.children ?? []).map(\.name) })
        for name in names where !known.contains(name) {
            Output.error("there is no disk '\(name)' now; its events are printed once it comes")
        }
    }

    private func filter() throws -> [(String, String)] {
        var filter: [(String, String)] = []
        if !names.isEmpty { filter.append(("device", names.joined(separator: ","))) }
        if !action.isEmpty { filter.append(("action", action.joined(separator: ","))) }
        guard let type, type != "block" else { return filter }
        guard type.hasPrefix("block/") else {
            throw ValidationError("'\(type)' is none of ours; write block, block/disk or block/partition.")
        }
        return filter + [("devtype", String(type.dropFirst("block/".count)))]
    }
}

/// Events as `udevadm monitor --kernel --property` prints them.
package enum EventText {
    static let heading = "monitor will print the received events for:\nKERNEL - the kernel uevent\n\n"

    /// The moment is that of the machine's clock since boot, as there.
    static func text(_ event: EventModel) -> String {
        text(event, at: event.time - Instant.wallClock + Double(Instant.now.nanoseconds) / 1e9)
    }

    package static func text(_ event: EventModel, at moment: Double) -> String {
        let line = "KERNEL[\(Units.microseconds(moment))] \(event.action.padded(to: 8)) \(event.devpath) (block)"
        return ([line] + event.environment).joined(separator: "\n") + "\n\n"
    }

    package static func lost(_ count: UInt64?) -> String {
        "PLATTER lost " + (count.map { Units.plural($0, "event") } ?? "an unknown number of events") + "\n\n"
    }
}
