// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Which minors under 259 are taken, one bit each: by the pool, lowest first, or by a driver that asked for one.
struct MinorPool {
    private let limit: Int
    /// Grown as far as a minor was ever taken.
    private var words: [UInt64] = []
    /// No word before this one has a free minor.
    private var firstFree = 0

    /// A pool of the minors below `limit`, all of them free.
    init(limit: Int) { self.limit = limit }

    /// Takes the lowest free minor; nil: none is left.
    mutating func take() -> Int? {
        while firstFree < words.count, words[firstFree] == .max { firstFree += 1 }
        if firstFree == words.count { words.append(0) }
        let minor = firstFree * 64 + (~words[firstFree]).trailingZeroBitCount
        guard minor < limit else { return nil }
        words[firstFree] |= 1 << UInt64(minor % 64)
        return minor
    }

    /// Takes this one; false: it is taken.
    mutating func take(_ minor: Int) -> Bool {
        guard (0..<limit).contains(minor) else { return false }
        if minor / 64 >= words.count { words += [UInt64](repeating: 0, count: minor / 64 + 1 - words.count) }
        let bit: UInt64 = 1 << UInt64(minor % 64)
        guard words[minor / 64] & bit == 0 else { return false }
        words[minor / 64] |= bit
        return true
    }

    /// Gives one back that was taken.
    mutating func giveBack(_ minor: Int) {
        let bit: UInt64 = 1 << UInt64(minor % 64)
        invariant(minor / 64 < words.count && words[minor / 64] & bit != 0, "a minor is given back once")
        words[minor / 64] &= ~bit
        firstFree = min(firstFree, minor / 64)
    }
}
