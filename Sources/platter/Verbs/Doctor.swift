// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl

struct DoctorVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this machine allows, and the line to type where something is missing.",
        discussion: "Exit status 1 only where something is missing without which platter cannot work.")

    @Option(help: ArgumentHelp("The control socket that a daemon would use.", valueName: "path"))
    var socket: String?
    @OptionGroup var output: PrintOptions

    func run() async throws {
        let checks = await Checkup(paths: ControlPaths(socket: socket)).run()
        let isFit = !checks.contains { $0.isNecessary && $0.state == .missing }
        if output.json {
            try Output.json(CheckList(fit: isFit, checks: checks))
        } else {
            for check in checks {
                Output.line("\(check.state.rawValue.padded(to: 8)) \(check.name.padded(to: 17))\(check.detail)")
                if let advice = check.advice { Output.line(String(repeating: " ", count: 26) + "→ " + advice) }
            }
        }
        try (isFit ? ExitStatus.done : .failed).end()
    }
}

/// What `doctor --json` prints.
struct CheckList: Encodable {
    /// Whether everything necessary is there.
    var fit: Bool
    var checks: [Check]
}

/// One thing that was looked at.
struct Check: Encodable {
    enum State: String, Encodable { case ok, warn, missing }
    var name: String
    var state: State
    /// What was found.
    var detail: String
    /// The line to type, or what to do.
    var advice: String?
    /// Whether platter cannot work without it.
    var isNecessary = false

    enum CodingKeys: String, CodingKey {
        case name, state, detail, advice
        case isNecessary = "necessary"
    }
}
