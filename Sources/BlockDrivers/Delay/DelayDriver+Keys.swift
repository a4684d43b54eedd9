// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

extension DelayDriver {
    /// `delay lower=pl0 [read=5ms] [write=5ms] [flush=…]`; a flush is held as long as a write unless it says otherwise.
    static func make(
        _ keys: inout DriverKeys, _ common: CommonKeys, _ context: DriverContext
    ) throws(ConfigurationError) -> DelayDriver {
        let windows = try keys.takeWindows()
        var times = Times()
        times.read = try keys.takeDuration("read") ?? .zero
        times.write = try keys.takeDuration("write") ?? .zero
        times.flush = try keys.takeDuration("flush") ?? times.write
        let stays = try keys.takeWord("orphaned", ["remove", "stay"]) == "stay"
        try keys.finish()
        guard windows.count == 1 else {
            throw ConfigurationError("delay: lower= is given \(windows.count) times: it stands on one device")
        }
        return DelayDriver(try StackEngine("delay", windows, goesWhenLost: !stays, context), times)
    }
}
