// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Synchronization

/// Who holds a device for itself: a disk that stands on it, an export, a mount. Its identity is the reference.
///
/// A driver that stands on other disks makes one before it opens them, and hands it out as ``BlockDriver/holder``: from
/// the add on it has the name of the disk.
public final class Holder: Sendable {
    /// What kind of holder: `linear`, `mount`.
    public let kind: String
    /// Tells holders apart; never used twice in a process.
    let id: UInt64

    private struct State: Sendable {
        var name: String
        weak var disk: Disk?
    }
    private let state: Lock<State>
    private static let count = Atomic<UInt64>(0)

    /// A holder; without a name it has that of its kind until a disk takes it over.
    public init(kind: String, name: String? = nil) {
        self.kind = kind
        id = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        state = Lock(State(name: name ?? kind))
    }

    /// The name, for listings and error lines.
    public var name: String { state.withLock { $0.name } }

    /// The disk that holds, once it is there and while it lives.
    public var disk: Disk? { state.withLock { $0.disk } }

    /// From now on it is this disk that holds.
    func become(_ disk: Disk) {
        state.withLock { state in
            state.name = disk.name
            state.disk = disk
        }
    }
}

/// What a holder must answer for each device that it holds: there is no holder that does not want to know.
///
/// Called outside all locks, on a thread of the control side; must be quick. It may close the handle through which it
/// holds the device, from inside the call.
public protocol HolderDelegate: AnyObject, Sendable {
    /// The device is dead, or its medium is another one: every I/O on it has been or will be answered
    /// ``BlockStatus/gone``, or ``BlockStatus/noMedium``. Told once for each device.
    func died(_ device: BlockDevice, _ mode: RemovalMode)
    /// The device has another size now.
    func resized(_ device: BlockDevice, to sectors: UInt64)
    /// I/O on the device waits until it is thawed.
    func frozen(_ device: BlockDevice)
    /// I/O on the device goes on.
    func thawed(_ device: BlockDevice)
    /// The device is to go (soft removal); I/O still works. Default: stays.
    func askedToLeave(_ device: BlockDevice)
}

extension HolderDelegate {
    /// Stays.
    public func askedToLeave(_ device: BlockDevice) {}
}

/// Tells a holder of one device what an opener of it hears.
final class HolderEar: OpenerDelegate {
    let device: BlockDevice
    let delegate: any HolderDelegate
    private let hasToldDeath = Atomic<Bool>(false)

    init(_ device: BlockDevice, _ delegate: any HolderDelegate) {
        self.device = device
        self.delegate = delegate
    }

    func askedToLeave() { delegate.askedToLeave(device) }
    func died(_ mode: RemovalMode) {
        if !hasToldDeath.exchange(true, ordering: .relaxed) { delegate.died(device, mode) }
    }
    // Its handle means a medium that never comes back: for who stands on it that is a death.
    func mediumChanged() { died(.surprise) }
    /// Another ear of the same holder tells it.
    func silence() { hasToldDeath.store(true, ordering: .relaxed) }
    func resized(to sectors: UInt64) { delegate.resized(device, to: sectors) }
    func frozen() { delegate.frozen(device) }
    func thawed() { delegate.thawed(device) }
}

private struct ToldHolder: Hashable {
    let delegate: ObjectIdentifier
    let partition: Int
}

extension [any OpenerDelegate] {
    /// Each holder once for each device, however many handles it has on it.
    var eachHolderOnce: [any OpenerDelegate] {
        var told: Set<ToldHolder> = []
        return filter { one in
            guard let ear = one as? HolderEar else { return true }
            return told.insert(
                ToldHolder(delegate: ObjectIdentifier(ear.delegate), partition: ear.device.partitionNumber)
            ).inserted
        }
    }
}
