// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BlockControl
import BlockSystem

@main
struct Platter: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "platter",
        abstract: "Disks in user space: serve them, use them, pull them at any moment.",
        discussion: """
            'platter serve ram size=1G' starts a daemon with one disk.
            Every other verb talks to it, but 'doctor' and what is asked of a file.

            Exit status: 0 done, 1 failed, 4 done but the deadline passed,
            32 no such disk, 64 usage, 69 no daemon, 75 busy,
            77 not permitted.
            """,
        version: "platter \(version)",
        subcommands: [
            ServeVerb.self,
            AddVerb.self,
            ListVerb.self,
            ShowVerb.self,
            PartitionsVerb.self,
            PartitionVerb.self,
            RemoveVerb.self,
            YankVerb.self,
            ProvideVerb.self,
            UnprovideVerb.self,
            QuarantineVerb.self,
            ResizeVerb.self,
            SetVerb.self,
            AttrVerb.self,
            RescanVerb.self,
            InsertVerb.self,
            EjectVerb.self,
            FreezeVerb.self,
            ThawVerb.self,
            ExportVerb.self,
            UnexportVerb.self,
            MountVerb.self,
            UmountVerb.self,
            EventsVerb.self,
            SettleVerb.self,
            TraceVerb.self,
            DoctorVerb.self,
        ])

    /// The version of the program.
    static let version = "0.1.0"

    static func main() {
        // Before any thread exists, so that none of them can be the one that a signal ends.
        if ["serve", "trace"].contains(CommandLine.arguments.dropFirst().first) { HostSignals.hold() }
        // Detached: the main actor never gets its thread back.
        Task.detached { Host.exit(await run(Array(CommandLine.arguments.dropFirst()))) }
        let never = Parker()
        while true { never.wait() }
    }

    /// Runs a command line and returns its exit status.
    static func run(_ arguments: [String]) async -> Int32 {
        if arguments.first == "help", let unknown = unknownVerb(in: Array(arguments.dropFirst())) {
            Output.error(unknown)
            return ExitStatus.usage.rawValue
        }
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return ExitStatus.done.rawValue
        } catch {
            return report(error, arguments)
        }
    }

    private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
        switch error {
        case let problem as Problem:
            Output.problem(problem, arguments)
            return problem.exitStatus.rawValue
        case let unreachable as Unreachable:
            Output.problem(Problem(unreachable), arguments)
            return unreachable.exitStatus.rawValue
        case let status as ExitStatus: return status.rawValue
        case let code as ExitCode: return code.rawValue
        default: return reportUsage(error, arguments)
        }
    }

    // Help and version are asked for and go to standard output; a usage error is one line on standard error.
    private static func reportUsage(_ error: any Error, _ arguments: [String]) -> Int32 {
        let code = exitCode(for: error)
        if code.isSuccess {
            Output.line(fullMessage(for: error))
            return ExitStatus.done.rawValue
        }
        guard code == .validationFailure else {
            Output.error(message(for: error))
            return ExitStatus.failed.rawValue
        }
        if let unknown = unknownVerb(in: arguments) {
            Output.problem(Problem(.usage, unknown), arguments)
            return ExitStatus.usage.rawValue
        }
        let path = verb(of: arguments).path
        var text = message(for: error).split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ")
        if text.hasSuffix(".") { text.removeLast() }
        let help = (["platter"] + path + ["--help"]).joined(separator: " ")
        Output.problem(Problem(.usage, "\(text); see '\(help)'"), arguments)
        return ExitStatus.usage.rawValue
    }

    /// A line about a word that stands where a verb should, and is none.
    private static func unknownVerb(in arguments: [String]) -> String? {
        let (path, verbs) = verb(of: arguments)
        guard !verbs.isEmpty, arguments.count > path.count, !arguments[path.count].hasPrefix("-") else { return nil }
        let name = (path + [arguments[path.count]]).joined(separator: " ")
        return "there is no verb '\(name)'; there are \(verbs.joined(separator: " "))"
    }

    /// The verb that a command line names, such as `partition create`, and the verbs that may follow it.
    private static func verb(of arguments: [String]) -> (path: [String], verbs: [String]) {
        var verbs: [any ParsableCommand.Type] = configuration.subcommands
        var path: [String] = []
        for word in arguments {
            let found = verbs.first { verb in
                verb.configuration.commandName == word || verb.configuration.aliases.contains(word)
            }
            guard let found else { break }
            path.append(word)
            verbs = found.configuration.subcommands
        }
        return (path, verbs.compactMap { $0.configuration.commandName })
    }
}

extension Problem {
    /// That the daemon could not be asked.
    init(_ unreachable: Unreachable) {
        self.init(unreachable.exitStatus == .notPermitted ? .notPermitted : .unreachable, unreachable.reason)
    }
}

extension ExitStatus {
    /// Ends the command with this status, if it is one to end with.
    func end() throws { if self != .done { throw self } }
}
