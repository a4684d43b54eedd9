// SPDX-License-Identifier: Apache-2.0

/// State that one thread at a time touches, reached without the check for overlapping access that a mutable property
/// of a class costs on every use.
///
/// The owner says beside it which thread that is. Keep uses short, one field at a time: two overlapping changes of the
/// same field are not caught.
@safe public struct Confined<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // SAFETY: confined to one thread at a time by its owner's rule; the memory lives exactly as long as self.
    @usableFromInline let pointer: UnsafeMutablePointer<Value>

    /// Confines a value.
    @inlinable public init(_ value: consuming Value) {
        unsafe pointer = .allocate(capacity: 1)
        unsafe pointer.initialize(to: value)
    }

    deinit {
        unsafe pointer.deinitialize(count: 1)
        unsafe pointer.deallocate()
    }

    /// The value.
    @inlinable public var value: Value {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }
}
