// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct SetVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change settings of a disk or its driver, such as ro=on or answer=off.")

    @Argument(help: "The disk; seq:N for a removed disk that still owes answers.")
    var name: String
    @Argument(help: ArgumentHelp("The settings; 'platter show' lists those there are.", valueName: "key=value"))
    var settings: [String]
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        var request = SetRequest(settings: [:])
        for word in settings {
            let parameter = Parameter(word)
            guard let key = parameter.key else {
                throw ValidationError("'\(word)' is not a setting; write key=value.")
            }
            guard request.settings.updateValue(parameter.value, forKey: key) == nil else {
                throw ValidationError("'\(key)' is given twice.")
            }
        }
        let detail = try await daemon.client.send(.setDisk, name, body: request, as: DiskDetail.self)
        if output.json { try Output.json(detail) }
    }
}
