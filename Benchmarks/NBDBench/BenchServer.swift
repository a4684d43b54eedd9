// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockNBD
import BlockSystem

/// A RAM disk behind the server, and nothing else.
enum BenchServer {
    static func run(_ arguments: [String]) throws {
        guard arguments.count == 3, let mebibytes = UInt64(arguments[2]) else { throw NBDFailure(NBDBench.usage) }
        let registry = DiskRegistry()
        var options = DiskOptions()
        options.keepsStyle = true
        options.scansPartitions = false
        let driver = RamDriver(capacity: mebibytes << 11, memory: try SparseMemory())
        _ = try registry.addBlocking(driver, options)
        let server = try NBDServer(NBDDiskDirectory(registry))
        let listener = try server.listen(on: .unix(path: arguments[1]))
        while readLine() != nil {}
        server.stopListening(listener)
        server.stop(within: .seconds(1))
    }
}
