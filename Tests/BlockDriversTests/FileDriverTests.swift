// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Glibc
import Testing

/// Whether we may mount; containers often have a root that may not.
private let mayMount: Bool = {
    guard geteuid() == 0, let folder = try? TemporaryFolder() else { return false }
    return shell("mount -t tmpfs none '\(folder.path)' && umount '\(folder.path)'") == 0
}()
private let mayLoop = geteuid() == 0 && shell("command -v losetup && losetup -f") == 0

@Suite("The file driver") struct FileDriverTests {
    private let registry = TestRegistry()
    private let folder: TemporaryFolder
    private static let engines = [FileOptions.Engine.auto, .threads]

    init() throws { folder = try TemporaryFolder() }

    private func options(
        _ name: String = "a", size: UInt64? = 1 << 20, _ engine: FileOptions.Engine = .auto
    ) -> FileOptions {
        var options = FileOptions(path: "\(folder.path)/\(name)")
        options.size = size
        options.engine = engine
        return options
    }

    private func refusal(_ options: FileOptions) -> ConfigurationError? {
        do throws(ConfigurationError) {
            _ = try FileDriver(options)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: engines)
    func `flush and forced access reach the medium, plain writes do not`(engine: FileOptions.Engine) async throws {
        let driver = try FileDriver(options(engine))
        let client = try DiskClient(try await registry.add(driver))
        #expect(try client.write(1, 0, 8) == .ok)
        #expect(driver.durabilityCalls == 0)
        #expect(try client.write(2, 8, 8, flags: .fua) == .ok)
        #expect(driver.durabilityCalls == 1)
        #expect(try client.run(.flush) == .ok)
        #expect(driver.durabilityCalls == 2)
        #expect(try client.run(.writeZeroes, 0, 8, flags: .fua) == .ok)
        #expect(driver.durabilityCalls == 3)
    }

    private func options(_ engine: FileOptions.Engine) -> FileOptions { options("a", size: 1 << 20, engine) }

    @Test(arguments: engines)
    func `a file that is cut short answers errors there and is noted once`(engine: FileOptions.Engine) async throws {
        let driver = try FileDriver(options(engine))
        let client = try DiskClient(try await registry.add(driver))
        #expect(try client.write(1, 0, 2048) == .ok)
        try DiskFile.open("\(folder.path)/a", .write).truncate(to: 512 << 10)
        #expect(try client.read(0, 1024).isAll(1))
        #expect(try client.run(.read, 1024, 8) == .ioError)
        #expect(try client.run(.read, 1020, 8) == .ioError)
        #expect(driver.notes.count == 1)
        #expect(driver.notes[0].contains("2 reads met an early end"))
        #expect(try client.extents(1024, 8) == [DeviceExtent(count: 8, kind: .data)])
        #expect(try client.write(3, 1024, 8) == .ok)
        #expect(try client.read(1024, 8).isAll(3))
    }

    @Test(.enabled(if: mayMount, "mounting a small tmpfs needs root"), arguments: engines)
    func `a full file system answers noSpace`(engine: FileOptions.Engine) async throws {
        #expect(shell("mkdir '\(folder.path)/m' && mount -t tmpfs -o size=1m none '\(folder.path)/m'") == 0)
        defer { _ = shell("umount -l '\(folder.path)/m'") }
        let disk = try await registry.add(try FileDriver(options("m/a", size: 4 << 20, engine)))
        let client = try DiskClient(disk)
        let statuses = try (0..<16).map { try client.write(1, UInt64($0) * 512, 512) }
        #expect(statuses.prefix(3).allSatisfy { $0 == .ok })
        #expect(statuses.suffix(8).allSatisfy { $0 == .noSpace })
        #expect(try client.run(.discard, 0, 1024) == .ok)
        #expect(try client.write(2, 8000, 64) == .ok)
        _ = await disk.remove(.surprise)
    }

    @Test(.enabled(if: mayLoop, "a loop device needs root and losetup"), arguments: engines)
    func `a device that vanishes beneath it takes the disk with it`(engine: FileOptions.Engine) async throws {
        let image = try folder.image("image", size: 8 << 20)
        let link = "\(folder.path)/loop"
        #expect(shell("ln -s $(losetup -f --show '\(image)') '\(link)'") == 0)
        defer { _ = shell("losetup -d $(readlink '\(link)')") }
        var device = FileOptions(path: link)
        device.engine = engine
        let driver = try FileDriver(device)
        let disk = try await registry.add(driver)
        #expect(disk.capacity == 16384)
        let client = try DiskClient(disk)
        #expect(try client.write(5, 0, 64) == .ok)
        #expect(try client.run(.flush) == .ok)
        #expect(try client.read(0, 64).isAll(5))
        #expect(try client.run(.discard, 0, 64) == .ok)
        #expect(try client.run(.writeZeroes, 64, 64) == .ok)
        #expect(try client.read(0, 128).isAll(0))
        #expect(disk.lifeState == .live)
        #expect(
            refusal(device)?.reason.contains(" is in use by ") == true, "a second writer of a device is kept off")
        // No sectors any more: what a device that was pulled out looks like from above.
        #expect(shell("truncate -s 0 '\(image)' && losetup -c $(readlink '\(link)')") == 0)
        #expect(try client.run(.read, 8000, 8) == .gone)
        #expect(try client.run(.write, 8000, 8, bytes: [UInt8](repeating: 1, count: 4096)) == .gone)
        // Nobody asked for a removal: the device's own end is the disk's.
        let deadline = Instant.now + .seconds(30)
        while disk.lifeState != .gone, Instant.now < deadline { yieldThread() }
        #expect(disk.lifeState == .gone)
    }

