// SPDX-License-Identifier: Apache-2.0

/// Warnings in the order they came, with a bound: a hostile table must not fill the memory or the log.
struct WarningList {
    private static let limit = 256
    private var kept: [String] = []
    private var leftOut = 0

    mutating func add(_ line: String) {
        if kept.count < Self.limit {
            kept.append(line)
        } else {
            leftOut += 1
        }
    }

    /// The lines kept, and one that counts the others.
    var lines: [String] {
        leftOut == 0 ? kept : kept + ["\(leftOut) more warnings left out"]
    }
}
