// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing

@Suite struct `A feed of events` {
    private func event(_ number: UInt64) -> EventFeed.Element {
        var event = Samples.event
        event.seqnum = number
        return .event(event)
    }

    @Test func `a slow reader loses events, and is told how many at the place where they are missing`() async {
        let feed = EventFeed(limit: 2)
        for number in 1...5 { feed.push(event(UInt64(number))) }
        feed.beat()
        feed.push(.lost(10, upTo: 15))
        #expect(await feed.next() == event(1))
        #expect(await feed.next() == event(2))
        // Whoever comes back with the id of the loss is not told of it again.
        #expect(await feed.next() == .lost(13, upTo: 15))
        feed.push(event(16))
        #expect(await feed.next() == event(16))
    }

    @Test func `it ends when it is finished, also under a reader who waits`() async {
        let feed = EventFeed()
        async let answer = feed.next()
        feed.finish()
        #expect(await answer == nil)
        #expect(await feed.next() == nil)
        feed.push(event(1))
        #expect(await feed.next() == nil)
    }

    @Test func `what was there before the end is still delivered`() async {
        let feed = EventFeed()
        feed.push(event(1))
        feed.finish()
        #expect(await feed.next() == event(1))
        #expect(await feed.next() == nil)
    }

    @Test func `a heartbeat takes no place of an event, and is not told beside one`() async {
        let feed = EventFeed(limit: 2)
        for _ in 1...5 { feed.beat() }
        for number in 1...2 { feed.push(event(UInt64(number))) }
        feed.beat()
        #expect(await feed.next() == event(1))
        #expect(await feed.next() == event(2))
        for _ in 1...2 { feed.beat() }
        #expect(await feed.next() == .heartbeat(upTo: 0), "it is wanted when nothing else is there")
        feed.finish()
        #expect(await feed.next() == nil, "and once")
    }

    @Test func `the text of a stream is taken apart again, however it is cut`() throws {
        let text =
            ": hello\n\n" + event(1).serverSentEvent(of: "a")
            + EventFeed.Element.heartbeat(upTo: 2).serverSentEvent(of: "a")
            + EventFeed.Element.lost(3, upTo: 4).serverSentEvent(of: "a") + event(5).serverSentEvent(of: "a")
        #expect(text.contains(": alive\nid: a-2\n\n"))
        #expect(text.contains("event: add\nid: a-1\n") && text.contains("event: lost\nid: a-4\n"))
        for size in [1, 2, 7, 100, 10_000] {
            var parser = EventParser()
            var messages: [EventMessage] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                messages += try parser.feed(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            #expect(messages.count == 3)
            #expect(messages.dropFirst().first == .lost(3))
            guard case .event(let last)? = messages.last else {
                Issue.record("no event at the end")
                continue
            }
            #expect(last.seqnum == 5)
        }
    }
}

@Suite struct `The token of a TCP listener` {
    @Test(arguments: [
        ("Bearer secret", true), ("bearer  secret", true), ("secret", false), ("Bearer secre", false),
        ("Bearer secretx", false), ("Basic secret", false), ("Bearer ", false), ("", false),
    ])
    func `only the right one is let in`(header: String, isRight: Bool) {
        #expect(BearerToken("secret").isShown(by: header) == isRight)
    }

    @Test func `no header and no token let nobody in`() {
        #expect(!BearerToken("secret").isShown(by: nil))
        #expect(!BearerToken("").isShown(by: "Bearer "))
    }
}
