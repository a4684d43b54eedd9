// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing

@Suite struct `An edit of a table over the control interface` {
    @Test func `is done, planned or refused, and says so`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            _ = try await client.add("ram", "size=8M", "name=foo")
            func send(_ edit: TableEditRequest) async throws -> TableChangeModel {
                try await client.send(.editTable, "foo", body: edit)
            }
            var edit = TableEditRequest(edit: "create")
            edit.size = 1 << 20
            edit.dryRun = true
            let planned = try await send(edit)
            #expect(planned.table.partitions.map(\.size) == [2048] && planned.dryRun && planned.added == [])
            edit.dryRun = nil
            #expect(try await send(edit).added == ["foo1"])
            edit.size = 100
            let odd = await #expect(throws: Problem.self) { try await send(edit) }
            #expect(odd?.kind == .usage && odd?.detail.contains("not a multiple") == true)
            edit.size = 1 << 30
            let large = await #expect(throws: Problem.self) { try await send(edit) }
            #expect(large?.errno == "ENOSPC" && large?.exitStatus == .failed)
            let unknown = await #expect(throws: Problem.self) { try await send(TableEditRequest(edit: "shred")) }
            #expect(unknown?.kind == .usage && unknown?.detail.contains("make, create") == true)
            let missing = await #expect(throws: Problem.self) { try await send(TableEditRequest(edit: "delete")) }
            #expect(missing?.detail == "'delete' needs 'numbers'")
            var convert = TableEditRequest(edit: "convert")
            convert.table = "dos"
            let back = await #expect(throws: Problem.self) { try await send(convert) }
            #expect(back?.detail.contains("not to dos") == true)
        }
    }

    @Test func `has a note of each partition that could not become a device, and of nothing twice`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            _ = try await client.add("ram", "size=8M", "name=pl0")
            _ = try await client.add("ram", "size=1M", "name=pl0p1")
            func send(_ kind: String, _ change: (inout TableEditRequest) -> Void = { _ in }) async throws
                -> TableChangeModel
            {
                var edit = TableEditRequest(edit: kind)
                change(&edit)
                return try await client.send(.editTable, "pl0", body: edit)
            }
            let created = try await send("create") { $0.size = 1 << 20 }
            #expect(created.added == [] && created.table.partitions.count == 1)
            let note = try #require(created.notes.first)
            #expect(created.notes.count == 1 && note.contains("partition 1: no device: "), "\(note)")
            let rescanned = try await client.send(.rescanDisk, "pl0", as: RescanModel.self)
            #expect(rescanned.warnings == [note])
            // What the table is warned of stands in the table, as of a file.
            let resize = ResizeRequest(size: 16 << 20)
            _ = try await client.send(.resizeDisk, "pl0", body: resize, as: DiskDetail.self)
            let named = try await send("name") { ($0.number, $0.name) = (1, "root") }
            #expect(named.table.warnings.count == 1 && named.notes.contains(note))
            #expect(!named.notes.contains(where: named.table.warnings.contains), "\(named.notes)")
        }
    }
}
