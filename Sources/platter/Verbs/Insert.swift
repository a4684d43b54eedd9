// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

struct InsertVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "insert",
        abstract: "Put an image into a disk with removable media, such as one of the driver 'removable'.")

    @Argument(help: "The disk.")
    var name: String
    @Argument(help: "The image or block device.")
    var file: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        // The daemon has another current directory.
        let request = InsertRequest(path: HostFile.absolute(file))
        let medium = try await daemon.client.send(.insertMedium, name, body: request, as: MediumModel.self)
        if output.json {
            try Output.json(medium)
            return
        }
        Output.oddities(medium.warnings, of: medium.disk)
        let partitions = medium.partitions.isEmpty ? "no partitions" : medium.partitions.joined(separator: " ")
        Output.line(
            "\(medium.disk): \(Units.size(medium.size)), \(medium.table.map { "\($0), " } ?? "")\(partitions)")
    }
}
