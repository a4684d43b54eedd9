// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Testing

@testable import BlockTree

@Suite struct `What is remembered of a device` {
    private static let written = [UInt8](repeating: 7, count: 512)

    /// Probes that find the first byte of the device, and believe it for no time that passes by itself.
    private func probes(of driver: TreeDriver) -> DeviceProbes {
        DeviceProbes(validity: .zero) { _ in ["BYTE": "\(driver.bytes(0..<1)[0])"] }
    }

    @Test(arguments: [true, false])
    func `is stale when a write ends that was under way when it was asked`(isCounted: Bool) async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let device = try await kernel.add(driver).part0
        if !isCounted { try device.writeAttribute("queue/iostats", "0") }
        let file = kernel.open("dev/pl0").handle
        let probes = probes(of: driver)
        driver.keep()
        let write = kernel.sendWrite(file, 0, Self.written)
        #expect(eventually { driver.keptCount == 1 })
        #expect(probes.values(of: device) == ["BYTE": "0"])
        #expect(probes.remembered(device) != nil, "nobody was told yet that it is otherwise")
        driver.letGo()
        #expect(kernel.reply(write)?.error == 0)
        #expect(probes.remembered(device) == nil)
        #expect(probes.values(of: device) == ["BYTE": "7"])
        #expect(probes.remembered(device) == ["BYTE": "7"])
        await kernel.stop()
    }

    @Test(arguments: [true, false])
    func `is stale after a write, and not after a read`(isCounted: Bool) async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let device = try await kernel.add(driver).part0
        if !isCounted { try device.writeAttribute("queue/iostats", "0") }
        let file = kernel.open("dev/pl0").handle
        let probes = probes(of: driver)
        #expect(probes.values(of: device) == ["BYTE": "0"])
        #expect(kernel.read(file, 0, 512).error == 0)
        #expect(probes.remembered(device) == ["BYTE": "0"])
        #expect(kernel.write(file, 0, Self.written).error == 0)
        #expect(probes.remembered(device) == nil)
        await kernel.stop()
    }

    @Test func `is stale when the driver is done with a write that a timeout answered`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver { $0.timeout = .milliseconds(5) }
        let disk = try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        let probes = probes(of: driver)
        driver.keep()
        #expect(kernel.write(file, 0, Self.written).error == BlockStatus.timedOut.errno)
        #expect(probes.values(of: disk.part0) == ["BYTE": "0"])
        driver.letGo()
        #expect(eventually { disk.ledger().late == 1 })
        #expect(probes.remembered(disk.part0) == nil)
        #expect(probes.values(of: disk.part0) == ["BYTE": "7"])
        await kernel.stop()
    }
}
