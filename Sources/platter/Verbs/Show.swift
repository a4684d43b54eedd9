// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct ShowVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show everything about a disk or partition, and who holds it since when.")

    @Argument(help: "A disk or partition; seq:N for a removed disk that still owes answers.")
    var name: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let detail = try await daemon.client.send(.showDisk, name, as: DiskDetail.self)
        if output.json { try Output.json(detail) } else { Output.line(detail.text) }
    }
}
