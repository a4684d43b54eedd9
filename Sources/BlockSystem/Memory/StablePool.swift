// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// A reference to an element in memory that is only ever used for elements of its kind and never unmapped.
///
/// A stale one reaches another element, never freed memory: what may race there is the element's to say.
@frozen @safe public struct Stable<Element: ~Copyable>: Copyable, @unchecked Sendable {
    // SAFETY: StablePool never gives memory back, so the address stays valid for this type for ever.
    @usableFromInline let pointer: UnsafeMutablePointer<Element>

    @inlinable init(_ pointer: UnsafeMutablePointer<Element>) { unsafe self.pointer = pointer }

    /// The element.
    @inlinable public var element: Element {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }

    /// The address as a number, to carry through a ring or to compare; never zero.
    @inlinable public var bits: UInt { UInt(bitPattern: pointer) }

    /// The reference with these bits, which must have come from ``bits`` of the same type.
    @inlinable public init?(bits: UInt) {
        guard let pointer = unsafe UnsafeMutablePointer<Element>(bitPattern: bits) else { return nil }
        unsafe self.pointer = pointer
    }

    /// The element `distance` places further in the same run.
    @inlinable public func advanced(by distance: Int) -> Stable { unsafe Stable(pointer + distance) }
}

/// Hands out runs of elements, takes them back for reuse, and never unmaps one.
public final class StablePool<Element: ~Copyable>: Sendable {
    private let runs = Lock(FreeRuns())

    private struct FreeRuns {
        var free: [Int: [UInt]] = [:]
        var alive = 0
    }

    /// An empty pool. A pool is a constant of its type's module: it lives as long as the process.
    public init() {}

    /// Elements in runs that are handed out.
    public var alive: Int { runs.withLock { $0.alive } }

    /// A run of `count` elements: a used one of this size, whose elements are as they were left, or a new one whose
    /// elements `make` makes.
    public func take(_ count: Int, make: (Int) -> Element) -> Stable<Element> {
        let reused = runs.withLock { runs -> UInt? in
            runs.alive += count
            return runs.free[count]?.popLast()
        }
        if let reused, let run = Stable<Element>(bits: reused) { return run }
        let pointer = UnsafeMutablePointer<Element>.allocate(capacity: count)
        for index in 0..<count { (pointer + index).initialize(to: make(index)) }
        return Stable(pointer)
    }

    /// Takes a run back. Nobody may write to its elements any more but by stale references that check what they find.
    public func giveBack(_ run: Stable<Element>, count: Int) {
        runs.withLock { runs in
            runs.alive -= count
            runs.free[count, default: []].append(run.bits)
        }
    }
}

/// An object that something else keeps alive: a reference without counting.
@frozen @safe public struct Unretained<Object: AnyObject>: @unchecked Sendable {
    // SAFETY: whoever makes one says beside it what keeps the object alive for as long as it is used.
    @usableFromInline let reference: Unmanaged<Object>

    /// A reference that does not keep `object` alive.
    @inlinable public init(_ object: Object) { unsafe reference = .passUnretained(object) }

    /// Uses the object without touching its reference count.
    @inlinable @inline(__always)
    public func use<Result>(_ body: (Object) -> Result) -> Result {
        unsafe reference._withUnsafeGuaranteedRef(body)
    }

    /// The object, counted.
    @inlinable public var object: Object { unsafe reference.takeUnretainedValue() }

    /// The address as a number, to compare.
    @inlinable public var bits: UInt { unsafe UInt(bitPattern: reference.toOpaque()) }
}

/// A counted reference kept as a number, for a place that is read without counting.
@safe public enum Retained<Object: AnyObject> {
    // SAFETY: between `take` and `release` the number is a live object's address; the caller holds to that.

    /// Counts the object once more and gives its number.
    public static func take(_ object: Object) -> UInt {
        unsafe UInt(bitPattern: Unmanaged.passRetained(object).toOpaque())
    }

    /// Takes that count back.
    public static func release(_ bits: UInt) {
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: bits) else { return }
        unsafe Unmanaged<Object>.fromOpaque(pointer).release()
    }

    /// Uses the object without touching its reference count; `bits` must not be zero.
    @inlinable @inline(__always)
    public static func use<Result>(_ bits: UInt, _ body: (Object) -> Result) -> Result {
        let pointer = unsafe UnsafeRawPointer(bitPattern: bits).unsafelyUnwrapped
        return unsafe Unmanaged<Object>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
    }
}
