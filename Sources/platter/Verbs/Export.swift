// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

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
        let request = ExportRequest(device: name, kind: kind, parameters: parameters.map(ExportVerb.parameter).object)
        let export = try await daemon.client.send(.addExport, body: request, as: ExportModel.self)
        if output.json { try Output.json(export) } else { Output.line("\(export.id ?? "-") \(export.uri)") }
    }

    // The daemon has another current directory: a socket is made where it was typed.
    private static func parameter(_ word: String) -> Parameter {
        let parameter = Parameter(word)
        guard parameter.key == "address", parameter.value.hasPrefix("unix:") else { return parameter }
        return Parameter(
            key: parameter.key, value: "unix:" + HostFile.absolute(String(parameter.value.dropFirst("unix:".count))))
    }
}
