// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct FreezeVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze",
        abstract: "Let no I/O into a disk until it is thawed.",
        discussion: """
            It is done when nothing is under way any more. What comes meanwhile waits; nothing is failed.
            A disk that was frozen several times is thawed as often. A removal goes on all the same.
            """)

    @Argument(help: "The disk.")
    var name: String
    @Option(help: ArgumentHelp("How long what is under way may take, such as 5s.", valueName: "duration"))
    var timeout: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let seconds = try timeout.map { try Units.patience($0, option: "--timeout").asSeconds }
        let detail = try await daemon.client.send(
            .freezeDisk, name, body: FreezeRequest(timeoutSeconds: seconds), as: DiskDetail.self)
        if output.json { try Output.json(detail) } else { Output.line(detail.frozenText) }
    }
}

struct ThawVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw",
        abstract: "Take a freeze of a disk back; what waited goes on.")

    @Argument(help: "The disk.")
    var name: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let detail = try await daemon.client.send(.thawDisk, name, as: DiskDetail.self)
        if output.json { try Output.json(detail) } else { Output.line(detail.thawedText) }
    }
}

extension DiskDetail {
    /// What `freeze` answers.
    var frozenText: String {
        "\(device.name): \(device.state)" + (freezeDepth > 1 ? ": \(Units.plural(freezeDepth, "thaw")) needed" : "")
    }

    /// What `thaw` answers.
    var thawedText: String {
        guard freezeDepth > 0 else { return "\(device.name): \(device.state)" }
        return "\(device.name): still frozen: \(freezeDepth) more \(freezeDepth == 1 ? "thaw" : "thaws") needed"
    }
}
