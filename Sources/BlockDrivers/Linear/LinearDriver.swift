// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem

/// Windows of other disks or partitions, one behind the other, as one disk.
///
/// It claims what it stands on. When one of them dies, I/O on its part fails with `ioError` and the rest goes on; when all
/// are dead the disk goes, too, unless it was told to stay. If the last window has no size it ends where its device ends,
/// and follows when that changes.
public final class LinearDriver: BlockDriver {
    private let engine: StackEngine

    init(_ engine: StackEngine) { self.engine = engine }
    deinit { engine.close() }

    /// The windows together.
    public var capacity: UInt64 { engine.capacity }
    /// What all that it stands on can do.
    public var profile: DriverProfile { engine.profile }
    /// For whom it claims them.
    public var holder: Holder? { engine.holder }
    /// Hands the pieces on.
    public func submit(_ bio: consuming Bio) { engine.submit(bio) }
    /// As those below know it.
    public func extents(of range: SectorRange) -> [DeviceExtent] { engine.extents(of: range) }
    /// The windows.
    public var settings: [(key: String, value: String)] {
        [
            ("lower", engine.windowTexts.joined(separator: " ")),
            ("orphaned", engine.goesWhenLost ? "remove" : "stay"),
        ]
    }
    /// Which of them are dead.
    public var notes: [String] { engine.notes }
    /// All of them are dead.
    public func onDeath(_ report: @escaping @Sendable () -> Void) { engine.onDeath(report) }
    /// The last window has another end.
    public func onCapacityChange(_ report: @escaping @Sendable () -> Void) { engine.onCapacityChange(report) }
    /// Answers what waits for room.
    public func abort() { engine.abort() }
    /// Gives what it stands on back.
    public func stop() { engine.close() }
}
