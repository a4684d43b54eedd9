// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem

/// Everything that is written for people and scripts goes through here.
enum Output {
    /// Text as it is, to standard output.
    static func text(_ text: String) {
        do throws(SystemError) {
            try HostFile.write(1, text)
        } catch {
            // Nobody reads any more: `| head` has what it wanted.
            if error.name == "EPIPE" { Host.exit(ExitStatus.done.rawValue) }
            self.error("standard output cannot be written: \(error)")
            Host.exit(ExitStatus.failed.rawValue)
        }
    }

    /// A line to standard output.
    static func line(_ text: String) { self.text(text.hasSuffix("\n") ? text : text + "\n") }

    /// One JSON document to standard output.
    static func json(_ value: some Encodable, pretty: Bool = true) throws {
        line(try ControlJSON.text(value, pretty: pretty))
    }

    /// A failure: one line on standard error, and under `--json` the problem as one object on standard output, so that a
    /// program reads the same place whatever comes.
    static func problem(_ problem: Problem, _ arguments: [String]) {
        if arguments.prefix(while: { $0 != "--" }).contains(where: { $0 == "--json" || $0 == "-J" }) {
            // A stream of events has an object a line.
            try? json(problem, pretty: arguments.first != "events")
        }
        error(problem.detail)
    }

    /// What is odd about a disk or a table, a line each, with what mends it where a verb does.
    static func oddities(_ lines: [String], of target: String) {
        for line in lines {
            let isBehind = line.hasPrefix("GPT: the backup header is at block")
            error(
                "\(target): \(line)"
                    + (isBehind ? "; 'platter partition convert \(target)' moves it to the end of the disk" : ""))
        }
    }

    /// A line to standard error that says which program speaks.
    static func error(_ text: String) { try? HostFile.write(2, "platter: \(text)\n") }
}
