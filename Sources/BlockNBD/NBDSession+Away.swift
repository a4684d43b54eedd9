// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem
internal import Synchronization

/// Whether a session is away: its thread was in a driver that did not come back, and the loop went on without it.
final class NBDAway: Sendable {
    private let flag = Atomic<Bool>(false)
    /// What the loop must know of a session that it leaves: its own fields belong to the thread that strayed, which may
    /// be back in them already.
    private struct Facts: Sendable {
        var registration: Registration?
        var disk: Disk?
    }
    private let facts = Lock(Facts())
    /// Where a session that is away is connected. Under a lock, so that nobody cuts a descriptor that was reused.
    private let connection = Lock<Registration?>(nil)

    /// Written by the reactor's thread alone; a thread that strayed may see it late.
    var isAway: Bool { flag.load(ordering: .relaxed) }

    /// Before the first call that may go astray.
    func prepare(_ registration: Registration?, _ disk: Disk?) {
        facts.withLock { $0 = Facts(registration: registration, disk: disk) }
    }

    /// At the end of the session: nothing of it is kept.
    func forget() { facts.withLock { $0 = Facts() } }

    /// - Returns: the disk in whose driver the thread is.
    func leave() -> Disk? {
        let facts = facts.withLock { $0 }
        connection.withLock { $0 = facts.registration }
        flag.store(true, ordering: .relaxed)
        return facts.disk
    }

    func comeBack() {
        connection.withLock { $0 = nil }
        flag.store(false, ordering: .relaxed)
    }

    /// Ends the connection of a session that is away: its client hears the end instead of nothing. False: it is not away.
    @discardableResult
    func cut() -> Bool {
        connection.withLock { connection in
            connection?.cutSocket()
            return connection != nil
        }
    }
}

/// How a session goes on when a driver has kept its thread.
///
/// The loop goes on with another thread, and leaves the session alone: the thread that strayed has it, with the memory
/// that it was using, until the driver returns. Then it finishes the turn, and posts the session's way back. A disk that
/// is pulled meanwhile, or a server that is stopped, cuts the connection.
extension NBDSession {
    /// The calling thread has the session but is not the reactor's any more.
    var isStray: Bool { Reactor.currentIdentity != home }

    func strayed(from reactor: Reactor) {
        let disk = away.leave()
        workspace.retire(for: self)
        disk?.driverStrayed()
        // The disk may have died before anybody could know that the session is away.
        if hasNews.contains(.died) { away.cut() }
    }

    /// At the end of whatever the reactor called.
    func comeBackIfStray() {
        guard isStray else { return }
        if !workspace.reactor.post(NBDWayBack(self)) {
            // The reactor has ended meanwhile; nobody else has the session now.
            away.comeBack()
            end(flow.value.leaving ?? "the server shut down")
        }
    }

    func comeBack(on reactor: Reactor) {
        away.comeBack()
        workspace.takeBack(self)
        if let reason = flow.value.leaving { return finish(reason) }
        if let registration = flow.value.registration { reactor.watchAgain(registration) }
        // Answers that came meanwhile, and what was read before.
        run(on: reactor)
    }
}

/// A session comes back to its reactor.
private final class NBDWayBack: ReactorTask {
    private let session: NBDSession
    init(_ session: NBDSession) { self.session = session }
    func run(on reactor: Reactor) { session.comeBack(on: reactor) }
}
