// SPDX-License-Identifier: Apache-2.0

package import BlockCore
internal import BlockSystem

/// Carries the events of the registry to one listener, who may be slow: bounded, and what does not fit is counted.
package final class EventFeed: AsyncSequence, Sendable {
    package enum Element: Sendable, Equatable {
        case event(EventModel)
        /// So many are missing (nil: nobody knows), up to the one with this number.
        case lost(UInt64?, upTo: UInt64)
        /// Nothing happened for a while; the connection is alive. Up to the event with this number everything that was wanted
        /// was told.
        case heartbeat(upTo: UInt64)
    }

    private struct State {
        var waiting: [Element] = []
        var lost: UInt64 = 0
        /// The last number among them.
        var lostUpTo: UInt64 = 0
        /// The number of the last event that came by, wanted or not.
        var place: UInt64 = 0
        /// Takes no place among what waits: who does not read is not told over and over that he could.
        var isBeatDue = false
        var isFinished = false
        var reader: CheckedContinuation<Element?, Never>?
        var observer: EventObserver?
    }

    private let state = Lock(State())
    private let limit: Int

    package init(limit: Int = 1024) { self.limit = limit }

    /// Starts to listen, to what comes after an event; nil: from now on.
    ///
    /// An event of another daemon, or one that this one has not told of yet, is no place to go on from: then a loss comes
    /// first, and everything that this daemon still has.
    package func observe(_ registry: DiskRegistry, after seen: EventPlace?, filter: EventFilter? = nil) {
        var start = registry.events.last
        if let seen {
            let isOurs = (seen.instance ?? registry.instance) == registry.instance && seen.sequence <= start
            if !isOurs { push(.lost(nil, upTo: 0)) }
            start = isOurs ? seen.sequence : 0
        }
        state.withLock { $0.place = start }
        let observer = registry.events.observe(after: start) { [weak self] delivery in
            switch delivery {
            case .event(let event): self?.take(event, filter)
            case .lost(let count): self?.lose(count)
            }
        }
        let isLate = state.withLock { state in
            state.observer = observer
            return state.isFinished
        }
        if isLate { observer.cancel() }
    }

    private func take(_ event: DiskEvent, _ filter: EventFilter?) {
        let element: Element? = filter?.wants(event) != false ? .event(EventModel(event)) : nil
        hand { state in
            // In one step with the event: a heartbeat between the two would tell of a place behind it.
            state.place = event.sequence
            return element
        }
    }

    private func lose(_ count: UInt64) {
        hand { state in
            state.place += count
            return .lost(count, upTo: state.place)
        }
    }

    /// Something to tell.
    package func push(_ element: Element) { hand { _ in element } }

    /// A sign of life, unless there is something to tell anyhow.
    package func beat() {
        hand { state in
            guard state.waiting.isEmpty, state.lost == 0 else { return nil }
            guard state.reader == nil else { return .heartbeat(upTo: state.place) }
            state.isBeatDue = true
            return nil
        }
    }

    /// Gives the reader who waits what `make` makes, or keeps it for the next one.
    private func hand(_ make: (inout State) -> Element?) {
        let reader: (CheckedContinuation<Element?, Never>, Element)? = state.withLock { state in
            guard !state.isFinished, let element = make(&state) else { return nil }
            if let reader = state.reader {
                state.reader = nil
                return (reader, element)
            }
            keep(element, &state)
            return nil
        }
        if let (reader, element) = reader { reader.resume(returning: element) }
    }

    private func keep(_ element: Element, _ state: inout State) {
        state.isBeatDue = false
        guard state.lost > 0 || state.waiting.count >= limit else { return state.waiting.append(element) }
        // Once something is missing, everything is until the reader has been told.
        switch element {
        case .event(let event):
            state.lost += 1
            state.lostUpTo = event.seqnum
        case .lost(let count, let last):
            state.lost += count ?? 1
            state.lostUpTo = last
        case .heartbeat: break
        }
    }

    package func finish() {
        let (reader, observer) = state.withLock { state in
            state.isFinished = true
            defer {
                state.reader = nil
                state.observer = nil
            }
            return (state.reader, state.observer)
        }
        observer?.cancel()
        reader?.resume(returning: nil)
    }

    package func next() async -> Element? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Element?? = state.withLock { state in
                    if !state.waiting.isEmpty { return .some(state.waiting.removeFirst()) }
                    if state.lost > 0 {
                        defer { state.lost = 0 }
                        return .some(.lost(state.lost, upTo: state.lostUpTo))
                    }
                    if state.isBeatDue {
                        state.isBeatDue = false
                        return .some(.heartbeat(upTo: state.place))
                    }
                    if state.isFinished { return .some(nil) }
                    state.reader = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            finish()
        }
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        let feed: EventFeed
        package mutating func next() async -> Element? { await feed.next() }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(feed: self) }
}

extension EventFeed.Element {
    /// As a server-sent event. Its id is what `Last-Event-ID` takes; behind a loss, too, so that nobody who comes back
    /// after one is told of it again, and with a heartbeat, which for a listener to few events is far behind the last one.
    package func serverSentEvent(of instance: String) -> String {
        switch self {
        case .heartbeat(let place): ": alive\nid: \(instance)-\(place)\n\n"
        case .lost(let count, let last):
            "event: lost\nid: \(instance)-\(last)\n"
                + "data: \((try? ControlJSON.text(LostModel(count: count))) ?? "{}")\n\n"
        case .event(let event):
            "event: \(event.action)\nid: \(instance)-\(event.seqnum)\n"
                + "data: \((try? ControlJSON.text(event)) ?? "{}")\n\n"
        }
    }
}
