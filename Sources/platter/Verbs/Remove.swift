// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
package import BlockControl

struct RemoveVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove disks and print what became of their I/O.",
        discussion: """
            safe      refuses while anybody has the disk open, and says who (the default)
            deferred  goes when the last opener closes; new ones are let in meanwhile
            hide      goes when the last opener closes; new ones are refused
            soft      as hide, and the openers are asked to leave
            hard      flushes, then cuts the openers
            surprise  cuts now, flushes nothing
            """,
        aliases: ["rm"])

    @Argument(help: "The disks.")
    var names: [String] = []
    @Flag(help: "All disks.")
    var all = false
    @Option(
        help: "How: safe, deferred, hide, soft, hard or surprise.",
        completion: .list(["safe", "deferred", "hide", "soft", "hard", "surprise"]))
    var mode: String?
    @Option(
        help: """
            How long flush and drain may take together, and --wait waits, such as 5s; 30s, or 1s for surprise, if not \
            given.
            """)
    var timeout: String?
    @Flag(help: "Wait for the end also with deferred, hide and soft.")
    var wait = false
    @Flag(help: "Take a deferred or hidden removal back.")
    var cancel = false
    @Flag(name: .customLong("dry-run"), help: "Say what would happen, and do nothing.")
    var dryRun = false
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: PrintOptions

    func validate() throws {
        if all == !names.isEmpty { throw ValidationError("Name the disks to remove, or give --all.") }
        if cancel, mode != nil || wait || dryRun || timeout != nil {
            throw ValidationError("--cancel goes with no other option of a removal.")
        }
    }

    func run() async throws {
        let seconds = try timeout.map { try Units.patience($0, option: "--timeout").asSeconds }
        let request = RemovalRequest(
            mode: mode, timeoutSeconds: seconds, wait: wait ? true : nil, dryRun: dryRun ? true : nil)
        let removal = Removal(client: daemon.client, request: request, isCancel: cancel, isJSON: output.json)
        try await removal.run(names: names, all: all).end()
    }
}

/// Removes several disks at once, so that a slow one delays no other, but what stands on another one before that; and
/// reports on each in the order of the names.
struct Removal: Sendable {
    let client: ControlClient
    let request: RemovalRequest
    var isCancel = false
    let isJSON: Bool

    /// Each has a connection of its own, and a process may have a thousand files.
    private static let atOnce = 256

    private enum Answer: Sendable {
        case report(RemovalModel)
        case cancelled(String)
        case problem(Problem)
    }

