// SPDX-License-Identifier: Apache-2.0

public import BlockCore
public import BlockSystem

/// Says that it answers at once, and then sleeps in its first submit for as long as the test wants it to.
public final class LyingDriver: BlockDriver {
    /// 1 MiB.
    public let capacity: UInt64 = 2048
    /// With the style it was given.
    public let profile: DriverProfile
    /// Up while somebody sleeps in submit.
    public let sleeps = Parker()
    /// Ends that sleep.
    public let wake = Parker()
    /// How often it was given something.
    public let calls = Counter()

    /// A driver that claims to submit in this style.
    public init(style: SubmissionStyle = .inline) {
        var profile = DriverProfile()
        profile.style = style
        self.profile = profile
    }

    /// Answers zeroes.
    public func submit(_ bio: consuming Bio) {
        if calls.add() == 1 {
            sleeps.raise()
            wake.wait()
        }
        bio.memory.zero()
        bio.complete(.ok)
    }
}
