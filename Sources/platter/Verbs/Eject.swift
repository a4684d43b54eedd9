// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct EjectVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eject",
        abstract: "Take the medium out of a disk with removable media.",
        discussion: """
            What was written is flushed first. A medium that is open for writing or
            claimed stays, unless --force pulls it: then nothing is flushed, and
            whoever has it open gets errors until they close it.
            """)

    @Argument(help: "The disk.")
    var name: String
    @Flag(help: "Pull it out, whoever uses it.")
    var force = false
    @Option(help: "How long the flush may take, such as 5s; 30s where it is not given.")
    var timeout: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let seconds = try timeout.map { try Units.patience($0, option: "--timeout").asSeconds }
        let request = EjectRequest(force: force ? true : nil, timeoutSeconds: seconds)
        let medium = try await daemon.client.send(.ejectMedium, name, body: request, as: MediumModel.self)
        if output.json {
            try Output.json(medium)
            return
        }
        if medium.unflushedBytes > 0 {
            Output.error("\(medium.disk): \(medium.unflushedBytes) bytes were acknowledged and not flushed")
        }
        for opener in medium.openers { Output.error("\(medium.disk): still open: \(opener.text)") }
        Output.line("\(medium.disk): no medium")
    }
}
