// SPDX-License-Identifier: Apache-2.0

/// A wait for the events: `POST /v1/settle`.
public struct SettleRequest: Codable, Sendable, Equatable {
    /// How long; 120 s where it is absent.
    public var timeoutSeconds: Double?
    /// A disk or partition: once it is there, nothing more is waited for.
    public var exitIfExists: String?

    enum CodingKeys: String, CodingKey {
        case timeoutSeconds = "timeout_seconds"
        case exitIfExists = "exit_if_exists"
    }

    /// A request.
    public init(timeoutSeconds: Double? = nil, exitIfExists: String? = nil) {
        self.timeoutSeconds = timeoutSeconds
        self.exitIfExists = exitIfExists
    }
}

/// That the events were handled.
public struct SettleModel: Codable, Sendable, Equatable {
    /// The last event when the wait began: it and all before it were handled, unless what was asked for is there.
    public var seqnum: UInt64
    /// Whether the device that was asked for is there; absent where none was.
    public var exists: Bool?

    /// An answer.
    public init(seqnum: UInt64, exists: Bool?) {
        self.seqnum = seqnum
        self.exists = exists
    }
}
