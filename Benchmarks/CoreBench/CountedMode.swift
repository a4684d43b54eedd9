// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockCore
import BlockDrivers
import BlockSystem

/// A fixed number of operations of one kind. Two runs with different numbers tell what one costs: set-up and end are
/// the same in both.
enum CountedMode: String, CaseIterable {
    case gate
    case nullDataless = "null-dataless"
    case nullLent = "null-lent"
    case nullOwned = "null-owned"
    case nullSingle = "null-single"
    case ramRead = "ram-read"
    case ramWrite = "ram-write"
    case scanGPT = "scan-gpt"

    func run(_ count: Int) {
        switch self {
        case .gate:
            guard let cells = UsageCells() else { return }
            Measure.onWorker {
                for _ in 0..<count {
                    _ = cells.enter(1)
                    if !cells.leave(1) { cells.wake() }
                }
            }
        case .nullDataless, .nullLent, .nullOwned, .nullSingle:
            let rig = Rig(InstantDriver())
            Measure.onWorker { [self] in
                switch self {
                case .nullDataless: rig.dataless(count)
                case .nullLent: rig.lent(.read, count)
                case .nullOwned: rig.owned(.read, count)
                default: rig.single(count)
                }
            }
        case .scanGPT: ScanBench.scan(ScanBench.gpt(entries: 128), count)
        case .ramRead, .ramWrite:
            guard let memory = try? SparseMemory() else { return }
            let rig = Rig(RamDriver(capacity: 2048, memory: memory))
            Measure.onWorker { [self] in
                rig.fill()
                rig.lent(self == .ramRead ? .read : .write, count)
            }
        }
    }
}
