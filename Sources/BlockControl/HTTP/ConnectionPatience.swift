// SPDX-License-Identifier: Apache-2.0

package import BlockSystem

/// How long a connection may hold its place without asking for anything, and how many places there are.
package struct ConnectionLimits: Sendable {
    /// From the head of a request to its end, from the connection to its first request, and for an answer that is not taken.
    package var request: Duration = .seconds(30)
    /// Between an answer and the next request.
    package var idle: Duration = .seconds(300)
    /// Connections at a time.
    package var connections = 256

    package init() {}

    /// For those who may use the daemon anyway: a unix socket.
    static var none: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.request = .seconds(1 << 40)
        limits.idle = .seconds(1 << 40)
        limits.connections = .max
        return limits
    }
}

/// Until when a connection is waited for: pure, asked by ``ConnectionWatch``.
///
/// The limits are on the whole of a request, not on the pause between two of its bytes: who sends one now and then does
/// not hold his place by it. A request that was read is worked on for as long as its verb takes, and a stream lasts until
/// somebody ends it.
package struct ConnectionPatience: Sendable {
    package enum Happening: Sendable {
        /// Of a request.
        case head, end
        /// What is answered is a stream.
        case streaming
        /// The end of an answer.
        case answered
        /// What is written is not taken, and taken again.
        case blocked, flowing
    }

    private let limits: ConnectionLimits
    private var heads = 0
    private var ends = 0
    private var answers = 0
    private var isStreaming = false
    private var since: Instant
    private var blockedSince: Instant?

    package init(_ limits: ConnectionLimits, opened: Instant) {
        self.limits = limits
        since = opened
    }

    package mutating func saw(_ happening: Happening, at now: Instant) {
        switch happening {
        case .head:
            heads += 1
            since = now
        case .end: ends += 1
        case .streaming: isStreaming = true
        case .answered:
            answers += 1
            isStreaming = false
            since = now
        case .blocked: blockedSince = blockedSince ?? now
        case .flowing: blockedSince = nil
        }
    }

    /// When it is to be closed; nil: not by itself.
    package var deadline: Instant? {
        guard !isStreaming else { return nil }
        var deadline = blockedSince.map { $0 + limits.request } ?? .never
        // An answer may come before the end of its request: such a request is still waited for, and not worked on.
        if ends <= answers {
            let isIdle = heads > 0 && heads == ends
            deadline = min(deadline, since + (isIdle ? limits.idle : limits.request))
        }
        return deadline == .never ? nil : deadline
    }
}

/// The places of a listener.
package struct ConnectionSeats: Sendable {
    private let limit: Int
    package private(set) var taken = 0
    private var isToldFull = false

    package enum Answer: Sendable, Equatable {
        case seated
        /// News: it is the first who finds it so.
        case full(isNews: Bool)
    }

    package init(limit: Int) { self.limit = limit }

    package mutating func take() -> Answer {
        guard taken < limit else {
            defer { isToldFull = true }
            return .full(isNews: !isToldFull)
        }
        taken += 1
        isToldFull = false
        return .seated
    }

    package mutating func leave() { taken -= 1 }
}
