// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc

/// A named thread of ours. It owns gate stripes while it runs, so that its I/O counts without a locked instruction.
public final class WorkerThread: @unchecked Sendable {
    // SAFETY: `handle` is written once before anybody else has self; `joined` is behind its lock.
    private var handle: pthread_t = 0
    private let joined = Lock(false)

    /// Threads of this kind that are running now: what the tests hold against a baseline.
    public static let running = Counter()

    private init() {}

    /// Starts a thread that runs `body` and ends.
    ///
    /// - Parameter name: at most 15 bytes are seen by the kernel.
    /// - Throws: EAGAIN where the limit on threads is reached.
    public static func start(
        name: String, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> WorkerThread {
        let thread = WorkerThread()
        let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
        running.add(1)
        let result = pthread_create(&thread.handle, nil, threadMain, start.toOpaque())
        guard result == 0 else {
            running.add(-1)
            start.release()
            throw SystemError(errno: result)
        }
        return thread
    }

    /// Runs `body` on a thread of its own that nobody waits for.
    ///
    /// Where no thread can be made it runs `body` on the calling thread: late is better than never.
    public static func detach(name: String, _ body: @escaping @Sendable () -> Void) {
        do throws(SystemError) {
            let thread = try start(name: name, body)
            thread.joined.withLock { $0 = true }
            pthread_detach(thread.handle)
        } catch {
            body()
        }
    }

    /// Waits until the thread has ended. Only the first call waits; from the thread itself it lets the thread go instead.
    public func join() {
        let first = joined.withLock { joined in
            defer { joined = true }
            return !joined
        }
        guard first else { return }
        if pthread_equal(handle, pthread_self()) != 0 {
            pthread_detach(handle)
        } else {
            pthread_join(handle, nil)
        }
    }

    deinit {
        let abandoned = joined.withLock { !$0 }
        if abandoned, handle != 0 { pthread_detach(handle) }
    }
}

private final class ThreadStart: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    // A scope of its own: the closure and what it holds are gone before the thread gives its stripes back.
    do {
        let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        _ = platter_set_thread_name(String(start.name.utf8.prefix(15)) ?? "platter")
        StripeArena.shared.adoptThread()
        start.body()
    }
    StripeArena.shared.releaseThread()
    WorkerThread.running.add(-1)
    return nil
}

/// Lets another thread run; for waits of a few instructions of somebody else's, never for events.
public func yieldThread() { sched_yield() }
