// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import Foundation
import Synchronization

/// A registry with a disk, and a server for it on a socket in a directory of its own.
final class TestServer: Sendable {
    let registry = DiskRegistry()
    let directory: NBDDiskDirectory
    let server: NBDServer
    let listener: NBDListener
    let path: String
    let lines = Lock<[String]>([])
    private static let number = Counter()

    init(_ change: (inout NBDServerOptions) -> Void = { _ in }) throws {
        path = "/tmp/platter-nbd-\(ProcessInfo.processInfo.processIdentifier)-\(Self.number.add()).sock"
        var options = NBDServerOptions()
        change(&options)
        directory = NBDDiskDirectory(registry)
        let lines = lines
        server = try NBDServer(directory, options: options) { _, line in lines.withLock { $0.append(line) } }
        listener = try server.listen(on: .unix(path: path), mode: 0o600)
    }

    /// Adds a disk named `name`.
    @discardableResult
    func add(_ driver: MemoryDriver, name: String = "pl0", _ change: (inout DiskOptions) -> Void = { _ in })
        async throws -> Disk
    {
        var options = DiskOptions()
        options.name = name
        options.scansPartitions = false
        change(&options)
        return try await registry.add(driver, options)
    }

    var address: SocketAddress { .unix(path: path) }
    var uri: String { "nbd+unix:///pl0?socket=\(path)" }

    /// Ends the server, then its disks: a registry with a disk in it keeps itself alive.
    func stop(within grace: Duration = .seconds(5)) async {
        let server = server
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            WorkerThread.detach(name: "test-stop") {
                server.stop(within: grace)
                done.resume()
            }
        }
        for disk in registry.disks { _ = await disk.remove(.surprise) }
    }
}

/// What a program printed and how it ended.
struct Outcome: CustomStringConvertible {
    var status: Int32
    var output: String
    var description: String { "exit status \(status): \(output)" }
}

/// Runs a program with its output collected, killed after `limit` seconds.
func run(_ program: String, _ arguments: String..., limit: Int = 60) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = ["-k", "2", "\(limit)", program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(status: process.terminationStatus, output: String(decoding: data, as: UTF8.self))
}

/// Whether a program is installed here.
func has(_ program: String) -> Bool {
    ["/usr/bin/", "/bin/", "/usr/local/bin/", "/usr/sbin/"].contains {
        FileManager.default.isExecutableFile(atPath: $0 + program)
    }
}
