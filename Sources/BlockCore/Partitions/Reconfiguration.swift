// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who may change what a disk consists of, as a pure machine: one rescan, resize, change of one partition or change of
/// the medium at a time. ``Disk`` asks it under its lock.
///
/// ```
///   idle ──begin──▶ running ──end──▶ idle                     a verb: another one that comes meanwhile is refused
///    │                │ ▲ └──end, work waits──┐
///    └──ask───────────┼─┼─────────────────────▼
///                     └ask (waits)          running ──next: nothing──▶ idle      the disk's own work
/// ```
///
/// What the disk has to do by itself is never refused and never lost: it waits for the end of what runs. A verb that comes
/// amid it waits for its end: nobody could know that it would come.
package struct Reconfiguration: Sendable, Equatable {
    /// Work that no caller waits for.
    package struct Work: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The driver says that its size is another one.
        package static let capacity = Work(rawValue: 1)
        /// The medium is another one, or gone.
        package static let medium = Work(rawValue: 2)
        /// The table was written.
        package static let rescan = Work(rawValue: 4)
    }

    package private(set) var isRunning = false
    /// What runs is the disk's own work.
    package private(set) var isOwnWork = false
    package private(set) var waiting: Work = []

    package init() {}

    /// A verb wants to begin. False: something runs.
    package mutating func begin() -> Bool {
        guard !isRunning else { return false }
        isRunning = true
        return true
    }

    /// A verb is over. True: work has come meanwhile; the caller starts a thread for it, and it still runs.
    package mutating func end() -> Bool {
        invariant(isRunning, "only what has begun can end")
        isRunning = !waiting.isEmpty
        isOwnWork = isRunning
        return isRunning
    }

    /// There is work. True: the caller starts a thread for it; otherwise the end of what runs sees to it.
    package mutating func ask(_ work: Work) -> Bool {
        waiting.formUnion(work)
        guard begin() else { return false }
        isOwnWork = true
        return true
    }

    /// What the thread does next; nothing: it is over. A new medium has its own size and its own table.
    package mutating func next() -> Work {
        invariant(isRunning, "only a running thread asks for more")
        defer { waiting = [] }
        if waiting.isEmpty {
            isRunning = false
            isOwnWork = false
        }
        return waiting.contains(.medium) ? .medium : waiting
    }
}
