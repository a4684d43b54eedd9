// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What a gate is: open, frozen any number of times over, or dead for good. Pure; ``Gate`` keeps it behind its lock.
///
/// ```
///            freeze (depth 1)                kill
///   open ───────────────────▶ frozen ──────────────────▶ dead
///    ▲  ◀───────────────────   │ ▲                        ▲
///    │      thaw (depth 0)     └─┘ freeze, thaw (depth)   │
///    └────────────────────────────────────────────────────┘ kill
/// ```
/// Dead is the end: a thaw that comes later brings the depth down and opens nothing (T46, T47).
package struct GateStateMachine: Equatable, Sendable {
    package init() {}

    package enum State: UInt64 { case open = 0, frozen = 1, dead = 2 }

    package private(set) var depth = 0
    package private(set) var isDead = false
    /// Goes up with every opening, so that a drainer can tell its own closing from a later one.
    package private(set) var generation: UInt64 = 0

    package var state: State { isDead ? .dead : depth > 0 ? .frozen : .open }
    /// The word that those who enter read.
    package var word: UInt64 { generation << 2 | state.rawValue }

    package mutating func freeze() { depth += 1 }

    /// Whether it opened.
    package mutating func thaw() -> Bool {
        invariant(depth > 0, "a gate is thawed as often as it was frozen")
        depth -= 1
        guard depth == 0, !isDead else { return false }
        generation += 1
        return true
    }

    /// Whether this was the kill; false if it was dead before.
    package mutating func kill() -> Bool {
        defer { isDead = true }
        return !isDead
    }
}
