// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What is alive in the whole process: tests and `show` hold it against a baseline.
public enum BlockCoreCounts {
    /// Slots of openers that are open, or closed with answers still to come.
    public static var slotsAlive: Int { OpenerCore.slots.alive }
    /// Drains and deadlines that are waited for.
    public static var watches: Int { Reaper.shared.pending }
    /// Driver objects that serve a disk, or owe one an answer.
    public static var driversInUse: Int { DriverUse.count }
    /// Removals and other waits that have timers of their own.
    public static var timerTags: Int { Reaper.shared.tagsInUse }
    /// Tokens that drivers answered twice.
    public static var staleTokens: Int { Completion.staleTokens.value }
}
