// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockSystem
import Testing

@Suite(.timeLimit(.minutes(2))) struct `A stale tag` {
    /// What each route that honours If-Match would do, if the tag were right.
    private static let bodies: [String: String] = [
        "remove": #"{"mode": "safe"}"#, "cancel": "{}", "resize": #"{"size": 2097152}"#,
        "set": #"{"settings": {"ro": "on"}}"#, "rescan": "{}", "table": #"{"edit": "make", "table": "gpt"}"#,
        "freeze": "{}", "thaw": "{}", "insert": #"{"path": "/dev/null"}"#, "eject": "{}",
        "attributes": #"{"path": "queue/iostats", "value": "0"}"#,
    ]

    @Test func `is refused by every route that honours If-Match, and nothing is done`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            let first = try await client.add("ram", "size=1M", "name=foo")
            _ = try await client.remove("foo", nil)
            let present = try await client.add("ram", "size=1M", "name=foo")
            let routes = ControlRoute.all.filter(\.honoursIfMatch)
            #expect(routes.count == Self.bodies.count)
            for route in routes {
                let verb = String(route.path.split(separator: "/").last ?? "")
                let text = try #require(Self.bodies[verb], "nobody has said what \(route.path) takes")
                let body = try ControlJSON.decode(JSONValue.self, from: Array(text.utf8))
                let refused = await problem {
                    try await client.send(route, "foo", body: body, ifMatch: first.tag, as: JSONValue.self)
                }
                #expect(refused?.status == 412 && refused?.kind == .changed, "\(route.path)")
                #expect(refused?.diskseq == present.device.diskseq, "\(route.path)")
                guard daemon.registry.disk(named: "foo")?.isFrozen == false else {
                    // Whoever asks for it now waits.
                    Issue.record("\(route.path) froze the disk")
                    return
                }
            }
            let left = try await client.send(.showDisk, "foo", as: DiskDetail.self)
            #expect(left.tag == present.tag)
        }
    }
}

@Suite struct `A preview of a removal` {
    @Test func `says what would become of the flush`() async throws {
        try await withTemporaryDirectory { directory in
            try await withDaemon { daemon in
                let client = daemon.client
                try await client.add("ram", "size=1M", "name=plain", "partscan=off")
                try await client.add("file", "path=\(directory)/x", "size=1M", "name=cached", "partscan=off")
                for (name, mode, flush) in [
                    ("plain", "safe", "not needed"), ("plain", "surprise", "skipped"),
                    ("cached", "safe", "would be done"),
                    ("cached", "hard", "would be done"), ("cached", "surprise", "skipped"),
                ] {
                    #expect(try await client.remove(name, mode, dryRun: true).flush == flush, "\(name) \(mode)")
                }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct `A listener to one disk` {
    @Test func `hears of its partitions, and of a partition alone if that is named`() async throws {
        try await withDaemon { daemon in
            let (client, registry) = (daemon.client, daemon.registry)
            for name in ["foo", "bar"] { try await client.add("ram", "size=1M", "name=\(name)", "partscan=off") }
            for name in ["foo", "bar"] {
                _ = try registry.disk(named: name)?.addPartition(number: 1, start: 8, size: 64)
            }
            try registry.device(named: "foo1")?.synthesizeEvent("change")
            // The last one is wanted by everybody, so that everybody comes to an end.
            try await client.add("ram", "size=1M", "name=end", "partscan=off")
            let last = registry.events.last
            func told(_ devices: String) async throws -> [String] {
                var told: [String] = []
                try await client.events(from: 1, filter: [("device", devices + ",end")]) { message in
                    guard case .event(let event) = message else { return true }
                    told.append("\(event.action) \(event.devname)")
                    return event.seqnum != last
                }
                return told
            }
            #expect(try await told("foo") == ["add foo", "add foo1", "change foo1", "add end"])
            #expect(try await told("foo1") == ["add foo1", "change foo1", "add end"])
        }
    }

    @Test func `hears of what was lost before what came after it`() async {
        let feed = EventFeed(limit: 2)
        func event(_ number: UInt64) -> EventFeed.Element {
            var event = Samples.event
            event.seqnum = number
            return .event(event)
        }
        for number: UInt64 in 1...3 { feed.push(event(number)) }
        #expect(await feed.next() == event(1))
        // There is room again, but not before the reader knows.
        feed.push(event(4))
        #expect(await feed.next() == event(2))
        #expect(await feed.next() == .lost(2, upTo: 4))
        feed.push(event(5))
        #expect(await feed.next() == event(5))
    }

    @Test func `is told of a name that nobody has when it waits for one`() async throws {
        try await withDaemon { daemon in
            let settled = try await daemon.client.send(
                .settle, body: SettleRequest(exitIfExists: "nobody"), as: SettleModel.self)
            #expect(settled == SettleModel(seqnum: 0, exists: false))
        }
    }
}
