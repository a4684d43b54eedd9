// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

@testable import BlockTree

@Suite struct `A device file that is closed` {
    @Test func `gives up its place in the line with what was never submitted`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let first = try deviceFile(disk, kernel.session.channel)
        let second = try deviceFile(disk, kernel.session.channel)
        driver.keep()
        // As many as the opener has slots: the write has its place in the line, and waits for a slot.
        let reads = (0..<128).map { UInt64(1000 + $0 * 2) }
        for unique in reads { first.read(unique, at: 4096, 512) }
        #expect(driver.keptCount == 128)
        first.write(100, at: 0, try zeroes(512), count: 512, durable: false)
        second.write(102, at: 100, try zeroes(1), count: 1, durable: false)
        #expect(driver.keptCount == 128, "a part waits for the write")
        first.close()
        #expect(driver.keptCount == 129, "which will never be")
        driver.letGo()
        #expect(kernel.reply(102)?.error == 0)
        #expect(eventually { disk.openers.count == 1 })
        second.close()
        let line = DiskLine.line(of: disk)
        #expect(eventually { line.isEmpty })
        await kernel.stop()
    }

    @Test func `gives up its place in the line when its turn comes`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let line = DiskLine.line(of: disk)
        let files = try (0..<3).map { _ in try deviceFile(disk, kernel.session.channel) }
        driver.keep()
        files[0].write(100, at: 0, try zeroes(1), count: 1, durable: false)
        files[1].write(102, at: 0, try zeroes(512), count: 512, durable: false)
        files[2].write(104, at: 1, try zeroes(1), count: 1, durable: false)
        #expect(driver.keptCount == 1)
        files[1].close()
        files[1].read(106, at: 0, 512)
        #expect(kernel.reply(106)?.error == FuseErrno.noDevice)
        driver.letGo()
        #expect(kernel.reply(100)?.error == 0)
        #expect(kernel.reply(102)?.error == FuseErrno.noDevice)
        #expect(kernel.reply(104)?.error == 0)
        let calls = driver.calls().filter { $0 != "closed" }
        #expect(calls == ["read 0+1", "write 0+1", "read 0+1", "write 0+1"], "of the two that are open")
        // A part of a block gives back what it kept, and so does what was refused.
        #expect(eventually { line.isEmpty })
        for file in [files[0], files[2]] { file.close() }
        await kernel.stop()
    }

    @Test func `before its end counts nothing that was given up while it waited`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let line = DiskLine.line(of: disk)
        let file = try deviceFile(disk, kernel.session.channel)
        driver.keep()
        let reads = (0..<129).map { UInt64(1000 + $0 * 2) }
        for unique in reads { file.read(unique, at: 4096, 512) }
        #expect(driver.keptCount == 128)
        #expect(file.giveUp(reads[128]))
        #expect(kernel.reply(reads[128])?.error == FuseErrno.interrupted)
        driver.letGo()
        #expect(eventually { line.isEmpty })
        file.close()
        await kernel.stop()
    }
}

@Suite struct `A tree at its end` {
    @Test func `takes no file any more`() {
        let handles = TreeHandles()
        #expect(handles.add(.text(TextFile(.process(.mdstat)))) == 1)
        #expect(handles.end().count == 1)
        #expect(handles.add(.text(TextFile(.process(.mdstat)))) == nil)
        #expect(handles.end().isEmpty)
    }

    @Test func `closes what is opened too late`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let gate = Parker()
        driver.gate.withLock { $0 = gate }
        kernel.send(14, node: kernel.node("dev/pl0"), body: FakeKernel.words(2, 0))
        #expect(driver.isInOpen.wait(until: .now + .seconds(10)))
        kernel.session.stop()
        #expect(kernel.session.ended.wait(until: .now + .seconds(10)))
        driver.gate.withLock { $0 = nil }
        gate.raise()
        #expect(eventually { driver.log.withLock { $0.contains("closed") } })
        #expect(eventually { disk.openers.isEmpty })
        await kernel.stop()
    }
}

@Suite struct `A directory of a tree` {
    @Test func `has one link of each name, to the first that has it`() async throws {
        let kernel = try FakeKernel()
        for name in ["pl0", "pl1"] { try await kernel.add(TreeDriver(), name) { $0.attributes = ["serial": "S"] } }
        #expect(kernel.list("dev/disk/by-id") == ["platter-S"])
        #expect(kernel.call(5, node: kernel.node("dev/disk/by-id/platter-S")).text == "../../pl0")
        await kernel.stop()
    }

    @Test func `has each directory once, however many disks it leads to`() async throws {
        let kernel = try FakeKernel()
        for name in ["a", "b"] {
            let driver = TreeDriver { $0.node = DeviceNode(path: "vdisk/" + name, mode: 0o600) }
            try await kernel.add(driver, "pl-" + name) { $0.parent = "pci0000:00/0000:00:03.0" }
        }
        #expect(kernel.list("dev") == ["disk", "vdisk"])
        #expect(kernel.list("dev/vdisk") == ["a", "b"])
        #expect(kernel.list("sys/devices") == ["virtual", "pci0000:00"])
        #expect(kernel.list("sys/devices/pci0000:00/0000:00:03.0/block") == ["pl-a", "pl-b"])
        await kernel.stop()
    }
}

@Suite struct `What is remembered of a device for a second` {
    @Test(arguments: [true, false])
    func `is stale after that, once it was written or has another size`(isWritten: Bool) async throws {
        let kernel = try FakeKernel()
        var options = DiskOptions()
        options.name = "pl0"
        options.scansPartitions = false
        let disk = try await kernel.registry.add(SizedDriver(), options)
        let probes = DeviceProbes.shared
        _ = probes.values(of: disk.part0)
        #expect(probes.remembered(disk.part0) != nil)
        if isWritten {
            let file = kernel.open("dev/pl0").handle
            #expect(kernel.write(file, 0, [UInt8](repeating: 7, count: 512)).error == 0)
        } else {
            try await disk.resize(to: 4096)
        }
        #expect(eventually { probes.remembered(disk.part0) == nil })
        await kernel.stop()
    }
}

/// A disk of zeroes that takes any size.
private final class SizedDriver: BlockDriver {
    let capacity: UInt64 = 2048
    let profile = DriverProfile()
    let driverName = "sized"

    func submit(_ bio: consuming Bio) {
        if bio.operation == .read { bio.memory.zero() }
        bio.complete(.ok)
    }
    func resize(to sectors: UInt64) throws(BlockStatus) {}
}
