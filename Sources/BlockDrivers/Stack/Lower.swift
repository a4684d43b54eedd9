// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// A piece of another device that a driver stands on.
struct WindowPlan: Sendable, Equatable {
    /// The disk or partition, by name.
    var lower: String
    /// Its first byte there.
    var offset: UInt64 = 0
    /// Its bytes; nil: to the end of the lower, wherever that is.
    var size: UInt64?
}

/// One window: where it is on the lower device, and where on the disk that stands on it. In sectors.
struct Window: Sendable {
    let lower: Lower
    let lowerStart: UInt64
    let start: UInt64
    /// nil: to the end of the lower; only the last one.
    let count: UInt64?
}

/// A device that a driver stands on, opened through a handle of its own for each window.
final class Lower: Sendable {
    let device: BlockDevice
    let isReadOnly: Bool
    private let handle = Lock<SharedOpener?>(nil)
    private let lost = Atomic<Bool>(false)

    init(_ device: BlockDevice) {
        self.device = device
        isReadOnly = device.isReadOnly
    }

    /// Whether it is dead: its I/O is not even tried.
    var isLost: Bool { lost.load(ordering: .relaxed) }
    /// True: it was not known before.
    func lose() -> Bool { !lost.exchange(true, ordering: .relaxed) }

    var opener: SharedOpener? { handle.withLock { $0 } }
    func put(_ opener: SharedOpener) { handle.withLock { $0 = opener } }

    func close() {
        let opener = handle.withLock { $0.take() }
        opener?.close()
    }
}
