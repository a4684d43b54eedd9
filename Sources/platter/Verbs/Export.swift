// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct ExportVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Offer a disk or partition to clients, and print the export's id and its URI.",
        discussion: """
            nbd: name=EXPORT-NAME, address=unix:PATH or address=tcp:HOST:PORT, ro=on|off.
            Without an address, the name is served at the daemon's own addresses.
            """)

    @Argument(help: "The disk or partition.")
    var name: String
    @Argument(help: "The protocol: nbd.")
    var kind: String
    @Argument(help: ArgumentHelp("Its keys.", valueName: "key=value"))
    var parameters: [String] = []
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let request = ExportRequest(device: name, kind: kind, parameters: parameters.map(Parameter.init).object)
        let export = try await daemon.client.send(.addExport, body: request, as: ExportModel.self)
        if output.json { try Output.json(export) } else { Output.line("\(export.id ?? "-") \(export.uri)") }
    }
}
