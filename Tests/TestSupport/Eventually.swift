// SPDX-License-Identifier: Apache-2.0

import BlockSystem

/// Waits for what another thread brings about, giving the processor away between two looks; nothing is assumed of time.
/// - Returns: false when it does not come within the limit.
public func eventually(within limit: Duration = .seconds(60), _ condition: () -> Bool) -> Bool {
    let deadline = Instant.now + limit
    while !condition() {
        if Instant.now > deadline { return false }
        yieldThread()
    }
    return true
}
