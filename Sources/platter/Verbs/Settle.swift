// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct SettleVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settle",
        abstract: "Wait until the events that there are were handled, as 'udevadm settle' does.",
        discussion: """
            Handled by the hotplug helper and by all who listen inside the daemon.
            Whoever follows the events from outside is not waited for.
            Ends with 75 when that takes longer than the timeout.
            """)

    @Option(name: .shortAndLong, help: "How long to wait, such as 5 (seconds) or 2m; 2m if it is not given.")
    var timeout: String?
    @Option(
        name: [.customShort("E"), .customLong("exit-if-exists")],
        help: ArgumentHelp("Wait no longer once this disk or partition is there.", valueName: "name"))
    var exitIfExists: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let seconds = try timeout.map { try Units.patience($0, option: "--timeout").asSeconds }
        let settled = try await daemon.client.send(
            .settle, body: SettleRequest(timeoutSeconds: seconds, exitIfExists: exitIfExists), as: SettleModel.self)
        if output.json { try Output.json(settled) }
    }
}
