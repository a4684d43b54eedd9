// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

extension NullDriver {
    /// `null size= [latency=5ms] [answer=on|off]`.
    static func make(_ keys: inout DriverKeys, _ common: CommonKeys) throws(ConfigurationError) -> NullDriver {
        let size = try keys.takeSize("size", multipleOf: common.sectorSize ?? 512)
        let latency = try keys.takeDuration("latency") ?? .zero
        let answers = try keys.takeSwitch("answer") ?? true
        try keys.finish()
        guard let size else { throw ConfigurationError("null: size= is missing: for example size=1G") }
        return NullDriver(capacity: size / 512, latency: latency, answers: answers)
    }
}
