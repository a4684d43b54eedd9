// SPDX-License-Identifier: Apache-2.0

internal import CPlatter

/// What a descriptor is ready for, or is to be watched for.
@frozen public struct Readiness: OptionSet, Sendable {
    /// The bits.
    public let rawValue: UInt32
    /// Readiness from its bits.
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Reading does not wait; the end counts as readable.
    @inlinable public static var read: Readiness { Readiness(rawValue: 1) }
    /// Writing does not wait.
    @inlinable public static var write: Readiness { Readiness(rawValue: 2) }
    /// An error or a hang-up; reported even when nothing is watched for.
    @inlinable public static var broken: Readiness { Readiness(rawValue: 4) }
}

/// Whoever owns a descriptor that a reactor watches.
public protocol ReactorHandler: AnyObject {
    /// The descriptor is ready. Level-triggered: what is not taken now is told again.
    /// - Context: the reactor's thread; must not block.
    func ready(_ readiness: Readiness, on reactor: Reactor)
}

/// Whoever calls code of others on a reactor's thread: see ``Reactor/beginForeign(_:_:)``.
public protocol ReactorGuest: AnyObject {
    /// The code of others has not come back in time, and the loop has gone on without its thread. Until the guest has
    /// come back, by a job of its own, it must not be entered; its descriptor is not watched.
    /// - Context: the reactor's new thread.
    func strayed(from reactor: Reactor)
}

/// Something to do on a reactor's thread, without a closure.
public protocol ReactorTask: AnyObject, Sendable {
    /// Does it.
    /// - Context: the reactor's thread; must not block.
    func run(on reactor: Reactor)
}

/// A descriptor's place in a reactor. It outlives neither the reactor nor ``Reactor/forget(_:)``.
public struct Registration: Sendable {
    let slot: Int
    let generation: UInt32
    let descriptor: Int32
    /// What it is watched for.
    public internal(set) var interest: Readiness

    /// Ends the connection of a socket in both directions, from any thread, while its owner cannot. Only while the owner
    /// is known to keep it open.
    public func cutSocket() { _ = platter_shutdown(descriptor) }
}
