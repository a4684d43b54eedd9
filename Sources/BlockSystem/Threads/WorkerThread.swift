// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

/// A named thread of ours. It owns gate stripes while it runs, so that its I/O counts without a locked instruction.
///
/// All are made detached, and ``join()`` waits for a flag that a thread puts up as the last thing it does. The address
/// sanitizer never forgets a thread that could be joined, and takes a later thread to which the kernel gives the same
/// number for it: what only that one's stack refers to is a leak, then.
public final class WorkerThread: Sendable {
    /// That of the thread while `ended` is down, then perhaps another's.
    private let handle: pthread_t
    private let ended: Parker

    /// Threads of this kind that are running now: what the tests hold against a baseline.
    public static let running = Counter()

    /// Starts a thread that runs `body` and ends.
    ///
    /// - Parameter name: at most 15 bytes are seen by the kernel.
    /// - Throws: EAGAIN where the limit on threads is reached.
    public static func start(
        name: String, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> WorkerThread {
        try WorkerThread(ThreadStart(name: name, isCounted: true, body: body))
    }

    fileprivate init(_ start: ThreadStart) throws(SystemError) {
        #if DEBUG
            if ThreadHooks.refuses(start.name) { throw SystemError(errno: EAGAIN) }
        #endif
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let argument = Unmanaged.passRetained(start)
        if start.isCounted { Self.running.add(1) }
        var handle: pthread_t = 0
        let result = pthread_create(&handle, &attributes, threadMain, argument.toOpaque())
        guard result == 0 else {
            if start.isCounted { Self.running.add(-1) }
            argument.release()
            throw SystemError(errno: result)
        }
        self.handle = handle
        ended = start.ended
    }

    /// Makes sure that there is the spare thread which ``detach(name:_:)`` falls back on. Cheap after the first time.
    /// - Returns: whether it is there.
    @discardableResult
    public static func prepareSpare() -> Bool { SpareThread.shared.prepare() }

    /// Runs `body` on a thread of its own that nobody waits for.
    ///
    /// Where no thread can be made, the process's spare thread runs it, in the order in which such bodies came: never the
    /// caller, who may be an event loop or inside somebody's answer. (Only a process that could not even start its spare
    /// thread runs `body` on the caller: late is better than never.)
    public static func detach(name: String, _ body: @escaping @Sendable () -> Void) {
        // Before the first failure, not upon it: then there would be no thread for the spare one either.
        SpareThread.shared.prepare()
        do throws(SystemError) {
            _ = try start(name: name, body)
            SpareThread.shared.help()
        } catch {
            if !SpareThread.shared.take(body) { body() }
        }
    }

    /// Waits until the body has returned, and all that it held is let go. The kernel may count the thread a moment longer.
    ///
    /// From the thread itself it does nothing: nobody can wait for his own end.
    public func join() {
        // A thread that has not ended has its number to itself.
        if !ended.isRaised, pthread_equal(handle, pthread_self()) != 0 { return }
        ended.wait()
    }
}

/// One thread of the process that is there before it is needed, for what no thread can be made for.
///
/// What it runs may hang; so the next thread that can be had takes over what waits behind.
private final class SpareThread: Sendable {
    static let shared = SpareThread()

    // In a struct: a bare closure behind a generic lock is wrapped anew with every look at it.
    private struct Body {
        let run: @Sendable () -> Void
    }
    private struct State {
        var waiting: [Body] = []
        var hasHelper = false
    }
    private let state = Lock(State())
    private let bell = Bell()
    private let isThere = Atomic<Bool>(false)
    private let starting = Lock(())
    /// How many wait; a look that costs nothing while nobody does.
    private let waiting = Atomic<Int>(0)

    @discardableResult
    func prepare() -> Bool {
        if isThere.load(ordering: .acquiring) { return true }
        return starting.withLock { _ in
            if isThere.load(ordering: .acquiring) { return true }
            do throws(SystemError) {
                let spare = ThreadStart(name: "pl-spare", isCounted: false) { [self] in
                    while true {
                        let heard = bell.value
                        runAll()
                        bell.wait(after: heard)
                    }
                }
                _ = try WorkerThread(spare)
                isThere.store(true, ordering: .releasing)
                return true
            } catch {
                return false
            }
        }
    }

    /// False: there is no spare thread.
    func take(_ body: @escaping @Sendable () -> Void) -> Bool {
        guard isThere.load(ordering: .acquiring) else { return false }
        state.withLock { $0.waiting.append(Body(run: body)) }
        waiting.wrappingAdd(1, ordering: .relaxed)
        bell.ring()
        return true
    }

    /// Threads can be had again: one of them takes over what waits behind a body that may hang.
    func help() {
        guard waiting.load(ordering: .relaxed) > 0 else { return }
        let isNeeded = state.withLock { state in
            guard !state.hasHelper, !state.waiting.isEmpty else { return false }
            state.hasHelper = true
            return true
        }
        guard isNeeded else { return }
        do throws(SystemError) {
            _ = try WorkerThread.start(name: "pl-helper") { [self] in
                runAll()
                state.withLock { $0.hasHelper = false }
            }
        } catch {
            state.withLock { $0.hasHelper = false }
        }
    }

    private func runAll() {
        while let body = state.withLock({ $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }) {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            body.run()
        }
    }
}

#if DEBUG
    /// Where a test makes threads impossible. Debug builds only.
    public enum ThreadHooks {
        private static let isSet = Atomic<Bool>(false)
        private static let names = Lock<Set<String>>([])

        /// Threads of these names cannot be started until the next call.
        public static func refuse(_ refused: Set<String>) {
            names.withLock { $0 = refused }
            isSet.store(!refused.isEmpty, ordering: .releasing)
        }

        fileprivate static func refuses(_ name: String) -> Bool {
            isSet.load(ordering: .acquiring) && names.withLock { $0.contains(name) }
        }
    }
#endif

/// What a thread is started with.
private final class ThreadStart: Sendable {
    let name: String
    /// False for what lives as long as the process, which no baseline is to see.
    let isCounted: Bool
    let body: @Sendable () -> Void
    let ended = Parker()

    init(name: String, isCounted: Bool, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.isCounted = isCounted
        self.body = body
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let isCounted: Bool
    let ended: Parker
    // A scope of its own: the closure and what it holds are gone before the thread gives its stripes back.
    do {
        let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        isCounted = start.isCounted
        ended = start.ended
        _ = platter_set_thread_name(String(start.name.utf8.prefix(15)) ?? "platter")
        StripeArena.shared.adoptThread()
        start.body()
    }
    StripeArena.shared.releaseThread()
    if isCounted { WorkerThread.running.add(-1) }
    ended.raise()
    return nil
}

/// Lets another thread run; for waits of a few instructions of somebody else's, never for events.
public func yieldThread() { sched_yield() }
