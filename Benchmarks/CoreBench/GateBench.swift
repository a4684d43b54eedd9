// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockCore
import BlockSystem

/// What it costs to go in and out, and how fast the gate is shut.
enum GateBench {
    static let operations = 4096

    static func run() {
        both("gate.own") { pass(UsageCells(kind: .asymmetric)) }
        both("gate.locked") { pass(UsageCells(kind: .locked)) }
        both("gate.single") { pass(SingleWordGate()) }
        kill("gate.kill", threads: 0)
        kill("gate.kill.busy", threads: 1)
    }

    private static func both(_ name: String, _ make: () -> @Sendable () -> Void) {
        let work = make()
        Report.figure("\(name).1", Measure.onWorker { Measure.nanoseconds(per: operations, work) }, "ns")
        let two = Measure.besides(1, work) { Measure.nanoseconds(per: operations, work) }
        Report.figure("\(name).2", two, "ns")
    }

    private static func pass(_ cells: UsageCells?) -> @Sendable () -> Void {
        guard let cells else { return {} }
        return {
            for _ in 0..<operations {
                _ = cells.enter(1)
                if !cells.leave(1) { cells.wake() }
            }
        }
    }

    private static func pass(_ gate: SingleWordGate) -> @Sendable () -> Void {
        {
            for _ in 0..<operations {
                _ = gate.enter(1)
                gate.leave(1)
            }
        }
    }

    /// From the store that shuts it to the moment when nobody is known to be inside, as the reaper finds out.
    private static func kill(_ name: String, threads: Int) {
        guard let cells = UsageCells() else { return }
        let times = Measure.besides(threads, pass(cells)) {
            (0..<1000).map { round in
                let start = Instant.now
                cells.setState(UInt64(round) << 2 | 2)
                cells.heavyFence()
                while true {
                    let word = WakeWord.value
                    if cells.isBalanced { break }
                    WakeWord.wait(while: word, until: .never)
                }
                let took = Double((Instant.now - start).nanoseconds) / 1000
                cells.setState(0)
                // Long enough for the other thread to be on its way again.
                let resume = Instant.now + .microseconds(20)
                while Instant.now < resume {}
                return took
            }
        }
        let spread = Spread(times)
        Report.figure("\(name).median", spread.median, "us")
        Report.figure("\(name).worst", spread.worst, "us")
    }
}
