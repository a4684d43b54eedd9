// SPDX-License-Identifier: Apache-2.0

/// Who writes to a device and who keeps writers off it, as a pure machine: per device one number, above zero so many
/// writers, below zero so many that restrict.
///
/// | open \ there are | writers | nobody | restricting |
/// |---|---|---|---|
/// | to read | yes | yes | yes |
/// | to write | yes | yes | no |
/// | restricting, to read | no | yes | yes |
/// | restricting, to write | no | yes | no |
///
/// It rules only in a registry that was told not to allow writing to what is mounted; in any other nothing is counted.
package struct WriteAccess: Equatable, Sendable {
    private var counts: [Int: Int] = [:]
    private let isOn: Bool

    package init(isOn: Bool) { self.isOn = isOn }

    /// The number of a device; 0 is the whole disk.
    package func count(of partition: Int) -> Int { counts[partition] ?? 0 }

    /// Whether an open is to be refused (EBUSY).
    package func refuses(_ mode: OpenMode, of partition: Int) -> Bool {
        guard isOn else { return false }
        let count = count(of: partition)
        return (mode.contains(.write) && count < 0) || (mode.contains(.restrictWrites) && count > 0)
    }

    /// Counts an open that was let in.
    package mutating func take(_ mode: OpenMode, of partition: Int) { add(step(mode), to: partition) }
    /// Takes it back.
    package mutating func giveBack(_ mode: OpenMode, of partition: Int) { add(-step(mode), to: partition) }

    /// Who restricts is no writer, even if it writes.
    private func step(_ mode: OpenMode) -> Int {
        guard isOn else { return 0 }
        return mode.contains(.restrictWrites) ? -1 : mode.contains(.write) ? 1 : 0
    }

    private mutating func add(_ step: Int, to partition: Int) {
        guard step != 0 else { return }
        let count = count(of: partition) + step
        counts[partition] = count == 0 ? nil : count
    }
}
