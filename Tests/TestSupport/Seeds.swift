// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The seeds of a test that draws: these, so that every run is the same; `PLATTER_SEED=N` or `random` gives another one.
public func seeds(_ fixed: UInt64...) -> [UInt64] {
    guard let text = ProcessInfo.processInfo.environment["PLATTER_SEED"] else { return fixed }
    let seed = UInt64(text) ?? UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    return [seed]
}

/// Random numbers that a seed repeats (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// The numbers of this seed.
    public init(seed: UInt64) {
        state = seed
    }

    /// The next one.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// One of `0..<below`.
    public mutating func roll(_ below: Int) -> Int { Int(next() % UInt64(below)) }
}
