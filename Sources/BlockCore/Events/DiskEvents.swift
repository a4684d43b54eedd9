// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// Something that happened to a disk or a partition, with the keys of a kernel block event.
public struct DiskEvent: Sendable, Codable, Equatable {
    /// What happened.
    public enum Action: String, Sendable, Codable { case add, remove, change, offline }
    /// Counts from 1 in each registry's life, without a gap.
    public var sequence: UInt64
    /// What happened.
    public var action: Action
    /// `pl0`, `pl0p1`.
    public var device: String
    /// The disk it belongs to.
    public var disk: String
    /// `disk` or `partition`.
    public var deviceType: String
    /// The device number.
    public var number: DeviceNumber
    /// The DISKSEQ of its disk.
    public var diskSequence: UInt64
    /// For a partition: its number.
    public var partition: Int?
    /// For a partition: its name in the table.
    public var partitionName: String?
    /// For a partition: its UUID in the table.
    public var partitionUUID: String?
    /// What else there is to say: `RESIZE=1`, `DISK_RO=1`.
    public var extra: [String]
    /// Seconds since 1970.
    public var time: Double

    /// Where it would be in sysfs.
    public var path: String {
        partition == nil ? "/devices/virtual/block/\(disk)" : "/devices/virtual/block/\(disk)/\(device)"
    }

    /// The keys and values, in the order in which the kernel writes them.
    public var properties: [(key: String, value: String)] {
        var all = [
            ("ACTION", action.rawValue), ("DEVPATH", path), ("SUBSYSTEM", "block"),
        ]
        for text in extra {
            let parts = text.split(separator: "=", maxSplits: 1)
            all.append((String(parts[0]), parts.count > 1 ? String(parts[1]) : ""))
        }
        all += [
            ("MAJOR", String(number.major)), ("MINOR", String(number.minor)), ("DEVNAME", device),
            ("DEVTYPE", deviceType), ("DISKSEQ", String(diskSequence)),
        ]
        if let partition { all.append(("PARTN", String(partition))) }
        if let partitionName, !partitionName.isEmpty { all.append(("PARTNAME", partitionName)) }
        if let partitionUUID { all.append(("PARTUUID", partitionUUID)) }
        all.append(("SEQNUM", String(sequence)))
        return all.map { (key: $0.0, value: $0.1) }
    }
}

/// What an observer is given.
public enum EventDelivery: Sendable {
    /// The next event.
    case event(DiskEvent)
    /// The observer was too slow, or asked for what is no longer kept: this many events are lost to it.
    case lost(UInt64)
}

/// The events of a registry: one order, gap-free numbers, a bounded memory.
///
/// An event takes its number inside the critical section that made the change it tells of; it is delivered later, by
/// one thread, outside all locks. A slow observer loses events and is told how many; nobody waits for it.
public final class DiskEvents: Sendable {
    private struct State {
        var ring: [DiskEvent] = []
        var next: UInt64 = 1
        var observers: [UInt64: Cursor] = [:]
        var nextObserver: UInt64 = 1
        var isPumping = false
    }
    private struct Cursor {
        var next: UInt64
        let deliver: @Sendable (EventDelivery) -> Void
    }
    private let state = Lock(State())
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(capacity, 1) }

    /// The number of the last event; 0 before the first.
    public var last: UInt64 { state.withLock { $0.next - 1 } }

    /// Appends in one piece. Leaf lock: called inside the critical sections of disks. The caller pumps after unlocking.
    func append(_ events: [DiskEvent]) {
        state.withLock { state in
            for var event in events {
                event.sequence = state.next
                state.next += 1
                state.ring.append(event)
            }
            // Cut in one go, so that an append costs no shifting most of the time.
            if state.ring.count > capacity * 2 { state.ring.removeFirst(state.ring.count - capacity) }
        }
    }

    /// Delivers what is new, on a thread of its own, one at a time and in order.
    func pump() {
        let start = state.withLock { state in
            guard !state.isPumping, state.observers.values.contains(where: { $0.next < state.next }) else {
                return false
            }
            state.isPumping = true
            return true
        }
        if start { WorkerThread.detach(name: "pl-events") { [self] in deliverAll() } }
    }

    private func deliverAll() {
        while true {
            let work = state.withLock { state -> [(@Sendable (EventDelivery) -> Void, EventDelivery)] in
                var work: [(@Sendable (EventDelivery) -> Void, EventDelivery)] = []
                for (id, cursor) in state.observers where cursor.next < state.next {
                    let kept = UInt64(min(state.ring.count, capacity))
                    let oldest = state.next - kept
                    if cursor.next < oldest {
                        work.append((cursor.deliver, .lost(oldest - cursor.next)))
                        state.observers[id]?.next = oldest
                    } else {
                        let index = state.ring.count - Int(state.next - cursor.next)
                        work.append((cursor.deliver, .event(state.ring[index])))
                        state.observers[id]?.next = cursor.next + 1
                    }
                }
                if work.isEmpty { state.isPumping = false }
                return work
            }
            if work.isEmpty { return }
            for (deliver, delivery) in work { deliver(delivery) }
        }
    }

    /// Calls `deliver` for each event after `sequence` (nil: from now on), one at a time, on a thread of the registry.
    ///
    /// - Returns: a token; when it is cancelled or dropped, deliveries end (one may just be under way).
    public func observe(
        after sequence: UInt64? = nil, _ deliver: @escaping @Sendable (EventDelivery) -> Void
    ) -> EventObserver {
        let id = state.withLock { state in
            let id = state.nextObserver
            state.nextObserver += 1
            let next = min(sequence.map { $0 &+ 1 } ?? state.next, state.next)
            state.observers[id] = Cursor(next: max(next, 1), deliver: deliver)
            return id
        }
        pump()
        return EventObserver { [weak self] in self?.state.withLock { _ = $0.observers.removeValue(forKey: id) } }
    }
}

/// Keeps an observation alive.
public final class EventObserver: Sendable {
    private let end: @Sendable () -> Void
    init(end: @escaping @Sendable () -> Void) { self.end = end }
    /// Ends it.
    public func cancel() { end() }
    deinit { end() }
}
