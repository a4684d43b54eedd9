// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension Disk {
    /// Tells those who hold it whether users have it frozen now, if they were told otherwise last. Outside all locks; one
    /// thread at a time, so that nobody is told of a thaw before the freeze that it ends.
    func tellFrozen() {
        while true {
            let news = state.withLock { state -> (isFrozen: Bool, delegates: [any OpenerDelegate])? in
                let isFrozen = freezeDepth > 0 && !queue.gate.isDead
                guard !state.claims.isTelling, state.claims.hasToldFrozen != isFrozen else { return nil }
                state.claims.isTelling = true
                state.claims.hasToldFrozen = isFrozen
                return (isFrozen, state.publicOpeners.compactMap(\.delegate).eachHolderOnce)
            }
            // Whoever tells just now looks again afterwards.
            guard let news else { return }
            for delegate in news.delegates { if news.isFrozen { delegate.frozen() } else { delegate.thawed() } }
            state.withLock { $0.claims.isTelling = false }
        }
    }
}
