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
}
