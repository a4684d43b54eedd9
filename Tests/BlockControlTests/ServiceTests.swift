// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockDrivers
import BlockSystem
import Logging
import Testing

/// Takes answers and forgets them.
private final class Deaf: BioSink {
    func completed(token: UInt64, status: BlockStatus, buffer: consuming IOBuffer?) {}
}

/// Does not say its settings until it may.
private final class HangingDriver: BlockDriver {
    let capacity: UInt64 = 1024
    private let goOn: Parker
    init(_ goOn: Parker) { self.goOn = goOn }
    func submit(_ bio: consuming Bio) { bio.complete(.ok) }
    var settings: [(key: String, value: String)] {
        goOn.wait()
        return [(key: "speed", value: "1")]
    }
    var notes: [String] { ["slow"] }
}

private struct Nothing: Decodable {}

@Suite(.timeLimit(.minutes(2))) struct `The service over its socket` {
    @Test func `its socket belongs to its user alone, and replaces a stale one`() async throws {
        try await withDaemon { daemon in
            let path = daemon.client.paths.socket
            #expect(HostFile.status(path)?.kind == .socket)
            #expect(HostFile.status(path)?.mode == 0o600)
            #expect(HostFile.status(path + ".new") == nil)
            try await daemon.server.listen(unix: path)
            let health = try await daemon.client.send(.health, as: HealthModel.self)
            #expect(health.version == "1.2.3")
            #expect(health.pid == Host.processID)
            #expect(health.instance == daemon.registry.instance)
        }
    }

    @Test func `nobody at the socket is told as such`() async throws {
        try await withTemporaryDirectory { directory in
            let client = ControlClient(paths: ControlPaths(socket: directory + "/none.sock"))
            do {
                _ = try await client.send(.health, as: HealthModel.self)
                Issue.record("somebody answered")
            } catch let unreachable as Unreachable {
                #expect(unreachable.exitStatus == .unreachable)
                #expect(unreachable.reason.contains("ENOENT"))
            }
        }
    }

    @Test(arguments: ControlRoute.all.filter { $0.path.contains("{") })
    func `an empty name is sent nowhere, for it would lead to another route or disk`(_ route: ControlRoute) async throws
    {
        try await withDaemon { daemon in
            _ = try await daemon.client.add("ram", "size=1M", "name=remove")
            let refused = await problem { try await daemon.client.send(route, "", as: Nothing.self) }
            #expect(refused?.kind == .usage && refused?.exitStatus == .usage)
            #expect(refused?.detail.hasPrefix("an empty ") == true, "\(refused?.detail ?? "") of \(route.path)")
            #expect(daemon.registry.disks.count == 1)
        }
    }

    @Test func `a disk is added, listed, shown, changed and removed`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            let added = try await client.add("ram", "size=1M", "name=foo")
            #expect(added.device.name == "foo")
            #expect(added.device.size == 1 << 20)
            let list = try await client.send(.listDisks, as: DeviceList.self)
            #expect(list.blockdevices.map(\.name) == ["foo"])
            #expect(list.blockdevices.first?.driver == "ram")
            let resized = try await client.send(
                .resizeDisk, "foo", body: ResizeRequest(size: 2 << 20), as: DiskDetail.self)
            #expect(resized.device.size == 2 << 20)
            #expect(resized.generation != added.generation)
            let frozen = try await client.send(.freezeDisk, "foo", body: FreezeRequest(), as: DiskDetail.self)
            #expect(frozen.device.state == "frozen" && frozen.generation != resized.generation)
            let deeper = try await client.send(.freezeDisk, "foo", body: FreezeRequest(), as: DiskDetail.self)
            #expect(frozen.freezeDepth == 1 && deeper.freezeDepth == 2)
            let once = try await client.send(.thawDisk, "foo", as: DiskDetail.self)
            #expect(once.device.state == "frozen" && once.freezeDepth == 1 && once.parked == 0)
            #expect(try await client.send(.thawDisk, "foo", as: DiskDetail.self).device.state == "live")
            let twice = await #expect(throws: Problem.self) {
                try await client.send(.thawDisk, "foo", as: DiskDetail.self)
            }
            #expect(twice?.exitStatus == .failed)
            #expect(twice?.detail == "foo is not frozen: there is nothing to thaw")
            let set = try await client.send(
                .setDisk, "foo", body: SetRequest(settings: ["ro": "on"]), as: DiskDetail.self)
            #expect(set.device.readOnly)
            #expect(set.settings["ro"] == "on")
            let rescan = try await client.send(.rescanDisk, "foo", as: RescanModel.self)
            #expect(rescan.partitions == [])
            let table = try await client.send(
                .diskPartitions, "foo", query: [("as", "kernel")], as: PartitionTableModel.self)
            #expect(table.table == nil)
            let report = try await client.remove("foo", nil)
            #expect(report.outcome == "removed")
            #expect(report.mode == "safe")
            #expect(report.diskseq == added.device.diskseq)
            #expect(try await client.send(.listDisks, as: DeviceList.self).blockdevices == [])
        }
    }

    @Test func `a removal finds a disk that is still being added, and cancels the add`() async throws {
        try await withDaemon { daemon in
            let (reached, goOn, over) = (Parker(), Parker(), Parker())
            let failure = Lock<Int32?>(nil)
            var options = DiskOptions()
            options.name = "slow"
            options.scansPartitions = false
            options.beforeStep = { step throws(DiskError) in
                guard step == 8 else { return }
                reached.raise()
                goOn.wait()
            }
            let given = options
            let registry = daemon.registry
            WorkerThread.detach(name: "add") {
                do throws(DiskError) {
                    _ = try registry.addBlocking(NullDriver(capacity: 1024), given)
                } catch {
                    failure.withLock { $0 = error.errno }
                }
                over.raise()
            }
            #expect(reached.wait(until: Instant.now + .seconds(30)))
            // No other verb finds it.
            await #expect(throws: Problem.noSuchDisk("slow")) {
                try await daemon.client.send(.showDisk, "slow", as: DiskDetail.self)
            }
            let removal = Task { [client = daemon.client] in
                try await client.send(.removeDisk, "slow", body: RemovalRequest(), as: RemovalModel.self)
            }
            let disk = try #require(registry.diskBeingAdded(named: "slow"))
            while disk.addCancellers == 0 { await Task.yield() }
            goOn.raise()
            let report = try await removal.value
            #expect(report.outcome == "removed" && report.state == "gone" && report.notes.count == 1)
            #expect(registry.diskBeingAdded(named: "slow") == nil, "the name is free when it is said")
            #expect(over.wait(until: Instant.now + .seconds(30)))
            #expect(failure.withLock { $0 } == 125)
        }
    }

    @Test func `a driver that hangs holds up neither show nor list nor metrics`() async throws {
        try await withDaemon { daemon in
            let goOn = Parker()
            _ = try await daemon.registry.add(
                HangingDriver(goOn),
                {
                    var options = DiskOptions()
                    options.name = "hung"
                    options.scansPartitions = false
                    return options
                }())
            for _ in 0..<3 {
                let detail = try await daemon.client.send(.showDisk, "hung", as: DiskDetail.self)
                #expect(detail.settingsStale && detail.settings["ro"] == "off")
            }
            #expect(try await daemon.client.send(.listDisks, as: DeviceList.self).blockdevices.count == 1)
            #expect(try await daemon.client.text(.metrics).contains("platter_core_faults_total 0"))
            goOn.raise()
            var detail = try await daemon.client.send(.showDisk, "hung", as: DiskDetail.self)
            while detail.settingsStale { detail = try await daemon.client.send(.showDisk, "hung") }
            #expect(detail.settings["speed"] == "1" && detail.notes == ["slow"])
        }
    }

    @Test func `what cannot be done is told with its reason`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            try await client.add("ram", "size=1M", "name=foo")
            #expect(await problem { try await client.add("rom") }?.kind == .usage)
            #expect(await problem { try await client.add("ram", "sizze=1M") }?.kind == .usage)
            #expect(await problem { try await client.add("ram", "size=1M", "name=foo") }?.kind == .exists)
            #expect(await problem { try await client.remove("nope", nil) } == Problem.noSuchDisk("nope"))
            #expect(await problem { try await client.remove("seq:99", nil) }?.kind == .notFound)
            #expect(await problem { try await client.remove("seq:x", nil) }?.kind == .usage)
            #expect(await problem { try await client.remove("foo", "gently") }?.kind == .usage)
            #expect(await problem { try await client.remove("foo", "hard", timeout: -1) }?.kind == .usage)
            let odd = await problem {
                try await client.send(.resizeDisk, "foo", body: ResizeRequest(size: 1000), as: DiskDetail.self)
            }
            #expect(odd?.kind == .usage)
            #expect(odd?.errno == "EINVAL")
            #expect(odd?.disk == "foo")
            let nothing = await problem { try await client.send(.cancelRemoval, "foo", as: DiskDetail.self) }
            #expect(nothing?.exitStatus == .failed)
            let policy = await problem {
                try await client.send(.diskPartitions, "foo", query: [("as", "x")], as: PartitionTableModel.self)
            }
            #expect(policy?.kind == .usage)
            let flag = await problem {
                try await client.send(.diskPartitions, "foo", query: [("explain", "yes")], as: PartitionTableModel.self)
            }
            #expect(flag?.kind == .usage)
        }
    }

    @Test func `a tag keeps a late verb off the name's next owner`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            let first = try await client.add("ram", "size=1M", "name=foo")
            _ = try await client.remove("foo", nil, ifMatch: first.tag)
            let second = try await client.add("ram", "size=1M", "name=foo")
            #expect(second.device.diskseq > first.device.diskseq)
            let refused = await problem { try await client.remove("foo", nil, ifMatch: first.tag) }
            #expect(refused?.kind == .changed)
            #expect(refused?.status == 412)
            #expect(refused?.diskseq == second.device.diskseq)
            let nonsense = await problem { try await client.remove("foo", nil, ifMatch: "\"x\"") }
            #expect(nonsense?.kind == .usage)
            #expect(try await client.remove("foo", nil, ifMatch: "*").outcome == "removed")
        }
    }

    @Test func `an opener makes safe busy, is named, and is waited for by the other modes`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            try await client.add("ram", "size=1M", "name=foo")
            let device = try #require(daemon.registry.device(named: "foo"))
            let identity = OpenerIdentity(kind: "test", process: 42, user: 7, program: "me", address: "here")
            let opener = try device.open(.readWrite, as: identity, sink: Deaf(), delegate: nil)

            let busy = await problem { try await client.remove("foo", "safe") }
            #expect(busy?.kind == .busy)
            #expect(busy?.openers?.first?.program == "me")
            #expect(busy?.report?.outcome == "busy")
            #expect(try await client.remove("foo", "safe", dryRun: true).outcome == "would-be-busy")
            #expect(try await client.remove("foo", "hide", dryRun: true).outcome == "would-wait")
            #expect(try await client.remove("foo", "hard", dryRun: true).outcome == "would-remove")

            let shown = try await client.send(.showDisk, "foo", as: DiskDetail.self)
            #expect(shown.state == "live")
            #expect(shown.holders.map(\.pid) == [42])
            #expect(shown.holders.first?.mode == "rw")

            #expect(try await client.remove("foo", "deferred").outcome == "pending")
            let waiting = try await client.send(.showDisk, "foo", as: DiskDetail.self)
            #expect(waiting.state == "removing")
            #expect(waiting.removal == "deferred")
            #expect(try await client.remove("foo", "deferred", timeout: 0.05, wait: true).outcome == "pending")
            let back = try await client.send(.cancelRemoval, "foo", as: DiskDetail.self)
            #expect(back.state == "live")
            #expect(try await client.remove("foo", "surprise").outcome == "removed")
            opener.close()
        }
    }

    @Test func `a medium goes in and comes out, with a tag of its own`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            let slot = try await client.add("removable", "name=sd0")
            #expect(slot.state == "no-medium")
            #expect(slot.device.size == 0)
            let path = daemon.client.paths.directory + "/card.img"
            let file = try DiskFile.open(path, [.write, .create])
            try file.truncate(to: 1 << 20)
            file.close()
            let insert = InsertRequest(path: path)
            let stale = await problem {
                try await client.send(
                    .insertMedium, "sd0", body: insert, ifMatch: "\"x-1\"", as: MediumModel.self)
            }
            #expect(stale?.kind == .changed)
            let medium = try await client.send(
                .insertMedium, "sd0", body: insert, ifMatch: slot.tag, as: MediumModel.self)
            #expect(medium.size == 1 << 20)
            #expect(medium.diskseq > slot.device.diskseq)
            let again = await problem {
                try await client.send(.insertMedium, "sd0", body: insert, as: MediumModel.self)
            }
            #expect(again?.kind == .busy)
            // The tag was of the slot without it.
            let late = await problem {
                try await client.send(
                    .ejectMedium, "sd0", body: EjectRequest(), ifMatch: slot.tag, as: MediumModel.self)
            }
            #expect(late?.kind == .changed)
            let empty = try await client.send(.ejectMedium, "sd0", body: EjectRequest(), as: MediumModel.self)
            #expect(empty.size == 0)
            let nothing = await problem {
                try await client.send(.ejectMedium, "sd0", body: EjectRequest(), as: MediumModel.self)
            }
            #expect(nothing?.errno == "ENOMEDIUM")
            #expect(nothing?.exitStatus == .failed)
            try await client.add("ram", "size=1M", "name=foo")
            let fixed = await problem { try await client.send(.ejectMedium, "foo", as: MediumModel.self) }
            #expect(fixed?.errno == "EOPNOTSUPP")
        }
    }

    @Test func `what a silent driver owes is in the report and in quarantine until it answers`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            try await client.add("null", "size=1M", "name=foo", "answer=off", "partscan=off")
            let device = try #require(daemon.registry.device(named: "foo"))
            let opener = try device.open(
                .read, as: OpenerIdentity(kind: "test"), sink: Deaf(), delegate: nil)
            opener.submit(
                .read, SectorRange(start: 0, count: 8), data: .owned(try IOBuffer(count: 4096), count: 4096), token: 1)
            let report = try await client.remove("foo", "surprise", timeout: 0.05)
            #expect(report.deadlinePassed)
            #expect(report.exitStatus == .deadlinePassed)
            #expect(report.quarantined == 1)
            let owed = try await client.send(.quarantine, as: QuarantineList.self).quarantine
            #expect(owed.map(\.disk) == ["foo"])
            #expect(owed.map(\.ios) == [1])
            // The name is free, and the number still reaches what is left.
            try await client.add("ram", "size=1M", "name=foo")
            let name = "seq:\(report.diskseq)"
            #expect(try await client.send(.showDisk, name, as: DiskDetail.self).state == "owing")
            #expect(try await client.text(.metrics).contains("platter_quarantined_ios{device=\"foo\""))
            _ = try await client.send(
                .setDisk, name, body: SetRequest(settings: ["answer": "on"]), as: DiskDetail.self)
            opener.close()
            // The late answer is delivered by another thread; its end is an empty quarantine.
            while try await !client.send(.quarantine, as: QuarantineList.self).quarantine.isEmpty { await Task.yield() }
        }
    }

    @Test func `every one of many requests at once is answered`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<100 { _ = try await client.send(.listDisks, as: DeviceList.self) }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `exports come and go through the backend`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            try await client.add("ram", "size=1M", "name=foo")
            let request = ExportRequest(device: "foo", kind: "nbd", parameters: nil)
            let export = try await client.send(.addExport, body: request, as: ExportModel.self)
            #expect(try await client.send(.showDisk, "foo", as: DiskDetail.self).exports == [export])
            #expect(try await client.send(.listExports, as: ExportList.self).exports == [export])
            #expect(try await client.send(.removeExport, "1", as: ExportModel.self) == export)
            let gone = await problem { try await client.send(.removeExport, "1", as: ExportModel.self) }
            #expect(gone?.status == 404)
        }
    }

    @Test func `the OpenAPI document is served as it is`() async throws {
        try await withDaemon { daemon in
            let served = try await daemon.client.text(.openAPI)
            #expect(served == OpenAPIDocument.text)
        }
    }
}

extension DiskDetail {
    fileprivate var state: String { device.state }
}
