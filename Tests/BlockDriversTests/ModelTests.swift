// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import TestSupport
import Testing

/// A way to make a driver that keeps data.
enum Medium: String, CaseIterable, Sendable {
    case ram, ramBigSectors, fileRing, fileThreads, fileDirect, fileDirectThreads, fileOnTmpfs

    /// The words of the driver; nil where this machine has no such thing.
    func make(_ folder: TemporaryFolder, size: UInt64) throws -> any BlockDriver {
        let words: [String] =
            switch self {
            case .ram: ["ram", "size=\(size)"]
            case .ramBigSectors: ["ram", "size=\(size)", "sector-size=4096"]
            case .fileRing: ["file", "\(folder.path)/a", "size=\(size)"]
            case .fileThreads: ["file", "\(folder.path)/a", "size=\(size)", "engine=threads"]
            case .fileDirect: ["file", "\(folder.path)/a", "size=\(size)", "direct=on"]
            case .fileDirectThreads: ["file", "\(folder.path)/a", "size=\(size)", "direct=on", "engine=threads"]
            case .fileOnTmpfs: ["file", "\(folder.path)/a", "size=\(size)"]
            }
        return try DriverCatalogue.make(driver: words[0], keys: DriverKeys.split(Array(words.dropFirst())))
    }

    var folder: String { self == .fileOnTmpfs ? "/dev/shm" : "/var/tmp" }
}

@Suite("A driver that keeps data") struct ModelTests {
    private let registry = TestRegistry()

    private func add(_ medium: Medium, _ folder: TemporaryFolder, size: UInt64) async throws -> Disk {
        try await registry.add(
            try medium.make(folder, size: size), sectorSize: medium == .ramBigSectors ? 4096 : nil)
    }

    @Test(arguments: Medium.allCases, [UInt64(1), 2026])
    func `random operations agree with an array`(medium: Medium, seed: UInt64) async throws {
        let folder = try TemporaryFolder(under: medium.folder)
        let sectors = 6144
        let disk = try await add(medium, folder, size: UInt64(sectors * 512))
        let client = try DiskClient(disk)
        var dice = SeededGenerator(seed: seed)
        var model = [UInt8](repeating: 0, count: sectors * 512)
        let unit = disk.profile.logicalBlockSize / 512
        for step in 0..<400 {
            let count = [1, 3, 8, 64, 700][dice.roll(5)] * unit % sectors
            let start = dice.roll((sectors - count) / unit + 1) * unit
            let range = start * 512..<(start + count) * 512
            let at = (UInt64(start), UInt64(count))
            let value = UInt8(dice.roll(255) + 1)
            let status: BlockStatus
            switch dice.roll(8) {
            case 0, 1:
                status = try client.write(value, at.0, at.1, flags: dice.roll(4) == 0 ? .fua : [])
                model.replaceSubrange(range, with: [UInt8](repeating: value, count: range.count))
            case 2:
                status = try client.run(.discard, at.0, at.1, flags: dice.roll(4) == 0 ? .fua : [])
                model.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
            case 3:
                var flags: BioFlags = dice.roll(2) == 0 ? .noUnmap : []
                if dice.roll(4) == 0 { flags.insert(.fua) }
                status = try client.run(.writeZeroes, at.0, at.1, flags: flags)
                model.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
            case 4:
                status = try client.run(.flush)
            case 5:
                let extents = try client.extents(at.0, at.1)
                var offset = start
                for extent in extents where offset < start + count {
                    let end = min(offset + Int(extent.count), start + count)
                    if extent.kind != .data, !Array(model[offset * 512..<end * 512]).isAll(0) {
                        Issue.record("seed \(seed), step \(step): a hole with data at sector \(offset)")
                    }
                    offset = end
                }
                status = extents.isEmpty ? .ioError : .ok
            default:
                let got = try client.read(at.0, at.1)
                status = got == Array(model[range]) ? .ok : .medium
            }
            guard status == .ok else {
                Issue.record("seed \(seed), step \(step): \(status) for \(count) sectors at \(start)")
                break
            }
        }
        _ = await disk.remove(.surprise)
    }

    @Test(arguments: Medium.allCases)
    func `hundreds of operations in flight are each answered once`(medium: Medium) async throws {
        let folder = try TemporaryFolder(under: medium.folder)
        let disk = try await add(medium, folder, size: 8 << 20)
        let client = try DiskClient(disk, depth: 1024)
        let unit = UInt64(disk.profile.logicalBlockSize / 512)
        for round in 0..<3 {
            var tokens: [(UInt64, UInt64)] = []
            for index in 0..<512 as Range<UInt64> {
                let value = UInt8((index + UInt64(round)) % 251)
                let bytes = [UInt8](repeating: value, count: Int(unit) * 512)
                tokens.append((index, try client.send(.write, index * unit, unit, bytes: bytes)))
            }
            for (_, token) in tokens { #expect(client.answers.wait(token).status == .ok) }
            tokens = try (0..<512).map { ($0, try client.send(.read, $0 * unit, unit)) }
            for (index, token) in tokens {
                let bytes = client.answers.wait(token).bytes ?? []
                #expect(bytes.isAll(UInt8((index + UInt64(round)) % 251)))
            }
        }
        #expect(client.answers.isOnceEach)
        _ = await disk.remove(.surprise)
        #expect(registry.registry.quarantine().isEmpty)
    }

    @Test(arguments: Medium.allCases)
    func `a disk that grows and shrinks keeps what it has room for`(medium: Medium) async throws {
        let folder = try TemporaryFolder(under: medium.folder)
        let disk = try await add(medium, folder, size: 64 << 10)
        let client = try DiskClient(disk)
        let unit = UInt64(disk.profile.logicalBlockSize / 512)
        #expect(try client.write(7, 128 - unit, unit) == .ok)
        try await disk.resize(to: 256)
        #expect(disk.capacity == 256)
        #expect(try client.read(128 - unit, unit).isAll(7))
        #expect(try client.read(256 - unit, unit).isAll(0))
        #expect(try client.write(9, 256 - unit, unit) == .ok)
        try await disk.resize(to: 64)
        #expect(try client.run(.read, 128 - unit, unit) == .outOfRange)
        #expect(try client.read(64 - unit, unit).isAll(0))
        _ = await disk.remove(.surprise)
    }

    @Test(arguments: Medium.allCases)
    func `a removal in the middle of the traffic answers everything`(medium: Medium) async throws {
        let folder = try TemporaryFolder(under: medium.folder)
        for _ in 0..<8 {
            let disk = try await add(medium, folder, size: 4 << 20)
            let client = try DiskClient(disk, depth: 512)
            let bytes = [UInt8](repeating: 1, count: 64 << 10)
            var tokens: [UInt64] = []
            for index in 0..<64 { tokens.append(try client.send(.write, UInt64(index % 32) * 128, 128, bytes: bytes)) }
            async let outcome = disk.remove(.surprise)
            for index in 0..<64 { tokens.append(try client.send(.read, UInt64(index % 32) * 128, 128)) }
            guard case .removed(let report) = await outcome else {
                Issue.record("not removed")
                return
            }
            #expect(!report.deadlinePassed)
            for token in tokens { #expect([.ok, .gone].contains(client.answers.wait(token).status)) }
            #expect(client.answers.isOnceEach)
            #expect(report.driverFaults == 0)
        }
        #expect(registry.registry.quarantine().isEmpty)
    }
}
