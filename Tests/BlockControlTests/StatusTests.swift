// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import Testing

@Suite struct `Exit statuses and problems` {
    @Test func `the table of exit statuses does not move`() {
        let table: [ExitStatus: Int32] = [
            .done: 0, .failed: 1, .deadlinePassed: 4, .noSuchDisk: 32, .usage: 64, .unreachable: 69, .busy: 75,
            .notPermitted: 77,
        ]
        #expect(table.count == ExitStatus.allCases.count)
        for (status, number) in table { #expect(status.rawValue == number) }
    }

    @Test func `of two statuses the graver one stays, in either order`() {
        for one in ExitStatus.allCases {
            #expect(one.and(.done) == one)
            #expect(one.and(one) == one)
            for other in ExitStatus.allCases { #expect(one.and(other) == other.and(one)) }
        }
        #expect(ExitStatus.busy.and(.deadlinePassed) == .busy)
        #expect(ExitStatus.failed.and(.busy) == .failed)
    }

    @Test(arguments: [
        (Problem.Kind.usage, 400, ExitStatus.usage), (.notFound, 404, .noSuchDisk),
        (.methodNotAllowed, 405, .usage), (.busy, 409, .busy), (.exists, 409, .busy),
        (.changed, 412, .failed), (.notPermitted, 403, .notPermitted),
        (.failed, 500, .failed), (.unreachable, 503, .unreachable),
    ])
    func `each kind of problem has its statuses`(kind: Problem.Kind, http: Int, exit: ExitStatus) {
        let problem = Problem(kind, "x")
        #expect(problem.status == http)
        #expect(problem.exitStatus == exit)
        #expect(problem.kind == kind)
    }

    @Test func `only a missing disk has the status of a missing disk`() {
        #expect(Problem.noSuchDisk("pl9").exitStatus == .noSuchDisk)
        #expect(Problem(.notFound, "no such export", errno: "ENOENT").exitStatus == .failed)
    }

    @Test(arguments: [
        (17, Problem.Kind.exists), (16, .busy), (19, .notFound), (6, .notFound), (22, .usage), (1, .notPermitted),
        (5, .failed), (95, .failed),
    ])
    func `errors of the core become problems with their error number`(errno: Int, kind: Problem.Kind) {
        let problem = Problem(DiskError(errno: Int32(errno), disk: "pl0", sequence: 3, reason: "why"))
        #expect(problem.kind == kind)
        #expect(problem.detail == "why")
        #expect(problem.disk == "pl0")
        #expect(problem.diskseq == 3)
        #expect(problem.errno?.hasPrefix("E") == true)
    }

    @Test(arguments: [
        ("removed", false, ExitStatus.done), ("removed", true, .deadlinePassed), ("pending", false, .done),
        ("busy", false, .busy), ("failed", false, .failed), ("would-be-busy", false, .busy),
        ("would-remove", false, .done), ("cancelled", false, .failed),
    ])
    func `a report says how the command ends`(outcome: String, late: Bool, status: ExitStatus) {
        var report = RemovalModel(
            outcome: outcome, disk: "pl0", diskseq: 1, mode: "safe", requestedMode: "safe", state: "gone")
        report.deadlinePassed = late
        #expect(report.exitStatus == status)
    }

    @Test func `a tag accepts its disk in any state, or in one state only`() throws {
        let present = DiskTag(instance: "abc", diskseq: 7, generation: "1f")
        #expect(present.text == "\"abc-7-1f\"")
        #expect(try #require(DiskTag("\"abc-7-1f\"")).accepts(present))
        #expect(try #require(DiskTag("abc-7")).accepts(present))
        #expect(try !#require(DiskTag("\"abc-7-2f\"")).accepts(present))
        #expect(try !#require(DiskTag("\"abc-8\"")).accepts(present))
        #expect(try !#require(DiskTag("\"xyz-7-1f\"")).accepts(present))
        for bad in ["", "\"\"", "abc", "abc-x", "-7-1", "a-1-2-3"] { #expect(DiskTag(bad) == nil) }
    }
}
