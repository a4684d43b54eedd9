// SPDX-License-Identifier: Apache-2.0

public import BlockCore
public import BlockSystem

/// Submits the next when it is answered, and measures how deep in the stack that is.
public final class ChainSink: BioSink, @unchecked Sendable {
    // SAFETY: one thread: the device at the bottom answers inline.
    private var opener: Opener?
    private var left: Int
    private let sectors: Int
    private var base: UInt = 0
    /// The furthest from ``start(_:)`` that an answer came, in bytes of stack.
    public private(set) var deepest: UInt = 0
    /// Up when the last was answered.
    public let done = Parker()

    /// A chain of that many, over so many sectors.
    public init(length: Int, sectors: Int) {
        left = length
        self.sectors = sectors
    }

    /// Submits the first.
    public func start(_ opener: consuming Opener) {
        self.opener = consume opener
        var here = 0
        withUnsafePointer(to: &here) { base = UInt(bitPattern: $0) }
        next()
    }

    /// Closes what it was started with.
    public func close() { opener = nil }

    private func next() {
        opener?.submit(.discard, SectorRange(start: UInt64(left % sectors), count: 1), data: .none, token: 0)
    }

    /// An answer: the next goes out of it.
    public func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {
        var here = 0
        withUnsafePointer(to: &here) { deepest = max(deepest, base &- UInt(bitPattern: $0)) }
        left -= 1
        if left == 0 { done.raise() } else { next() }
    }
}
