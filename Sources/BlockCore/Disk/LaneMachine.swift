// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who may call a driver outside its gate: one at a time, the others in line, nobody after the close. Pure;
/// ``DriverLane`` keeps it behind its lock.
///
/// ```
///            ask              finished, nobody in line
///   idle ─────────▶ running ───────────────────────────▶ idle
///    │ close          │ close
///    ▼                ▼          finished
///   closed ◀──────── closing ───────────────
/// ```
package struct LaneMachine: Sendable, Equatable {
    package enum Decision: Equatable {
        /// It runs now.
        case start
        /// It runs when those before it are done.
        case wait
        /// It never runs.
        case refuse
    }

    package private(set) var running: UInt64?
    package private(set) var line: [UInt64] = []
    package private(set) var isClosed = false

    package init() {}

    /// Somebody wants to call the driver.
    package mutating func ask(_ id: UInt64) -> Decision {
        guard !isClosed else { return .refuse }
        guard running == nil else {
            line.append(id)
            return .wait
        }
        running = id
        return .start
    }

    /// The one that ran is done; the next one runs. nil: nobody is in line.
    package mutating func finished() -> UInt64? {
        invariant(running != nil, "only what runs can be done")
        running = line.isEmpty ? nil : line.removeFirst()
        return running
    }

    /// Somebody no longer waits. True: he was in line, and never runs.
    package mutating func withdraw(_ id: UInt64) -> Bool {
        guard let place = line.firstIndex(of: id) else { return false }
        line.remove(at: place)
        return true
    }

    /// Nobody is let in any more; returns those in line, who never run.
    package mutating func close() -> [UInt64] {
        isClosed = true
        defer { line = [] }
        return line
    }

    /// Nobody is inside and nobody gets in.
    package var isOver: Bool { isClosed && running == nil }
}
