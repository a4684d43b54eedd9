// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

extension LinearDriver {
    /// `linear lower=pl0[,offset=…][,size=…] …`; with one lower, `offset=` and `size=` may stand by themselves.
    static func make(
        _ keys: inout DriverKeys, _ common: CommonKeys, _ context: DriverContext
    ) throws(ConfigurationError) -> LinearDriver {
        let windows = try keys.takeWindows()
        let stays = try keys.takeWord("orphaned", ["remove", "stay"]) == "stay"
        try keys.finish()
        return LinearDriver(try StackEngine("linear", windows, goesWhenLost: !stays, context))
    }
}

extension DriverKeys {
    /// The windows of `lower=`, `offset=` and `size=`.
    mutating func takeWindows() throws(ConfigurationError) -> [WindowPlan] {
        let words = takeAll("lower")
        let offset = try take("offset")
        let size = try take("size")
        guard !words.isEmpty else {
            throw ConfigurationError("\(driver): lower= is missing: for example lower=pl0")
        }
        guard words.count == 1 || (offset == nil && size == nil) else {
            throw ConfigurationError(
                "\(driver): with several lowers write each one's window beside it: lower=pl0,offset=1M,size=10M")
        }
        var plans: [WindowPlan] = []
        for word in words { plans.append(try window(word)) }
        if let offset { try set(&plans[0], "offset", offset) }
        if let size { try set(&plans[0], "size", size) }
        return plans
    }

    private func window(_ text: String) throws(ConfigurationError) -> WindowPlan {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard let name = parts.first, !name.isEmpty else {
            throw ConfigurationError("\(driver): lower=\(text) names no disk")
        }
        var plan = WindowPlan(lower: String(name))
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, pair[0] == "offset" || pair[0] == "size" else {
                throw ConfigurationError(
                    "\(driver): '\(part)' in lower=\(text) is neither offset=BYTES nor size=BYTES")
            }
            try set(&plan, String(pair[0]), String(pair[1]))
        }
        return plan
    }

    private func set(_ plan: inout WindowPlan, _ key: String, _ text: String) throws(ConfigurationError) {
        let bytes: UInt64
        do throws(ConfigurationError) {
            bytes = try ByteSize.parse(text, key: key, multipleOf: 512)
        } catch {
            throw ConfigurationError("\(driver): \(error.reason)")
        }
        guard key == "size" else {
            plan.offset = bytes
            return
        }
        guard bytes > 0 else { throw ConfigurationError("\(driver): size=\(text) is no size for a window") }
        plan.size = bytes
    }
}
