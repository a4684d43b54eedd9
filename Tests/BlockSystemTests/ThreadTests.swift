// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Glibc
import Synchronization
import Testing

@Suite("A thread that is joined") struct JoinTests {
    private final class Held: Sendable {
        let gone: Parker
        init(_ gone: Parker) { self.gone = gone }
        deinit { gone.raise() }
    }

    @Test("has let go of what its body held, whoever waits") func joined() throws {
        let (goOn, gone) = (Parker(), Parker())
        let before = WorkerThread.running.value
        let (ended, sawItGone) = (Counter(), Counter())
        let thread = try WorkerThread.start(name: "pl-test") { [held = Held(gone)] in
            withExtendedLifetime(held) { _ = goOn.wait() }
        }
        let joiners = try (0..<3).map { _ in
            try WorkerThread.start(name: "pl-joiner") {
                thread.join()
                if gone.isRaised { sawItGone.add() }
                ended.add()
            }
        }
        #expect(ended.value == 0 && !gone.isRaised)
        goOn.raise()
        for joiner in joiners { joiner.join() }
        #expect(ended.value == 3 && sawItGone.value == 3)
        thread.join()
        #expect(WorkerThread.running.value <= before)
    }

    @Test("does not wait for itself") func itself() throws {
        let own = Lock<WorkerThread?>(nil)
        let (goOn, returned) = (Parker(), Parker())
        let thread = try WorkerThread.start(name: "pl-test") {
            goOn.wait()
            own.withLock { $0 }?.join()
            returned.raise()
        }
        own.withLock { $0 = thread }
        goOn.raise()
        // A thread that waits for itself would never be joined below.
        try #require(returned.wait(until: Instant.now + .seconds(30)))
        thread.join()
        own.withLock { $0 = nil }
    }
}

#if DEBUG
    @Suite("A process that can make no threads", .serialized) struct ThreadTests {
        @Test("runs what is detached on its spare thread, in order, never on the caller") func spare() {
            #expect(WorkerThread.prepareSpare())
            ThreadHooks.refuse(["pl-test", "pl-helper"])
            defer { ThreadHooks.refuse([]) }
            let me = UInt(pthread_self())
            let order = Lock<[Int]>([])
            let threads = Lock<Set<UInt>>([])
            let done = Parker()
            for index in 0..<50 {
                WorkerThread.detach(name: "pl-test") {
                    order.withLock { $0.append(index) }
                    threads.withLock { _ = $0.insert(UInt(pthread_self())) }
                    if index == 49 { done.raise() }
                }
            }
            #expect(done.wait(until: Instant.now + .seconds(30)))
            #expect(order.withLock { $0 } == Array(0..<50))
            #expect(threads.withLock { $0.count } == 1 && !threads.withLock { $0.contains(me) })
        }

        @Test("has what waits behind a hanging one done by the next thread that can be had") func takenOver() {
            #expect(WorkerThread.prepareSpare())
            ThreadHooks.refuse(["pl-test"])
            let (goOn, inside, done) = (Parker(), Parker(), Parker())
            WorkerThread.detach(name: "pl-test") {
                inside.raise()
                goOn.wait()
            }
            #expect(inside.wait(until: Instant.now + .seconds(30)))
            WorkerThread.detach(name: "pl-test") { done.raise() }
            ThreadHooks.refuse([])
            #expect(!done.isRaised)
            WorkerThread.detach(name: "pl-test") {}
            #expect(done.wait(until: Instant.now + .seconds(30)))
            goOn.raise()
        }
    }
#endif
