// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// Memory of buffers that are gone, for the next ones of about their size.
///
/// Fresh memory of the system costs a fault and a cleared page for every 4 KiB; of 128 KiB that is more than to copy
/// them. What the C library keeps by itself it gives back whenever it is at the end of a heap. Here a bounded amount
/// stays, in powers of two: whoever comes next has it in his processor's cache.
package final class BufferCache: Sendable {
    static let shared = BufferCache(limit: platter_under_address_sanitizer() != 0 ? 0 : 8 << 20)

    /// Pieces from 32 KiB to 2 MiB; the rest is the C library's affair.
    private static let firstShift = 15
    private static let shifts = 7
    private static let smallest = 1 << firstShift
    private static let largest = 1 << (firstShift + shifts - 1)

    private struct State {
        var free = Array(repeating: [UnsafeMutableRawPointer](), count: BufferCache.shifts)
        var bytes = 0
    }
    private let state = Lock(State())
    private let limit: Int

    /// - Parameter limit: bytes that it keeps at most.
    package init(limit: Int) { self.limit = limit }

    deinit { for pieces in state.withLock({ $0.free }) { for piece in pieces { free(piece) } } }

    /// How many bytes it keeps now.
    package var bytes: Int { state.withLock { $0.bytes } }

    /// Which kind of piece holds as many bytes; nil: it keeps none of these.
    private static func kind(_ count: Int) -> Int? {
        guard count > smallest / 2, count <= largest else { return nil }
        return max(Int.bitWidth - (count - 1).leadingZeroBitCount - firstShift, 0)
    }

    /// Memory for as many bytes, page aligned; nil: there is none.
    package func take(_ count: Int) -> UnsafeMutableRawPointer? {
        let kind = Self.kind(count)
        if let kind {
            let kept = state.withLock { state -> UnsafeMutableRawPointer? in
                guard let piece = state.free[kind].popLast() else { return nil }
                state.bytes -= 1 << (kind + Self.firstShift)
                return piece
            }
            if let kept { return kept }
        }
        var pointer: UnsafeMutableRawPointer?
        let size = kind.map { 1 << ($0 + Self.firstShift) } ?? max(count, 1)
        return posix_memalign(&pointer, 4096, size) == 0 ? pointer : nil
    }

    /// Takes back what ``take(_:)`` gave for as many bytes.
    package func giveBack(_ pointer: UnsafeMutableRawPointer, _ count: Int) {
        if let kind = Self.kind(count) {
            let size = 1 << (kind + Self.firstShift)
            let isKept = state.withLock { state in
                guard state.bytes + size <= limit else { return false }
                state.free[kind].append(pointer)
                state.bytes += size
                return true
            }
            if isKept { return }
        }
        free(pointer)
    }
}
