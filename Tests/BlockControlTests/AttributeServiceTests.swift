// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockCore
import BlockSystem
import Testing

@Suite(.timeLimit(.minutes(2))) struct `Attributes over the socket` {
    private func write(_ daemon: Daemon, _ name: String, _ path: String, _ value: String, ifMatch: String? = nil)
        async throws -> AttributeList
    {
        try await daemon.client.send(
            .writeAttribute, name, body: AttributeRequest(path: path, value: value), ifMatch: ifMatch)
    }

    @Test func `they are listed, read one by one, and written`() async throws {
        try await withDaemon { daemon in
            let disk = try await daemon.client.add("ram", "size=1M", "name=foo")
            let all = try await daemon.client.send(.listAttributes, "foo", as: AttributeList.self)
            #expect(all.device == "foo" && all.diskseq == disk.device.diskseq)
            let values = Dictionary(uniqueKeysWithValues: all.attributes.map { ($0.path, $0) })
            #expect(values["size"] == AttributeModel(path: "size", readable: true, writable: false, value: "2048"))
            #expect(values["device/delete"]?.value == nil && values["device/delete"]?.readable == false)
            let one = try await daemon.client.send(
                .listAttributes, "foo", query: [("path", "queue/iostats")], as: AttributeList.self)
            #expect(one.attributes.map(\.value) == ["1"] && one.attributes.first?.writable == true)
            #expect(try await write(daemon, "foo", "queue/iostats", "0").attributes.map(\.value) == ["0"])
            let list = try await daemon.client.send(.listDisks, query: [("sysfs", "1")], as: DeviceList.self)
            #expect(list.blockdevices.first?.sysfs?["queue/iostats"] == "0")
            #expect(try await daemon.client.send(.listDisks, as: DeviceList.self).blockdevices.first?.sysfs == nil)
        }
    }

    @Test func `what cannot be is refused with the error number of a file`() async throws {
        try await withDaemon { daemon in
            try await daemon.client.add("ram", "size=1M", "name=foo")
            let unknown = await problem { try await write(daemon, "foo", "nothing", "1") }
            #expect(unknown?.errno == "ENOENT" && unknown?.status == 404 && unknown?.exitStatus == .failed)
            let fixed = await problem { try await write(daemon, "foo", "size", "1") }
            #expect(fixed?.errno == "EIO" && fixed?.status == 400)
            let wrong = await problem { try await write(daemon, "foo", "queue/iostats", "maybe") }
            #expect(wrong?.errno == "EINVAL" && wrong?.disk == "foo")
            let other = await problem { try await write(daemon, "foo", "queue/iostats", "0", ifMatch: "\"x-1\"") }
            #expect(other?.status == 412)
            #expect(await problem { try await write(daemon, "bar", "size", "1") }?.exitStatus == .noSuchDisk)
        }
    }

    @Test func `one removes its own disk, and is answered when that is gone (T28)`() async throws {
        try await withDaemon { daemon in
            try await daemon.client.add("ram", "size=1M", "name=foo")
            #expect(try await write(daemon, "foo", "device/delete", "1").attributes.map(\.value) == [nil])
            #expect(daemon.registry.disks.isEmpty)
        }
    }
}
