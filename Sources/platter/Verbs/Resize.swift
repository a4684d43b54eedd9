// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct ResizeVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resize",
        abstract: "Change the size of a disk.",
        discussion: """
            A file grows with its disk. One whose disk shrinks keeps its length, and the disk has it again when it is
            added anew.
            """)

    @Argument(help: "The disk.")
    var name: String
    @Argument(help: "The new size, such as 512M or 2G; a multiple of the sector size.")
    var size: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let request = ResizeRequest(size: try Units.bytes(size))
        let detail = try await daemon.client.send(.resizeDisk, name, body: request, as: DiskDetail.self)
        if output.json {
            try Output.json(detail)
        } else {
            Output.oddities(detail.notes, of: detail.device.name)
            Output.line("\(detail.device.name): \(Units.size(detail.device.size))")
        }
    }
}
