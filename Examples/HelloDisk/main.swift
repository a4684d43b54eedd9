// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem

/// A disk of 1 GiB that is stored nowhere: every sector says its own number.
final class HelloDriver: BlockDriver {
    let capacity: UInt64 = 2 << 20

    var profile: DriverProfile {
        var profile = DriverProfile()
        profile.style = .inline
        profile.isReadOnly = true
        return profile
    }

    func submit(_ bio: consuming Bio) {
        bio.memory.zero()
        for index in 0..<Int(bio.sectorCount) {
            let text = Array("this is sector \(bio.sector + UInt64(index))\n".utf8)
            bio.memory.slice(index * 512, text.count).copy(from: text.span.bytes)
        }
        bio.complete(.ok)
    }
}

let path = CommandLine.arguments.dropFirst().first ?? "hello.sock"
let registry = DiskRegistry()
let disk = try await registry.add(HelloDriver())
let server = try NBDServer(NBDDiskDirectory(registry))
let listener = try server.listen(on: .unix(path: path))
print("nbd+unix:///\(disk.name)?socket=\(path)    Enter pulls it")
_ = readLine()
print(await disk.remove(.surprise))
server.stopListening(listener)
