// SPDX-License-Identifier: Apache-2.0

package import BlockCore

/// Sums over what a driver says of a range.
package enum NBDExtents {
    /// Sectors that one block status request is answered for at most: 1 GiB. A client asks on from where the answer ends.
    package static let askMax: UInt64 = 1 << 21
    /// What the largest answer takes.
    package static let replyMax = 64 + NBDWire.extentsMax * 16

    /// Whether the extents say of all `count` sectors that they read as zeroes.
    package static func coverAsZeroes(_ extents: [DeviceExtent], _ count: UInt64) -> Bool {
        var covered: UInt64 = 0
        for extent in extents {
            if extent.kind == .data { return false }
            covered += extent.count
        }
        return covered >= count
    }

    /// Whether they cover all `count` sectors and say different things.
    package static func isMixed(_ extents: [DeviceExtent], _ count: UInt64) -> Bool {
        extents.count > 1 && extents.reduce(0) { $0 + $1.count } >= count && extents.contains { $0.kind != .data }
    }

    /// The status flags of the allocation context.
    package static func flags(_ kind: DeviceExtent.Kind) -> UInt32 {
        switch kind {
        case .data: 0
        case .hole: NBDWire.extentIsHole | NBDWire.extentIsZero
        case .zero: NBDWire.extentIsZero
        }
    }

    /// Neighbours that say the same become one; at most `limit` are left, at most `sectors` long together.
    package static func joined(_ extents: [DeviceExtent], limit: Int) -> [DeviceExtent] {
        var joined: [DeviceExtent] = []
        for extent in extents where extent.count > 0 {
            if let last = joined.last, last.kind == extent.kind {
                joined[joined.count - 1].count += extent.count
            } else if joined.count == limit {
                break
            } else {
                joined.append(extent)
            }
        }
        return joined
    }
}