    @Test func `a lock keeps a second writer off until the driver is let go`() async throws {
        let disk = try await registry.add(try FileDriver(options()))
        let path = "\(folder.path)/a"
        let error = try #require(refusal(options()))
        #expect(error.errno == EBUSY)
        #expect(error.reason.hasPrefix("file: \(path) is in use by another disk or program"))
        var reader = options()
        reader.isReadOnly = true
        #expect(refusal(reader)?.errno == EBUSY)
        _ = await disk.remove(.surprise)
        let first = try await registry.add(try FileDriver(reader), readOnly: true)
        let second = try await registry.add(try FileDriver(reader), readOnly: true)
        #expect(refusal(options())?.errno == EBUSY)
        _ = await first.remove(.surprise)
        _ = await second.remove(.surprise)
        #expect(refusal(options()) == nil)
    }

    @Test func `a read-only disk reads and refuses writes`() async throws {
        do {
            let disk = try await registry.add(try FileDriver(options()))
            let client = try DiskClient(disk)
            #expect(try client.write(6, 0, 8) == .ok)
            _ = await disk.remove(.surprise)
        }
        var readOnly = options(size: nil)
        readOnly.isReadOnly = true
        let disk = try await registry.add(try FileDriver(readOnly))
        #expect(disk.isReadOnly)
        let client = try DiskClient(disk)
        #expect(try client.read(0, 8).isAll(6))
        #expect(try client.write(1, 0, 8) == .readOnly)
        await #expect(throws: DiskError.self) { try await disk.resize(to: 4096) }
    }

