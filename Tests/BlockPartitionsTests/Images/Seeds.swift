// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The seeds of a test that draws: these, so that every run is the same; `PLATTER_SEED=N` or `random` gives another one.
func seeds(_ fixed: UInt64...) -> [UInt64] {
    guard let text = ProcessInfo.processInfo.environment["PLATTER_SEED"] else { return fixed }
    let seed = UInt64(text) ?? UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    return [seed]
}
