// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockDrivers
import BlockSystem
import Testing

@Suite(.timeLimit(.minutes(2))) struct `The stream of events` {
    private func disk(_ registry: DiskRegistry, _ name: String = "a") async throws -> Disk {
        var options = DiskOptions()
        options.name = name
        options.scansPartitions = false
        return try await registry.add(NullDriver(capacity: 1024), options)
    }

    /// What a listener hears until the event with this number.
    private func heard(_ feed: EventFeed, upTo last: UInt64) async -> [String] {
        var heard: [String] = []
        for await element in feed {
            switch element {
            case .event(let event):
                heard.append("\(event.seqnum)")
                if event.seqnum == last { return heard }
            case .lost(let count, let upTo): heard.append("lost \(count.map(String.init) ?? "?") up to \(upTo)")
            case .heartbeat: break
            }
        }
        return heard
    }

    @Test func `goes on behind the last one that was seen, and says what is no longer kept`() async throws {
        let registry = DiskRegistry(eventCapacity: 4)
        let disk = try await disk(registry)
        for _ in 2...10 { try disk.part0.synthesizeEvent("change") }
        func after(_ id: String) async -> [String] {
            let feed = EventFeed()
            feed.observe(registry, after: EventPlace(id))
            defer { feed.finish() }
            return await heard(feed, upTo: 10)
        }
        #expect(await after("\(registry.instance)-8") == ["9", "10"])
        #expect(await after("8") == ["9", "10"], "the number alone is this daemon's")
        #expect(await after("2") == ["lost 4 up to 6", "7", "8", "9", "10"])
        #expect(await after("6") == ["7", "8", "9", "10"], "the id of the loss: it is not told again")
        // Another daemon's, or from a future that this one has not had: nobody knows what is missing.
        for id in ["\(registry.instance)f-3", "11"] {
            #expect(await after(id) == ["lost ? up to 0", "lost 6 up to 6", "7", "8", "9", "10"])
        }
        for text in ["", "a", "a-", "-1", "a-b", "a-1-2", "1.5"] { #expect(EventPlace(text) == nil, "\(text)") }
        _ = await disk.remove()
    }

    @Test func `has what happens between its beginning and its first byte`() async throws {
        let registry = DiskRegistry()
        let stream = EventStream(registry, after: nil)
        let disk = try await disk(registry)
        #expect(await heard(stream.feed, upTo: 1) == ["1"])
        stream.feed.finish()
        _ = await disk.remove()
    }

    @Test func `lets go of the events when it is never read`() {
        let registry = DiskRegistry()
        weak var feed: EventFeed?
        do {
            let stream = EventStream(registry, after: nil)
            feed = stream.feed
            #expect(feed != nil)
        }
        #expect(feed == nil)
    }

    @Test func `tells with its heartbeats how far it is, also beyond what is not wanted`() async throws {
        let registry = DiskRegistry()
        let feed = EventFeed()
        feed.observe(registry, after: nil, filter: try EventFilter { $0 == "device" ? "none" : nil })
        let disk = try await disk(registry)
        for _ in 2...10 { try disk.part0.synthesizeEvent("change") }
        #expect(await registry.events.settle(within: .seconds(20)) == 0)
        feed.beat()
        #expect(await feed.next() == .heartbeat(upTo: 10))
        feed.finish()
        _ = await disk.remove()
    }

    @Test func `has what a listener wants of it, in its order`() async throws {
        try await withDaemon { daemon in
            let (client, registry) = (daemon.client, daemon.registry)
            for name in ["foo", "bar"] { try await client.add("ram", "size=1M", "name=\(name)", "partscan=off") }
            try registry.device(named: "foo")?.synthesizeEvent("change")
            try registry.device(named: "bar")?.synthesizeEvent("move fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed B=1 A=2")
            let added = ExportRequest(device: "bar", kind: "x", parameters: nil)
            _ = try await client.send(.addExport, body: added, as: ExportModel.self)
            _ = try await client.send(.removeExport, "1", as: ExportModel.self)
            func told(_ filter: [(String, String)]) async throws -> [EventModel] {
                var events: [EventModel] = []
                // The last one is wanted by everybody, so that everybody comes to an end.
                let last = registry.events.last
                try await client.events(from: 1, filter: filter) { message in
                    if case .event(let event) = message { events.append(event) }
                    return events.last?.seqnum != last
                }
                return events
            }
            let all = try await told([])
            #expect(all.map(\.action) == ["add", "add", "change", "move", "bind", "unbind"])
            #expect(
                all[3].environment == [
                    "ACTION=move", "DEVPATH=/devices/virtual/block/bar", "SUBSYSTEM=block",
                    "SYNTH_UUID=fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed", "SYNTH_ARG_B=1", "SYNTH_ARG_A=2", "MAJOR=259",
                    "MINOR=1", "DEVNAME=bar", "DEVTYPE=disk", "DISKSEQ=2", "SEQNUM=4",
                ])
            #expect(all[4].environment[3...4] == ["PLATTER_EXPORT=x", "PLATTER_URI=x:/bar"])
            #expect(try await told([("device", "bar,none")]).map(\.seqnum) == [2, 4, 5, 6])
            #expect(try await told([("action", "add,unbind"), ("devtype", "disk")]).map(\.seqnum) == [1, 2, 6])
            for wrong in [("action", "ad"), ("devtype", "disc")] {
                #expect(await problem { try await told([wrong]) }?.kind == .usage)
            }
        }
    }

    @Test func `is settled when those who listen inside have handled it`() async throws {
        try await withDaemon { daemon in
            let (client, registry) = (daemon.client, daemon.registry)
            let settled = try await client.send(.settle, body: SettleRequest(), as: SettleModel.self)
            #expect(settled == SettleModel(seqnum: 0, exists: nil))
            let goOn = Parker()
            let slow = registry.events.observe { _ in goOn.wait() }
            try await client.add("ram", "size=1M", "name=foo", "partscan=off")
            let late = await problem {
                try await client.send(.settle, body: SettleRequest(timeoutSeconds: 0.001), as: SettleModel.self)
            }
            #expect(late?.exitStatus == .busy && late?.errno == "ETIMEDOUT")
            let there = try await client.send(
                .settle, body: SettleRequest(exitIfExists: "foo"), as: SettleModel.self)
            #expect(there == SettleModel(seqnum: 1, exists: true))
            async let waiting = client.send(.settle, body: SettleRequest(), as: SettleModel.self)
            while registry.events.settlersWaiting == 0 { await Task.yield() }
            goOn.raise()
            #expect(try await waiting == SettleModel(seqnum: 1, exists: nil))
            slow.cancel()
        }
    }

    @Test func `events are told from the first one that is wanted, and end with the server`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            try await client.add("ram", "size=1M", "name=foo", "partscan=off")
            _ = try await client.remove("foo", nil)
            let seen = Lock<[String]>([])
            let listener = Task {
                do {
                    try await client.events(from: 1) { message in
                        guard case .event(let event) = message else { return true }
                        let count = seen.withLock { seen in
                            seen.append("\(event.seqnum) \(event.action) \(event.devname)")
                            return seen.count
                        }
                        // Trap: an open stream must not keep the server from ending.
                        if count == 4 { Task { await daemon.server.stop() } }
                        return true
                    }
                } catch is Unreachable {}
            }
            // Its event may be told, and the server ended, before this is answered.
            do { try await client.add("ram", "size=1M", "name=bar", "partscan=off") } catch is Unreachable {}
            try await listener.value
            #expect(seen.withLock { $0 } == ["1 add foo", "2 offline foo", "3 remove foo", "4 add bar"])
        }
    }
}
