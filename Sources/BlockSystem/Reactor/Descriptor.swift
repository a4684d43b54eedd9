// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// How a read or write on a descriptor went.
public enum Transfer: Sendable, Equatable {
    /// This many bytes, at least one (or none asked for).
    case moved(Int)
    /// Nothing now; the descriptor will be ready later.
    case wouldBlock
    /// The other side has closed.
    case ended
    /// It will not work any more.
    case failed(SystemError)
}

/// An open file descriptor of ours: moved, never copied, closed at the end of its life.
public struct Descriptor: ~Copyable, Sendable {
    /// Descriptors alive: what the tests hold against a baseline.
    public static let alive = Counter()

    let number: Int32

    /// Takes over an open descriptor.
    public init(adopting number: Int32) {
        self.number = number
        Self.alive.add(1)
    }

    /// The descriptor that a call returned, or the error that it returned as a negative number.
    init(result: Int32) throws(SystemError) {
        guard result >= 0 else { throw SystemError(errno: -result) }
        self.init(adopting: result)
    }

    deinit {
        close(number)
        Self.alive.add(-1)
    }

    /// Gives the number away: it is not closed here.
    consuming func release() -> Int32 {
        let number = number
        Self.alive.add(-1)
        discard self
        return number
    }

    /// The number that the system knows it by, for messages and to hand to a child.
    public var rawNumber: Int32 { number }

    /// Reads what is there, at most as much as `memory` holds.
    public func read(into memory: IOMemory) -> Transfer {
        transfer(platter_read(number, memory.address, memory.count), wanted: memory.count)
    }

    /// Reads what is there into `first`, and what does not fit there into `second`.
    public func read(into first: IOMemory, then second: IOMemory) -> Transfer {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
            parts.initializeElement(at: 0, to: iovec(iov_base: first.address, iov_len: first.count))
            parts.initializeElement(at: 1, to: iovec(iov_base: second.address, iov_len: second.count))
            return transfer(platter_readv(number, parts.baseAddress, 2), wanted: first.count + second.count)
        }
    }

    /// Sends as much of `memory` as the socket takes now.
    public func send(_ memory: IOMemory) -> Transfer {
        transfer(platter_send(number, memory.address, memory.count), wanted: memory.count)
    }

    /// Sends as much of several places, in order, as the socket takes now.
    public func send(_ parts: [IOMemory]) -> Transfer {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: parts.count) { vectors in
            var wanted = 0
            for (index, part) in parts.enumerated() {
                vectors.initializeElement(at: index, to: iovec(iov_base: part.address, iov_len: part.count))
                wanted += part.count
            }
            return transfer(platter_sendv(number, vectors.baseAddress, Int32(parts.count)), wanted: wanted)
        }
    }

    /// From now on calls answer ``Transfer/wouldBlock`` instead of waiting.
    public func makeNonblocking() throws(SystemError) {
        let result = platter_set_nonblocking(number)
        guard result == 0 else { throw SystemError(errno: -result) }
    }

    /// Tells the other side that nothing more will come.
    public func finishSending() { _ = platter_shutdown_write(number) }

    private func transfer(_ result: Int, wanted: Int) -> Transfer {
        if result > 0 || (result == 0 && wanted == 0) { return .moved(result) }
        if result == 0 { return .ended }
        if result == -Int(EAGAIN) { return .wouldBlock }
        return .failed(SystemError(errno: Int32(-result)))
    }
}
