// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// That a driver object serves a disk: an object serves one at a time, in the whole process (T01).
///
/// It begins with the add's first step and ends when the core has let the driver go; then the object may be added anew,
/// if its author lets it.
final class DriverUse: Sendable {
    private static let inUse = Lock<Set<ObjectIdentifier>>([])
    private let driver: ObjectIdentifier

    /// nil: it serves a disk already. The caller keeps the object alive for as long as this lives.
    init?(_ driver: any BlockDriver) {
        let id = ObjectIdentifier(driver)
        guard Self.inUse.withLock({ $0.insert(id).inserted }) else { return nil }
        self.driver = id
    }

    deinit { Self.inUse.withLock { _ = $0.remove(driver) } }

    /// Drivers in use in the process: what the tests hold against a baseline.
    static var count: Int { inUse.withLock { $0.count } }
}
