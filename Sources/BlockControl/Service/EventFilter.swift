// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

/// Which events a listener wants; without words all of them.
package struct EventFilter: Sendable, Equatable {
    /// Disks, with their partitions, or partitions alone.
    var devices: [String] = []
    /// `add`, `remove`, …
    var actions: [String] = []
    /// `disk` or `partition`.
    var type: String?

    /// From a query: `device=pl0,pl1p1`, `action=add,remove`, `devtype=disk`.
    package init(_ value: (String) -> String?) throws(Problem) {
        func words(_ key: String) -> [String] {
            value(key)?.split(separator: ",").map(String.init) ?? []
        }
        devices = words("device")
        actions = words("action")
        type = value("devtype")
        let known = DiskEvent.Action.allCases.map(\.rawValue)
        if let unknown = actions.first(where: { !known.contains($0) }) {
            throw Problem(
                .usage, "there is no action '\(unknown)'; there are \(known.joined(separator: ", "))", errno: "EINVAL")
        }
        if let type, type != "disk", type != "partition" {
            throw Problem(.usage, "there is no type '\(type)'; there are disk and partition", errno: "EINVAL")
        }
    }

    func wants(_ event: DiskEvent) -> Bool {
        (devices.isEmpty || devices.contains(event.device) || devices.contains(event.disk))
            && (actions.isEmpty || actions.contains(event.action.rawValue))
            && (type == nil || type == event.deviceType)
    }
}

/// The last event that a listener has seen: its number, and the daemon that told of it.
package struct EventPlace: Sendable, Equatable {
    /// The daemon's instance; nil: it is taken to be this one.
    var instance: String?
    var sequence: UInt64

    /// `INSTANCE-12`, or `12`.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }), let last = parts.last, let number = UInt64(last)
        else { return nil }
        sequence = number
        instance = parts.count == 2 ? String(parts[0]) : nil
    }
}
