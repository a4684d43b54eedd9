// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// A gate in one atomic word: obviously right, and slow under contention. The model that the striped gate is tested
/// and measured against; nothing else uses it.
public final class SingleWordGate: Sendable {
    // Bit 0: shut. The rest: leases, times two.
    private let word = Atomic<UInt64>(0)

    /// An open gate.
    public init() {}

    /// Counts `leases` in; false when it is shut, and then nothing was counted.
    public func enter(_ leases: UInt64) -> Bool {
        // Acquire pairs with the release in `leave` and `setShut`.
        let old = word.wrappingAdd(leases << 1, ordering: .acquiringAndReleasing).oldValue
        guard old & 1 != 0 else { return true }
        word.wrappingSubtract(leases << 1, ordering: .acquiringAndReleasing)
        return false
    }

    /// Counts leases out.
    public func leave(_ leases: UInt64) { word.wrappingSubtract(leases << 1, ordering: .acquiringAndReleasing) }

    /// Shuts it, or opens it again.
    public func setShut(_ shut: Bool) {
        if shut {
            word.bitwiseOr(1, ordering: .acquiringAndReleasing)
        } else {
            word.bitwiseAnd(~1, ordering: .acquiringAndReleasing)
        }
    }

    /// Whether nobody is inside.
    public var isBalanced: Bool { word.load(ordering: .acquiring) >> 1 == 0 }
}
