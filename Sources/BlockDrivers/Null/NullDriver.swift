// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem

/// A device of nothing: reads give zeroes, writes are forgotten. It answers at once, late, or not until told to; and it
/// is deaf to its own death, so that a silent driver can be shown: what it holds then is answered when its time comes.
public final class NullDriver: BlockDriver {
    /// How many 512-byte sectors it pretends to have.
    public let capacity: UInt64
    private let line: DelayLine
    /// A device that answers after `latency`, or with `answers` off not before `answer=on` is set.
    public init(capacity: UInt64, latency: Duration = .zero, answers: Bool = true) {
        self.capacity = capacity
        line = DelayLine(latency: latency, isOpen: answers) { $0.complete(.ok) }
    }
    deinit { line.stop() }
    /// Nothing outlives the process; answers may come late, so it may not borrow a submitter's memory.
    public var profile: DriverProfile { .volatile(.async) }
    /// Leaves the answer to the line.
    public func submit(_ bio: consuming Bio) {
        if bio.operation == .read { bio.memory.zero() }  // what was in the buffer is nobody's business
        if line.passes { bio.complete(.ok) } else { line.hold(bio, for: line.latency) }
    }
    /// `answer=on|off`; turned on, it gives the answers that are due.
    public func set(_ key: String, to value: String) throws(DriverSettingError) {
        guard key == "answer", value == "on" || value == "off" else {
            throw DriverSettingError("null: \(key)=\(value) cannot be set: only answer=on|off can")
        }
        line.isOpen = value == "on"
    }
    /// Whether it answers, and after how long.
    public var settings: [(key: String, value: String)] {
        [("answer", line.isOpen ? "on" : "off"), ("latency", DurationText.format(line.latency))]
    }
    /// Ends the line's thread.
    public func stop() { line.stop() }
}
