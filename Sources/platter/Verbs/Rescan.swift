// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct RescanVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rescan",
        abstract: "Read the partition table of a disk again and make its partitions devices.",
        discussion: "Happens by itself when the last writer of the whole disk closes it; partscan=off prevents that.")

    @Argument(help: "The disk.")
    var name: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let answer = try await daemon.client.send(.rescanDisk, name, as: RescanModel.self)
        if output.json {
            try Output.json(answer)
            return
        }
        Output.oddities(answer.warnings, of: answer.disk)
        let partitions = answer.partitions.isEmpty ? "no partitions" : answer.partitions.joined(separator: " ")
        Output.line("\(answer.disk): \(answer.table.map { "\($0), " } ?? "")\(partitions)")
    }
}
