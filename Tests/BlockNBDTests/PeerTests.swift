// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Foundation
import Testing

@Suite(.serialized) struct `Clients of the field` {
    @Test(.enabled(if: has("nbdinfo"), "nbdinfo is not installed"))
    func `nbdinfo sees a disk as it is`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048))
        let outcome = try run("nbdinfo", "--json", server.uri)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.output.contains("\"export-size\": 1048576"), "\(outcome)")
        server.stop()
    }
}