    @Test func `refusals name the path and what to do`() throws {
        let missing = options("none", size: nil)
        #expect(refusal(missing)?.reason == "file: \(missing.path) does not exist: give size= to make it")
        _ = try folder.image("b", size: 8192)
        #expect(
            refusal(options("b", size: 16384))?.reason
                == "file: \(folder.path)/b has 8192 bytes, fewer than the 16384 of size=: leave size= out, and resize the disk later"
        )
        #expect(refusal(FileOptions(path: folder.path))?.reason.contains("is a directory") == true)
        _ = try folder.image("tiny", size: 100)
        #expect(refusal(options("tiny", size: nil))?.reason.contains("less than one sector") == true)
        #expect(mkfifo("\(folder.path)/pipe", 0o600) == 0)
        #expect(refusal(options("pipe", size: nil))?.reason.contains("neither an image nor a block device") == true)
        // A running program may not be written: the same answer as for a file without permission, for root too.
        #expect(refusal(FileOptions(path: "/proc/self/exe"))?.reason.contains("add it with ro=on") == true)
    }

    @Test func `a file that could not be used is not left behind`() {
        let hopeless = options("x", size: UInt64(Int64.max) / 512 * 512)
        #expect(refusal(hopeless)?.reason.contains("cannot be made with") == true)
        #expect(access(hopeless.path, F_OK) != 0)
    }

    @Test func `a file that was made for a disk which did not come to be is not left behind`() async throws {
        let image = try folder.image("old", size: 8192)
        let made = "\(folder.path)/new"
        for (path, isLeft) in [(made, false), (image, true)] {
            let driver = try DriverCatalogue.make(driver: "file", keys: [("path", path), ("size", "8K")])
            var options = DiskOptions()
            options.name = "no such name"
            await #expect(throws: DiskError.self) { try await registry.registry.add(driver, options) }
            #expect(access(path, F_OK) == 0, "until it is known that nobody tries again with this driver")
            DriverCatalogue.discard(driver)
            #expect((access(path, F_OK) == 0) == isLeft)
        }
        let file = try DiskFile.open(image, .write)
        #expect(file.isAtItsPath)
        #expect(rename(image, made) == 0)
        #expect(!file.isAtItsPath, "nobody is there")
        _ = try folder.image("old", size: 8192)
        #expect(!file.isAtItsPath, "another one is")
    }

    @Test func `an image of odd length serves its whole sectors`() throws {
        _ = try folder.image("odd", size: 10_000)
        #expect(try FileDriver(options("odd", size: nil)).capacity == 19)
    }

    @Test func `holes of the file are holes of the disk`() async throws {
        let shm = try TemporaryFolder(under: "/dev/shm")
        var options = FileOptions(path: "\(shm.path)/a")
        options.size = 1 << 20
        let client = try DiskClient(try await registry.add(try FileDriver(options)))
        #expect(try client.write(1, 64, 8) == .ok)
        #expect(
            try client.extents(0, 2048) == [
                DeviceExtent(count: 64, kind: .hole), DeviceExtent(count: 8, kind: .data),
                DeviceExtent(count: 1976, kind: .hole),
            ])
        #expect(try client.run(.writeZeroes, 64, 8) == .ok)
        #expect(try client.extents(0, 2048) == [DeviceExtent(count: 2048, kind: .hole)])
        #expect(try client.run(.writeZeroes, 64, 8, flags: .noUnmap) == .ok)
        #expect(try client.extents(64, 8) == [DeviceExtent(count: 8, kind: .data)])
    }

    @Test(arguments: engines)
    func `direct I/O takes memory that is not aligned`(engine: FileOptions.Engine) async throws {
        var direct = options(engine)
        direct.isDirect = true
        let disk = try await registry.add(try FileDriver(direct))
        let client = try DiskClient(disk)
        #expect(await disk.driverFacts().settings.contains(DiskSetting(key: "direct", value: "on")))
        #expect(try client.write(8, 0, 64) == .ok)
        for shift in [1, 7, 511, 512] { #expect(try client.readShifted(0, 64, by: shift).isAll(8)) }
    }

    @Test func `where no ring is to be had threads do the work, and the driver says so`() throws {
        let threads = try FileDriver(options("a", size: 1 << 20, .threads))
        #expect(threads.profile.style == .mayBlock)
        #expect(threads.settings.contains { $0.key == "engine" && $0.value == "threads" })
        #expect(threads.notes.isEmpty)
        let automatic = try FileDriver(options("b"))
        let hasRing = (try? Ring(depth: 8)) != nil
        #expect(automatic.profile.style == (hasRing ? .async : .mayBlock))
        #expect(automatic.notes.isEmpty == hasRing)
    }

    @Test func `its threads and descriptors are gone when it is`() async throws {
        func descriptors() -> Int {
            var count = 0
            for number in 0..<1024 as Range<Int32> {
                var path = [CChar](repeating: 0, count: 4096)
                let length = readlink("/proc/self/fd/\(number)", &path, path.count)
                let name = path.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }
                if String(decoding: name, as: UTF8.self).hasPrefix(folder.path) { count += 1 }
            }
            return count
        }
        for _ in 0..<20 {
            let disk = try await registry.add(try FileDriver(options()))
            let client = try DiskClient(disk)
            #expect(try client.write(1, 0, 8) == .ok)
            #expect(descriptors() == 1)
            _ = await disk.remove(.surprise)
            #expect(descriptors() == 0)
        }
    }
}
