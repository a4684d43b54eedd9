// SPDX-License-Identifier: Apache-2.0

package import BlockCore

/// What one listener is told, from a place on.
package struct EventStream: Sendable {
    /// The events. When the last one who has it drops it, nothing listens any more, whether or not it was ever read.
    package let feed = EventFeed()
    private let instance: String

    /// Listens from now on: what happens before the first byte is written is in it.
    package init(_ registry: DiskRegistry, after seen: EventPlace?, filter: EventFilter? = nil) {
        instance = registry.instance
        feed.observe(registry, after: seen, filter: filter)
    }

    /// What comes first.
    var heading: String { ": events of \(instance)\n\n" }

    func text(of element: EventFeed.Element) -> String { element.serverSentEvent(of: instance) }
}
