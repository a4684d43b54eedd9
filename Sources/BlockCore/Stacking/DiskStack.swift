// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// The links of a registry, behind a lock that is a leaf: a disk's lock may be held when it is taken.
final class DiskStack: Sendable {
    private struct State {
        var graph = StackGraph()
        var uppers: [StackGraph.Link: Holder] = [:]
        var lowers: [StackGraph.Link: BlockDevice] = [:]
    }
    private let state = Lock(State())

    private func link(_ upper: Holder, _ lower: BlockDevice) -> StackGraph.Link {
        StackGraph.Link(upper: upper.id, lower: lower.disk.asHolder.id, partition: lower.partitionNumber)
    }

    /// False: that would close a circle.
    func reserve(_ upper: Holder, on lower: BlockDevice) -> Bool {
        let link = link(upper, lower)
        return state.withLock { state in
            guard state.graph.reserve(link) else { return false }
            state.uppers[link] = upper
            if state.lowers[link] == nil { state.lowers[link] = lower }
            return true
        }
    }

    func make(_ upper: Holder, on lower: BlockDevice) {
        let link = link(upper, lower)
        state.withLock { $0.graph.make(link) }
    }

    func cancel(_ upper: Holder, on lower: BlockDevice) { drop(upper, lower) { $0.cancel($1) } }

    func unlink(_ upper: Holder, from lower: BlockDevice) { drop(upper, lower) { $0.unlink($1) } }

    private func drop(
        _ upper: Holder, _ lower: BlockDevice, _ change: (inout StackGraph, StackGraph.Link) -> Bool
    ) {
        let link = link(upper, lower)
        // What goes is let go outside the lock: it may be the last of a disk.
        let dropped = state.withLock { state -> BlockDevice? in
            guard change(&state.graph, link) else { return nil }
            state.uppers[link] = nil
            return state.lowers.removeValue(forKey: link)
        }
        _ = consume dropped
    }

    /// What the upper stands on, by name.
    func lowers(of upper: Holder) -> [BlockDevice] {
        state.withLock { state in state.graph.lowers(of: upper.id).compactMap { state.lowers[$0] } }
            .sorted { naturalOrder($0.name, $1.name) }
    }

    /// What stands on the device, by name; without the device, on the disk or any partition.
    func uppers(of lower: Disk, _ partition: Int?) -> [Holder] {
        let all = state.withLock { state in
            state.graph.uppers(of: lower.asHolder.id).filter { partition == nil || $0.partition == partition }
                .compactMap { state.uppers[$0] }
        }
        var seen: Set<UInt64> = []
        return all.filter { seen.insert($0.id).inserted }.sorted { naturalOrder($0.name, $1.name) }
    }

    var isEmpty: Bool { state.withLock { $0.graph.isEmpty } }
}

extension Disk {
    /// The devices that it stands on, by name.
    public var lowers: [BlockDevice] { registry.stack.lowers(of: asHolder) }
    /// Who stands on it or on a partition of it, by name.
    public var uppers: [Holder] { registry.stack.uppers(of: self, nil) }
}

extension BlockDevice {
    /// Who stands on it, by name.
    public var uppers: [Holder] { disk.registry.stack.uppers(of: disk, partitionNumber) }
}
