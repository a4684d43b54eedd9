// SPDX-License-Identifier: Apache-2.0

import BenchSupport

/// Measures the core in this process: `platter-bench-core [PART]...`, or a fixed number of operations of one kind for
/// an instruction counter: `platter-bench-core --callgrind MODE COUNT`.
@main
struct CoreBench {
    static let parts: [(name: String, run: @Sendable () -> Void)] = [
        ("gate", { GateBench.run() }), ("null", { DataPathBench.runNull() }), ("ram", { DataPathBench.runRam() }),
        ("removal", { RemovalBench.run() }), ("idle", { IdleBench.run() }), ("scan", { ScanBench.run() }),
    ]

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "--callgrind" {
            guard arguments.count == 3, let mode = CountedMode(rawValue: arguments[1]), let count = Int(arguments[2])
            else {
                print("usage: --callgrind \(CountedMode.allCases.map(\.rawValue).joined(separator: "|")) COUNT")
                return
            }
            mode.run(count)
            return
        }
        for part in parts where arguments.isEmpty || arguments.contains(part.name) { part.run() }
    }
}
