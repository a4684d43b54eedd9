// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct EventsVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print what happens to disks, as 'udevadm monitor --property' does, until interrupted.")

    @Option(help: ArgumentHelp("The first event that is wanted, where it is still kept.", valueName: "seq"))
    var from: UInt64?
    @OptionGroup var daemon: DaemonOptions
    @Flag(help: "Print one JSON object on a line for each event.")
    var json = false

    func run() async throws {
        let client = daemon.client
        try await client.events(from: from) { message in
            switch message {
            case .event(let event):
                if json {
                    try Output.json(event, pretty: false)
                } else {
                    Output.line(
                        "PLATTER[\(Units.microseconds(event.time))] \(event.action.padded(to: 8))\(event.devpath) (block)"
                    )
                    Output.line(event.propertyLines.joined(separator: "\n") + "\n\n")
                }
            case .lost(let count):
                if json {
                    try Output.json(LostModel(count: count), pretty: false)
                } else {
                    Output.line("PLATTER lost \(Units.plural(count, "event"))\n\n")
                }
            }
            return true
        }
        throw Unreachable(reason: "the daemon at \(client.paths.socket) has ended", exitStatus: .unreachable)
    }
}
