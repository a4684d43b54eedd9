// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem

final class MediumDelegate: OpenerDelegate, Sendable {
    let changes = Counter()
    func died(_ mode: RemovalMode) {}
    func mediumChanged() { changes.add() }
}

final class CardHolder: HolderDelegate, Sendable {
    let deaths = Counter()
    func died(_ device: BlockDevice, _ mode: RemovalMode) { deaths.add() }
    func resized(_ device: BlockDevice, to sectors: UInt64) {}
    func frozen(_ device: BlockDevice) {}
    func thawed(_ device: BlockDevice) {}
}

/// An opener in an array.
final class HeldOpener: @unchecked Sendable {
    // SAFETY: used by one test, one step after the other.
    private var opener: Opener?
    init(_ opener: consuming Opener) { self.opener = consume opener }
    func close() { opener.take()?.close() }
}
