// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Testing

@Suite("The ram driver") struct RamTests {
    private let registry = TestRegistry()

    @Test func `discard and write zeroes give memory back, noUnmap keeps it`() async throws {
        let memory = try SparseMemory()
        let client = try DiskClient(try await registry.add(RamDriver(capacity: 1 << 20, memory: memory)))
        #expect(try client.write(1, 0, 2048) == .ok)
        #expect(memory.residentBytes() == 1 << 20)
        #expect(try client.run(.discard, 0, 512) == .ok)
        #expect(memory.residentBytes() == 768 << 10)
        #expect(try client.run(.writeZeroes, 512, 512) == .ok)
        #expect(memory.residentBytes() == 512 << 10)
        #expect(try client.run(.writeZeroes, 1024, 512, flags: .noUnmap) == .ok)
        #expect(memory.residentBytes() == 512 << 10)
        #expect(try client.read(0, 1536).isAll(0))
        #expect(try client.read(1536, 512).isAll(1))
        #expect(
            try client.extents(0, 4096) == [
                DeviceExtent(count: 1024, kind: .hole), DeviceExtent(count: 1024, kind: .data),
                DeviceExtent(count: 2048, kind: .hole),
            ])
    }

    @Test func `without memory left it answers noSpace and goes on with what it has`() async throws {
        let memory = try SparseMemory(budget: MemoryBudget(bytes: 1 << 20))
        let disk = try await registry.add(RamDriver(capacity: 1 << 20, memory: memory))
        let client = try DiskClient(disk)
        #expect(try client.write(1, 0, 2048) == .ok)
        #expect(try client.write(2, 2048, 8) == .noSpace)
        #expect(try client.run(.writeZeroes, 2048, 8, flags: .noUnmap) == .noSpace)
        #expect(try client.run(.writeZeroes, 2048, 8) == .ok)
        #expect(try client.write(3, 0, 2048) == .ok)
        #expect(try client.run(.discard, 0, 8) == .ok)
        #expect(try client.write(2, 2048, 8) == .ok)
        #expect(try client.read(2048, 8).isAll(2))
    }

    @Test func `what a shrink cut off is zero when the disk grows again`() async throws {
        let memory = try SparseMemory()
        let disk = try await registry.add(RamDriver(capacity: 4096, memory: memory))
        let client = try DiskClient(disk)
        #expect(try client.write(1, 0, 4096) == .ok)
        try await disk.resize(to: 1001)
        #expect(memory.presentBytes == 126 * 4096)
        try await disk.resize(to: 4096)
        #expect(try client.read(0, 1001).isAll(1))
        #expect(try client.read(1001, 3095).isAll(0))
    }

    @Test func `the end of the disk gives its memory back`() async throws {
        weak var memory: SparseMemory?
        do {
            let own = try SparseMemory()
            memory = own
            let disk = try await registry.add(RamDriver(capacity: 2048, memory: own))
            let client = try DiskClient(disk)
            #expect(try client.write(1, 0, 2048) == .ok)
            guard case .removed = await disk.remove(.surprise) else {
                Issue.record("not removed")
                return
            }
            #expect(try client.run(.read, 0, 1) == .gone)
        }
        #expect(memory == nil)
    }

    @Test func `an image is loaded with its holes, and the disk is as large as it or as asked`() async throws {
        let folder = try TemporaryFolder(under: "/dev/shm")
        let path = try folder.image("a", size: (100 << 20) + 100)
        let file = try DiskFile.open(path, .write)
        let buffer = try IOBuffer(count: 4096)
        buffer.memory.fill(3)
        #expect(file.perform(.write(at: 64 << 20, from: buffer.memory, durable: false)) == 4096)
        let made = try DriverCatalogue.make(driver: "ram", keys: [("image", path)])
        #expect(made.capacity == 204801)
        #expect(made.settings.contains { $0.key == "allocated" && $0.value == "4k" })
        let client = try DiskClient(try await registry.add(made))
        #expect(try client.read(131072, 8).isAll(3))
        #expect(try client.read(204793, 8).isAll(0))
        let larger = try DriverCatalogue.make(driver: "ram", keys: [("image", path), ("size", "200M")])
        #expect(larger.capacity == 409600)
        #expect {
            try DriverCatalogue.make(driver: "ram", keys: [("image", path), ("size", "100M")])
        } throws: { error in
            "\(error)"
                == "ram: image=\(path) has 104857700 bytes: size= must be at least 104858112, or left out"
        }
    }
}
