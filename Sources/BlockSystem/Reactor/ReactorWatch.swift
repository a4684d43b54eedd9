// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Sees to it that code of others which does not come back costs nobody else his event loop.
///
/// One thread for all reactors. It looks at them twenty times a second while any of them is busy, and sleeps without a
/// timer otherwise. A reactor whose thread is found asleep in the same stay at three looks in a row gets a new thread; one
/// that runs there, or waits for a processor, after two seconds.
final class ReactorWatch: Sendable {
    static let shared = ReactorWatch()

    private struct Watched {
        let reactor: Unretained<Reactor>
        var word: UInt64
        var looks = 0
    }
    private struct State {
        var watched: [Watched] = []
        var isRunning = false
    }
    private let state = Lock(State())
    private let bell = Bell()
    private let isAsleep = Atomic<Bool>(true)

    private static let interval = Duration.milliseconds(50)
    private static let looksUntilAdoption = 3
    private static let looksUntilPatienceEnds = 40
    private static let looksUntilSleep = 20

    /// A reactor from its start to its end: it takes itself out before it may be freed.
    func add(_ reactor: Reactor) {
        state.withLock { $0.watched.append(Watched(reactor: Unretained(reactor), word: 0)) }
    }

    func remove(_ reactor: Reactor) {
        state.withLock { $0.watched.removeAll { $0.reactor.bits == reactor.identity } }
    }

    /// A stay has begun.
    @inline(__always)
    func rouse() {
        // Pairs with the look that follows the store in `run`: one of the two sees the other.
        if isAsleep.load(ordering: .sequentiallyConsistent) { wake() }
    }

    private func wake() {
        guard isAsleep.exchange(false, ordering: .sequentiallyConsistent) else { return }
        let starts = state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard starts else { return bell.ring() }
        do throws(SystemError) {
            _ = try WorkerThread.start(name: "pl-watch") { [self] in run() }
        } catch {
            // No thread now: the next stay tries again.
            state.withLock { $0.isRunning = false }
            isAsleep.store(true, ordering: .sequentiallyConsistent)
        }
    }

    private func run() {
        var quietLooks = 0
        while true {
            let heard = bell.value
            bell.wait(after: heard, until: Instant.now + Self.interval)
            quietLooks = look() ? 0 : quietLooks + 1
            guard quietLooks >= Self.looksUntilSleep else { continue }
            quietLooks = 0
            isAsleep.store(true, ordering: .sequentiallyConsistent)
            // Whoever began before it could see that is seen here.
            if look() {
                isAsleep.store(false, ordering: .sequentiallyConsistent)
                continue
            }
            while isAsleep.load(ordering: .sequentiallyConsistent) { bell.wait(after: heard) }
        }
    }

    /// One look at all. Whether anything has moved or is in a stay.
    private func look() -> Bool {
        var isBusy = false
        let stuck = state.withLock { state -> [(Reactor, UInt64, Int)] in
            var stuck: [(Reactor, UInt64, Int)] = []
            for index in state.watched.indices {
                let word = state.watched[index].reactor.use { $0.stay.load(ordering: .sequentiallyConsistent) }
                let isSame = word == state.watched[index].word
                if !isSame || word & 1 == 1 { isBusy = true }
                state.watched[index].looks = isSame && word & 1 == 1 ? state.watched[index].looks + 1 : 0
                state.watched[index].word = word
                guard state.watched[index].looks >= Self.looksUntilAdoption - 1 else { continue }
                // Counted under the lock, where it is still there.
                stuck.append((state.watched[index].reactor.object, word, state.watched[index].looks))
            }
            return stuck
        }
        // A thread that runs, or would if it had a processor, gets more time: that may be the machine's fault.
        for (reactor, word, looks) in stuck where looks >= Self.looksUntilPatienceEnds || reactor.isAsleep {
            // Where there is no thread or memory for it, later looks try again.
            do throws(SystemError) { try reactor.adopt(word) } catch {}
        }
        return isBusy
    }
}
