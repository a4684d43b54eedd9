// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct ListVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the disks and their partitions, as lsblk does.", aliases: ["ls"])

    @Flag(name: [.customShort("a"), .long], help: "Print hidden disks, too.")
    var all = false
    @Flag(name: [.customShort("b"), .long], help: "Print sizes in bytes.")
    var bytes = false
    @Flag(name: [.customShort("n"), .customLong("noheadings")], help: "Print no column names.")
    var noHeadings = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let list = try await daemon.client.send(.listDisks, query: all ? [("hidden", "1")] : [], as: DeviceList.self)
        if output.json {
            try Output.json(list)
        } else if !list.blockdevices.isEmpty {
            Output.text(try DiskTable.text(list, inBytes: bytes, hasHeadings: !noHeadings))
        }
    }
}
