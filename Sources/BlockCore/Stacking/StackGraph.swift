// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Who stands on whom, as a pure machine: counted links from an upper to a device of a lower disk. No circle can be made.
///
/// A link is reserved with the first step of a claim and made with the second, so that a finished claim cannot be the one
/// that closes a circle.
package struct StackGraph: Equatable, Sendable {
    /// One link: the identity of the upper, that of the lower disk, and which of its devices.
    package struct Link: Hashable, Sendable {
        package let upper: UInt64
        package let lower: UInt64
        package let partition: Int
        package init(upper: UInt64, lower: UInt64, partition: Int) {
            self.upper = upper
            self.lower = lower
            self.partition = partition
        }
    }
    private struct Uses: Equatable {
        var reserved = 0
        var made = 0
    }
    private var links: [Link: Uses] = [:]

    package init() {}

    package var isEmpty: Bool { links.isEmpty }
    /// How often the pair is linked.
    package func count(_ link: Link) -> Int { links[link]?.made ?? 0 }
    /// What the upper stands on.
    package func lowers(of upper: UInt64) -> [Link] {
        links.filter { $0.key.upper == upper && $0.value.made > 0 }.map(\.key)
    }
    /// What stands on the lower.
    package func uppers(of lower: UInt64) -> [Link] {
        links.filter { $0.key.lower == lower && $0.value.made > 0 }.map(\.key)
    }

    /// False: the lower stands on the upper already, directly or not, or is the upper itself.
    package mutating func reserve(_ link: Link) -> Bool {
        guard !stands(link.lower, on: link.upper) else { return false }
        links[link, default: Uses()].reserved += 1
        return true
    }

    /// A reservation becomes a link.
    package mutating func make(_ link: Link) {
        guard var uses = links[link], uses.reserved > 0 else { invariantBroken("a link is made that was not reserved") }
        uses.reserved -= 1
        uses.made += 1
        links[link] = uses
    }

    /// A reservation is taken back. True: nothing is left of the pair.
    package mutating func cancel(_ link: Link) -> Bool {
        guard var uses = links[link], uses.reserved > 0 else { invariantBroken("no reservation to take back") }
        uses.reserved -= 1
        return set(link, uses)
    }

    /// A link ends; legal whatever became of the lower. True: nothing is left of the pair.
    package mutating func unlink(_ link: Link) -> Bool {
        guard var uses = links[link], uses.made > 0 else { invariantBroken("a link ends that there was not") }
        uses.made -= 1
        return set(link, uses)
    }

    private mutating func set(_ link: Link, _ uses: Uses) -> Bool {
        links[link] = uses == Uses() ? nil : uses
        return links[link] == nil
    }

    /// Whether one stands on the other, reserved links included.
    private func stands(_ one: UInt64, on other: UInt64) -> Bool {
        var seen: Set<UInt64> = []
        var open = [one]
        while let next = open.popLast() {
            if next == other { return true }
            guard seen.insert(next).inserted else { continue }
            open += links.keys.filter { $0.upper == next }.map(\.lower)
        }
        return false
    }
}
