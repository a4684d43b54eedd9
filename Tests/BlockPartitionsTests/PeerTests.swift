// SPDX-License-Identifier: Apache-2.0

import BlockPartitions
import Foundation
import TestSupport
import Testing

/// A program of the system that writes or reads partition tables.
private struct Peer {
    let path: String

    static let sfdisk = find("sfdisk")
    static let sgdisk = find("sgdisk")

    static func find(_ name: String) -> Peer? {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }.map(Peer.init)
    }

    /// Its standard output, nil if it failed.
    func run(_ arguments: [String], input: String = "") throws -> Data? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        process.standardError = FileHandle.nullDevice
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? output : nil
    }
}

/// What `sfdisk -J` prints of a disk.
private struct Listing: Decodable {
    struct Table: Decodable {
        let label: String
        let id: String
        let partitions: [Partition]?
    }

    struct Partition: Decodable {
        let node: String
        let start: UInt64
        let size: UInt64
        let type: String
        let uuid: String?
        let name: String?
        let bootable: Bool?
    }

    let partitiontable: Table
}

/// A sparse image file that is gone with its test.
private final class ImageFile {
    let path = NSTemporaryDirectory() + "platter-\(UUID().uuidString).img"
    let size: UInt64

    init(size: UInt64) throws {
        self.size = size
        try Data().write(to: URL(fileURLWithPath: path))
        try FileHandle(forWritingAtPath: path)?.truncate(atOffset: size)
    }

    convenience init(_ disk: TestDisk) throws {
        try self.init(size: disk.capacity * 512)
        let file = FileHandle(forWritingAtPath: path)
        try file?.write(contentsOf: Data(disk.bytes))
        try file?.close()
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func scan() throws -> PartitionScan {
        var source = FileSource(file: try #require(FileHandle(forReadingAtPath: path)), capacity: size / 512)
        return scanPartitions(&source)
    }

    /// Numbers (from the node's name), starts, sizes and identities as sfdisk reads them.
    func listing() throws -> Listing.Table {
        let sfdisk = try #require(Peer.sfdisk)
        return try JSONDecoder().decode(Listing.self, from: #require(try sfdisk.run(["-J", path]))).partitiontable
    }
}

private struct FileSource: PartitionSource {
    let file: FileHandle
    let capacity: UInt64
    let logicalBlockSize = 512

    mutating func read(sector: UInt64, count: Int) -> [UInt8]? {
        guard (try? file.seek(toOffset: sector * 512)) != nil else { return nil }
        return (try? file.read(upToCount: count * 512)).flatMap { $0 }.map(Array.init)
    }
}

@Suite("Tables of other programs")
struct PeerTests {
    private static func identity(using generator: inout SeededGenerator) -> String {
        let digits = (0..<32).map { _ in String(Int.random(in: 0..<16, using: &generator), radix: 16) }.joined()
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
            .map { String(digits.dropFirst($0.lowerBound).prefix($0.count)) }.joined(separator: "-")
    }

    /// Ranges in ascending order with gaps, in steps of 2048 sectors.
    private static func ranges(_ count: Int, using generator: inout SeededGenerator) -> [(start: UInt64, size: UInt64)]
    {
        var start: UInt64 = 2048
        return (0..<count).map { _ in
            start += 2048 * UInt64.random(in: 1...4, using: &generator)
            let size = UInt64.random(in: 1...6000, using: &generator)
            defer { start += (size + 2047) / 2048 * 2048 }
            return (start, size)
        }
    }

    @Test(.enabled(if: Peer.sgdisk != nil, "sgdisk is not installed"), arguments: seeds(1, 42))
    func `are read as sgdisk wrote them`(_ seed: UInt64) throws {
        let sgdisk = try #require(Peer.sgdisk)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<6 {
            let image = try ImageFile(size: 256 << 20 | 512 * UInt64.random(in: 0..<8, using: &generator))
            let numbers = Array((1...128).shuffled(using: &generator).prefix(Int.random(in: 0...20, using: &generator)))
            let rows = zip(numbers, Self.ranges(numbers.count, using: &generator)).map { number, range in
                PartitionEntry(
                    number: number, start: range.start, size: range.size, type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
                    uuid: Self.identity(using: &generator),
                    name: ["Daten \(number)", "日本", "é"].randomElement(using: &generator),
                    attributes: Bool.random(using: &generator) ? 4 : 0)
            }
            var arguments = ["-a", "1", "-o"]
            for row in rows {
                arguments += [
                    "-n", "\(row.number):\(row.start):\(row.start + row.size - 1)", "-t", "\(row.number):8300",
                ]
                arguments += ["-u", "\(row.number):\(row.uuid ?? "")", "-c", "\(row.number):\(row.name ?? "")"]
                arguments += row.attributes == 4 ? ["-A", "\(row.number):set:2"] : []
            }
            _ = try #require(try sgdisk.run(arguments + [image.path]))
            let scan = try image.scan()
            var expected = rows.sorted { $0.number < $1.number }
            for index in expected.indices {
                expected[index].isBootable = expected[index].attributes == 4
            }
            #expect(scan.table == .gpt)
            #expect(scan.entries == expected)
            #expect(scan.warnings == [])
        }
    }

    @Test(.enabled(if: Peer.sfdisk != nil, "sfdisk is not installed"), arguments: ["gpt", "dos"], seeds(1, 42))
    func `are read as sfdisk wrote them, and as it reads them`(_ label: String, _ seed: UInt64) throws {
        let sfdisk = try #require(Peer.sfdisk)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<12 {
            let image = try ImageFile(size: 256 << 20)
            let isGPT = label == "gpt"
            let ranges = Self.ranges(Int.random(in: 1...(isGPT ? 20 : 12), using: &generator), using: &generator)
            var script = "label: \(label)\nunit: sectors\n\n"
            for (index, range) in ranges.enumerated() {
                if !isGPT, index == 3 {
                    script += "4 : start=\(range.start), type=\(Bool.random(using: &generator) ? "5" : "f")\n"
                } else {
                    // A logical partition needs a sector before it for its boot record.
                    let start = range.start + (!isGPT && index > 3 ? 64 : 0)
                    script += "\(index + 1) : start=\(start), size=\(range.size)"
                    script +=
                        isGPT
                        ? ", name=\"Daten \(index)\"\n"
                        : ", type=\(["83", "fd", "c", "7"].randomElement(using: &generator) ?? "83")\n"
                }
            }
            _ = try #require(
                try sfdisk.run(["--no-reread", "--no-tell-kernel", image.path], input: script), "\(script)")
            let scan = try image.scan()
            let listing = try image.listing()
            let partitions = listing.partitions ?? []
            #expect(scan.table?.rawValue == listing.label)
            #expect(scan.warnings == [])
            #expect(partitions.count == ranges.count)
            #expect(scan.entries.map { "\(image.path)\($0.number)" } == partitions.map(\.node))
            #expect(scan.entries.map(\.start) == partitions.map(\.start))
            for (entry, partition) in zip(scan.entries, partitions) {
                let isExtended = ["5", "f"].contains(partition.type)
                #expect(entry.size == (isExtended ? 2 : partition.size))
                #expect(entry.type == (isGPT ? partition.type.lowercased() : "0x" + partition.type))
                #expect(entry.name == partition.name)
                #expect(!isGPT || entry.uuid == partition.uuid?.lowercased())
            }
            #expect(scan.tableID == (isGPT ? listing.id.lowercased() : String(listing.id.dropFirst(2))))
        }
    }

