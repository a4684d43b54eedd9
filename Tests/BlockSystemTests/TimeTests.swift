// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Testing

@Suite("Time and flags") struct TimeTests {
    @Test("an instant plus a duration never wraps") func saturates() {
        #expect(Instant(nanoseconds: .max - 1) + .seconds(5) == .never)
        #expect(Instant(nanoseconds: 5) - Instant(nanoseconds: 9) == .zero)
    }

    @Test("a raised parker lets through at once, a lowered one waits until its deadline") func parker() {
        let parker = Parker()
        #expect(!parker.wait(until: Instant.now + .milliseconds(1)))
        parker.raise()
        #expect(parker.wait())
        parker.lower()
        #expect(!parker.isRaised)
    }
}
