// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

struct QuarantineVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine",
        abstract: "List what removed disks still owe after their deadline.")

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let list = try await daemon.client.send(.quarantine, as: QuarantineList.self)
        if output.json {
            try Output.json(list)
            return
        }
        if list.quarantine.isEmpty {
            Output.line("nothing is owed")
            return
        }
        var rows = [["DISK", "DISKSEQ", "DRIVER", "IOS", "BYTES", "SINCE"]]
        for one in list.quarantine {
            let age = Units.seconds(max(0, Instant.wallClock - one.since))
            rows.append([
                one.disk, "\(one.diskseq)", one.driver, "\(one.ios)", Units.size(one.bytes),
                "\(Units.moment(one.since)) (\(age))",
            ])
        }
        Output.line(Columns.text(rows))
    }
}
