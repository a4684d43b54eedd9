// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct YankVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "yank",
        abstract: "Pull disks out at once, whoever uses them: remove --mode surprise.")

    @Argument(help: "The disks.")
    var names: [String]
    @Option(help: "How long the driver may take to answer what it holds, such as 500ms; 1s where it is not given.")
    var timeout: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let seconds = try timeout.map { try Units.patience($0, option: "--timeout").asSeconds }
        let request = RemovalRequest(mode: "surprise", timeoutSeconds: seconds)
        let removal = Removal(client: daemon.client, request: request, isJSON: output.json)
        try await removal.run(names: names, all: false).end()
    }
}