    func run(names: [String], all: Bool) async throws -> ExitStatus {
        // With --all the disks are named by name and tag: one that was added meanwhile under the name is left alone.
        var targets: [(name: String, tag: String?)] = names.map { ($0, nil) }
        var disks: [DeviceModel] = []
        if all || names.count > 1 {
            disks = try await client.send(.listDisks, query: [("hidden", "1")], as: DeviceList.self).blockdevices
        }
        if all {
            let instance = try await client.send(.health, as: HealthModel.self).instance
            targets = disks.map {
                ($0.name, DiskTag(instance: instance, diskseq: $0.diskseq, generation: nil).text)
            }
        }
        var answers: [Int: Answer] = [:]
        // Of a dry run: what would be by then.
        var gone: Set<String> = []
        for wave in RemovalOrder.waves(targets.map(\.name), disks) {
            try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
                for (place, index) in wave.enumerated() {
                    let target = targets[index]
                    if place >= Self.atOnce, let (index, answer) = try await group.next() { answers[index] = answer }
                    group.addTask { (index, try await ask(target.name, target.tag)) }
                }
                for try await (index, answer) in group { answers[index] = answer }
            }
            guard request.dryRun == true else { continue }
            for index in wave {
                guard case .report(let report) = answers[index] else { continue }
                let foreseen = RemovalOrder.foreseen(report, without: gone)
                answers[index] = .report(foreseen)
                if foreseen.outcome == "would-remove" { gone.insert(report.disk) }
            }
        }
        return try print(targets.indices.compactMap { answers[$0] })
    }

    private func ask(_ name: String, _ tag: String?) async throws -> Answer {
        do {
            if isCancel {
                return .cancelled(
                    try await client.send(.cancelRemoval, name, ifMatch: tag, as: DiskDetail.self).device.name)
            }
            return .report(try await client.send(.removeDisk, name, body: request, ifMatch: tag))
        } catch let problem as Problem {
            return .problem(problem)
        } catch let unreachable as Unreachable {
            // What the others were answered is printed all the same.
            return .problem(Problem(unreachable))
        }
    }

    private func print(_ answers: [Answer]) throws -> ExitStatus {
        var status = ExitStatus.done
        var reports: [RemovalModel] = []
        var waitedInVain: [String] = []
        var problems: [Problem] = []
        for answer in answers {
            switch answer {
            case .report(let report):
                reports.append(report)
                let stillThere = request.wait == true && report.outcome == "pending"
                status = status.and(stillThere ? .busy : report.exitStatus)
                if stillThere { waitedInVain.append(report.disk) }
            case .cancelled(let name):
                if !isJSON { Output.line("\(name): the removal was taken back") }
            case .problem(let problem):
                if let report = problem.report { reports.append(report) } else { problems.append(problem) }
                status = status.and(problem.exitStatus)
            }
        }
        if isJSON {
            if answers.count == 1 {
                if let report = reports.first { try Output.json(report) }
                if let problem = problems.first { try Output.json(problem) }
            } else {
                try Output.json(RemovalList(removals: reports, problems: problems))
            }
        } else {
            for report in reports { Output.line(report.text) }
        }
        for disk in waitedInVain {
            Output.error(
                "\(disk): its openers have not left in time; it still goes when they have, and --cancel takes that back"
            )
        }
        var said: Set<String> = []
        for case .problem(let problem) in answers where said.insert(problem.detail).inserted {
            Output.error(problem.detail)
        }
        return status
    }
}

/// In which order several disks go.
package enum RemovalOrder {
    /// Which may go at once, by index: first what nothing else of them stands on.
    package static func waves(_ names: [String], _ disks: [DeviceModel]) -> [[Int]] {
        var lowers: [String: Set<String>] = [:]
        for disk in disks {
            for device in [disk] + (disk.children ?? []) {
                for upper in device.uppers { lowers[upper, default: []].insert(disk.name) }
            }
        }
        var waves: [[Int]] = []
        var left = Array(names.indices)
        while !left.isEmpty {
            let held = left.reduce(into: Set<String>()) { held, index in
                held.formUnion(lowers[names[index]]?.subtracting([names[index]]) ?? [])
            }
            let wave = left.filter { !held.contains(names[$0]) }
            // No stack has a circle; should the list say so, all go at once.
            waves.append(wave.isEmpty ? left : wave)
            left.removeAll { waves[waves.count - 1].contains($0) }
        }
        return waves
    }

    /// What a dry run says of a disk when those of `gone` will have been removed before it: their claims are out of its
    /// way by then, though it sees them now.
    package static func foreseen(_ report: RemovalModel, without gone: Set<String>) -> RemovalModel {
        func leaves(_ opener: OpenerModel) -> Bool { opener.holder.map(gone.contains) ?? false }
        let leaving = report.openers.filter(leaves)
        guard !leaving.isEmpty else { return report }
        var foreseen = report
        foreseen.openers.removeAll(where: leaves)
        foreseen.notes += Set(leaving.compactMap(\.holder)).sorted().map { "'\($0)' stands on it, and goes first" }
        if foreseen.openers.isEmpty { foreseen.outcome = "would-remove" }
        return foreseen
    }
}

/// What `remove --json` prints for more than one disk.
struct RemovalList: Encodable {
    var removals: [RemovalModel]
    /// Those disks that there is no report of.
    var problems: [Problem]
}
