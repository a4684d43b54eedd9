// SPDX-License-Identifier: Apache-2.0

public import CPlatter

/// Three words of the calling thread, for the core's rule that a submission never runs inside another one; and its
/// identity.
public enum ThreadContext {
    /// A number that no other living thread has; never 0.
    @inlinable public static var identity: UInt { platter_thread_self() }
    /// What the thread is inside of; 0: nothing. The core puts the address of the opener that submits.
    @inlinable public static var inside: UInt {
        get { platter_get_inside() }
        set { platter_set_inside(newValue) }
    }
    /// The first of what the thread put off; 0: none.
    @inlinable public static var putOffHead: UInt { platter_get_put_off_head() }
    /// The last of what the thread put off.
    @inlinable public static var putOffTail: UInt { platter_get_put_off_tail() }
    /// Sets both ends.
    @inlinable public static func setPutOff(head: UInt, tail: UInt) { platter_set_put_off(head, tail) }
}
