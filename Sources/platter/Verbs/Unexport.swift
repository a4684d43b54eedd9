// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct UnexportVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unexport",
        abstract: "Take an export back.")

    @Argument(help: "The id, as 'platter export' printed it and 'platter show' lists it.")
    var id: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let export = try await daemon.client.send(.removeExport, id, as: ExportModel.self)
        if output.json { try Output.json(export) }
    }
}
