// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// Carries the events of the registry to one listener, who may be slow: bounded, and what does not fit is counted.
package final class EventFeed: AsyncSequence, Sendable {
    package enum Element: Sendable, Equatable {
        case event(EventModel)
        case lost(UInt64)
        /// Nothing happened for a while; the connection is alive.
        case heartbeat
    }

    private struct State {
        var waiting: [Element] = []
        var lost: UInt64 = 0
        var isFinished = false
        var reader: CheckedContinuation<Element?, Never>?
        var observer: EventObserver?
    }

    private let state = Lock(State())
    private let limit: Int

    package init(limit: Int = 1024) { self.limit = limit }

    /// Starts to listen, to what comes after an event; nil: from now on.
    func observe(_ registry: DiskRegistry, after sequence: UInt64?) {
        let observer = registry.events.observe(after: sequence) { [weak self] delivery in
            switch delivery {
            case .event(let event): self?.push(.event(EventModel(event)))
            case .lost(let count): self?.push(.lost(count))
            }
        }
        let isLate = state.withLock { state in
            state.observer = observer
            return state.isFinished
        }
        if isLate { observer.cancel() }
    }

    package func push(_ element: Element) {
        let reader: (CheckedContinuation<Element?, Never>, Element)? = state.withLock { state in
            if state.isFinished { return nil }
            if let reader = state.reader {
                state.reader = nil
                return (reader, element)
            }
            if state.lost == 0, state.waiting.count < limit {
                state.waiting.append(element)
            } else {
                // Once something is missing, everything is until the reader has been told.
                switch element {
                case .event: state.lost += 1
                case .lost(let count): state.lost += count
                case .heartbeat: break
                }
            }
            return nil
        }
        if let (reader, element) = reader { reader.resume(returning: element) }
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
                        return .some(.lost(state.lost))
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
    /// As a server-sent event.
    package var serverSentEvent: String {
        switch self {
        case .heartbeat: ": alive\n\n"
        case .lost(let count):
            "event: lost\ndata: \((try? ControlJSON.text(LostModel(count: count))) ?? "{}")\n\n"
        case .event(let event):
            "event: \(event.action)\nid: \(event.seqnum)\ndata: \((try? ControlJSON.text(event)) ?? "{}")\n\n"
        }
    }
}
