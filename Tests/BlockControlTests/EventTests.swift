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
        feed.push(.heartbeat)
        feed.push(.lost(10))
        #expect(await feed.next() == event(1))
        #expect(await feed.next() == event(2))
        #expect(await feed.next() == .lost(13))
        feed.push(event(6))
        #expect(await feed.next() == event(6))
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

    @Test func `the text of a stream is taken apart again, however it is cut`() throws {
        let text =
            ": hello\n\n" + event(1).serverSentEvent + EventFeed.Element.heartbeat.serverSentEvent
            + EventFeed.Element.lost(3).serverSentEvent + event(2).serverSentEvent
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
            #expect(last.seqnum == 2)
        }
    }

    @Test func `an event prints as udevadm prints it`() {
        #expect(
            Samples.event.propertyLines == [
                "ACTION=add", "DEVPATH=/devices/virtual/block/pl0/pl0p1", "SUBSYSTEM=block", "RESIZE=1", "MAJOR=259",
                "MINOR=1", "DEVNAME=pl0p1", "DEVTYPE=partition", "DISKSEQ=7", "PARTN=1", "PARTNAME=root",
                "PARTUUID=u", "SEQNUM=12",
            ])
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
