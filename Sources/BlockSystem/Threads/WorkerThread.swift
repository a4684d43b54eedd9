// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Glibc
internal import Synchronization

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
        try start(name: name, isCounted: true, body)
    }

    /// - Parameter isCounted: false for what lives as long as the process, which no baseline is to see.
    fileprivate static func start(
        name: String, isCounted: Bool, _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> WorkerThread {
        #if DEBUG
            if ThreadHooks.refuses(name) { throw SystemError(errno: EAGAIN) }
        #endif
        let thread = WorkerThread()
        let start = Unmanaged.passRetained(ThreadStart(name: name, isCounted: isCounted, body: body))
        if isCounted { running.add(1) }
        let result = pthread_create(&thread.handle, nil, threadMain, start.toOpaque())
        guard result == 0 else {
            if isCounted { running.add(-1) }
            start.release()
            throw SystemError(errno: result)
        }
        return thread
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
            try start(name: name, isCounted: true, body).letGo()
            SpareThread.shared.help()
        } catch {
            if !SpareThread.shared.take(body) { body() }
        }
    }

    /// Nobody will join it.
    fileprivate func letGo() {
        joined.withLock { $0 = true }
        pthread_detach(handle)
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
                try WorkerThread.start(name: "pl-spare", isCounted: false) { [self] in
                    while true {
                        let heard = bell.value
                        runAll()
                        bell.wait(after: heard)
                    }
                }.letGo()
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
            try WorkerThread.start(name: "pl-helper", isCounted: true) { [self] in
                runAll()
                state.withLock { $0.hasHelper = false }
            }.letGo()
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

private final class ThreadStart: Sendable {
    let name: String
    let isCounted: Bool
    let body: @Sendable () -> Void
    init(name: String, isCounted: Bool, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.isCounted = isCounted
        self.body = body
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let isCounted: Bool
    // A scope of its own: the closure and what it holds are gone before the thread gives its stripes back.
    do {
        let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        isCounted = start.isCounted
        _ = platter_set_thread_name(String(start.name.utf8.prefix(15)) ?? "platter")
        StripeArena.shared.adoptThread()
        start.body()
    }
    StripeArena.shared.releaseThread()
    if isCounted { WorkerThread.running.add(-1) }
    return nil
}

/// Lets another thread run; for waits of a few instructions of somebody else's, never for events.
public func yieldThread() { sched_yield() }