    @Test(.enabled(if: Peer.sgdisk != nil, "sgdisk is not installed"))
    func `survive the loss of the primary as sgdisk wrote it`() throws {
        let sgdisk = try #require(Peer.sgdisk)
        let image = try ImageFile(size: 64 << 20)
        _ = try #require(try sgdisk.run(["-n", "3:2048:+1M", "-c", "3:kept", image.path]))
        let good = try image.scan()
        let file = try #require(FileHandle(forWritingAtPath: image.path))
        try file.seek(toOffset: 512)
        try file.write(contentsOf: Data(repeating: 0, count: 512 * 33))
        let scan = try image.scan()
        #expect(scan.entries == good.entries && scan.tableID == good.tableID)
        #expect(scan.entries.first?.name == "kept")
        #expect(scan.warns("no GPT signature", "read from the backup at block 131071"))
    }

    @Test(.enabled(if: Peer.sgdisk != nil && Peer.sfdisk != nil, "sgdisk or sfdisk is not installed"))
    func `include those of the image builder, which the tests stand on`() throws {
        var gpt = GPTImage(blocks: 20480)
        gpt.entries = [1: GPTRow(2048, 4095, name: "root"), 4: GPTRow(4096, 8191)]
        gpt.entries[4]?.guid[0] = 99
        gpt.protective[0].count = 20479
        let image = try ImageFile(gpt.disk())
        let verdict = String(decoding: try #require(try Peer.sgdisk?.run(["-v", image.path])), as: UTF8.self)
        #expect(verdict.contains("No problems found"))
        let gptListing = try image.listing()
        #expect(gptListing.partitions?.map { [$0.start, $0.size] } == [[2048, 2048], [4096, 4096]])

        var dos = TestDisk([.data(2048, 2048), .link(8192, 8192)], capacity: 20480)
        dos.writeRecord([.data(64, 100), .link(1000, 1000)], block: 8192)
        dos.writeRecord([.data(64, 200)], block: 9192)
        let dosImage = try ImageFile(dos)
        #expect(try dosImage.listing().partitions?.map(\.start) == [2048, 8192, 8256, 9256])
        #expect(try dosImage.scan().entries.map(\.start) == [2048, 8192, 8256, 9256])
    }
}
