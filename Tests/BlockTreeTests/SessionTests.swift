// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Testing

@testable import BlockTree

@Suite struct `A tree` {
    @Test func `agrees with the kernel on what both know`() async throws {
        let kernel = try FakeKernel(greets: false)
        let reply = kernel.call(26, body: FakeKernel.words(7, 45, 65536, .max, .max, 0))
        #expect(reply.error == 0)
        #expect((reply.word(0), reply.word(4)) == (7, FuseWire.minor))
        #expect(reply.body.count == 64)
        let flags = UInt64(reply.word(12)) | UInt64(reply.word(32)) << 32
        #expect(flags == FuseWire.Flags.wanted.rawValue)
        #expect(reply.word(20) == 1 << 20, "the longest write")
        // A kernel of a later major asks again; one that is too old is refused.
        #expect(kernel.call(26, body: FakeKernel.words(8, 0, 0, 0)).word(0) == 7)
        #expect(kernel.call(26, body: FakeKernel.words(7, 12, 0, 0)).error == FuseErrno.protocolError)
        await kernel.stop()
    }

    @Test func `shows the disks that there are`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(), "pl0")
        try await kernel.add(TreeDriver(), "pl1") { $0.isHidden = true }
        #expect(kernel.list("").contains("dev"))
        #expect(kernel.list("dev") == ["disk", "pl0"])
        #expect(kernel.list("dev", isPlus: true, chunk: 400) == ["disk", "pl0"])
        #expect(kernel.node("dev/pl1") == 0)
        let entry = kernel.lookUp("pl0", in: kernel.node("dev"))
        #expect(entry.long(48) == 2048 * 512, "its size")
        #expect(entry.word(100) == 0o100660, "its mode")
        #expect((entry.long(16), entry.long(24)) == (0, 0), "asked for anew each time")
        await kernel.stop()
    }

    @Test func `has links by which a disk is found`() async throws {
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver(), "pl0")
        #expect(kernel.list("dev/disk/by-diskseq") == ["\(disk.sequence)"])
        let link = kernel.node("dev/disk/by-diskseq/\(disk.sequence)")
        #expect(kernel.call(5, node: link).text == "../../../dev/pl0")
        #expect(kernel.list("dev/disk/by-id") == ["platter-pl0"])
        #expect(kernel.list("dev/disk/by-path") == ["virtual-pl0"])
        await kernel.stop()
    }

    @Test func `has directories where a node has`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver { $0.node = DeviceNode(path: "vdisk/a", mode: 0o600) }, "pl0")
        #expect(kernel.list("dev") == ["disk", "vdisk"])
        #expect(kernel.list("dev/vdisk") == ["a"])
        #expect(kernel.node("dev/vdisk/a") != 0)
        #expect(kernel.node("dev/pl0") == 0)
        #expect(kernel.open("dev/vdisk/a").error == 0)
        await kernel.stop()
    }

    @Test func `names another disk by another number`() async throws {
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver(), "pl0")
        let first = kernel.node("dev/pl0")
        _ = await disk.remove(.surprise)
        #expect(kernel.node("dev/pl0") == 0)
        try await kernel.add(TreeDriver(), "pl0")
        let second = kernel.node("dev/pl0")
        #expect(second != 0 && second != first)
        // The old file is open nowhere, but the kernel may still ask: it keeps its size, and cannot be opened.
        #expect(kernel.call(3, node: first, body: FakeKernel.words(0, 0, 0, 0)).error == 0)
        #expect(kernel.call(14, node: first, body: FakeKernel.words(0, 0)).error == FuseErrno.noDevice)
        await kernel.stop()
    }

    @Test func `refuses what would change it, and says what it does not know`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(), "pl0")
        for opcode: UInt32 in [6, 8, 9, 10, 11, 12, 13, 35, 45, 51] {
            #expect(kernel.call(opcode, body: [1, 0, 0, 0, 0, 0, 0, 0]).error == FuseErrno.notPermitted)
        }
        for opcode: UInt32 in [21, 22, 23, 24, 31, 37, 39, 40, 47, 52, 4096] {
            #expect(kernel.call(opcode).error == FuseErrno.notImplemented)
        }
        #expect(kernel.call(25, body: [UInt8](repeating: 0, count: 24)).error == FuseErrno.notImplemented)
        #expect(kernel.call(17).error == 0)
        #expect(kernel.call(34, body: FakeKernel.words(0, 0)).error == 0)
        let node = kernel.node("dev/pl0")
        func set(_ fields: UInt32, _ size: UInt64) -> Int32 {
            kernel.call(
                4, node: node,
                body: FakeKernel.words(fields, 0) + FakeKernel.bytes(UInt64(0)) + FakeKernel.bytes(size)
                    + [UInt8](repeating: 0, count: 64)
            ).error
        }
        // As on a device: truncation does nothing, growth and other rights are refused.
        #expect(set(8, 0) == 0)
        #expect(set(8, 1 << 40) == FuseErrno.invalid)
        #expect(set(1, 0) == FuseErrno.notPermitted)
        await kernel.stop()
    }

    @Test func `forgets what the kernel forgets`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(), "pl0")
        let node = kernel.node("dev/pl0")
        _ = kernel.node("dev/pl0")
        kernel.send(2, node: node, body: FakeKernel.bytes(UInt64(2)))
        #expect(kernel.call(3, node: node, body: FakeKernel.words(0, 0, 0, 0)).error == FuseErrno.noEntry)
        #expect(kernel.node("dev/pl0") > node)
        await kernel.stop()
    }

    @Test func `reads texts from their start anew`() async throws {
        let kernel = try FakeKernel()
        let file = kernel.open("proc/mdstat", flags: 0)
        #expect(file.error == 0)
        #expect(kernel.read(file.handle, 0, 4096).text == "Personalities :\nunused devices: <none>\n")
        #expect(kernel.read(file.handle, 10, 4096).text == "ies :\nunused devices: <none>\n")
        #expect(kernel.read(file.handle, 4096, 10).body.isEmpty)
        #expect(kernel.open("proc/mdstat", flags: 1).error == FuseErrno.accessDenied)
        await kernel.stop()
    }
}

@Suite struct `A device file` {
    @Test(arguments: [SubmissionStyle.inline, .async, .mayBlock])
    func `reads and writes the disk`(style: SubmissionStyle) async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver(style: style)
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        #expect(kernel.write(file, 4096, [UInt8](repeating: 7, count: 8192)).word(0) == 8192)
        #expect(kernel.read(file, 4096, 8192).body == [UInt8](repeating: 7, count: 8192))
        #expect(driver.bytes(4096..<12288) == [UInt8](repeating: 7, count: 8192))
        #expect(kernel.sync(file).error == 0)
        #expect(driver.calls().last == "flush 0+0")
        #expect(kernel.write(file, 0, [UInt8](repeating: 1, count: 512), flags: 0o10001).word(0) == 512)
        #expect(driver.calls() == ["write 0+1 fua"])
        #expect(kernel.release(file).error == 0)
        #expect(eventually { driver.calls().contains("closed") })
        await kernel.stop()
    }

    @Test func `ends where the disk ends`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(sectors: 16))
        let file = kernel.open("dev/pl0").handle
        #expect(kernel.read(file, 8192 - 100, 512).body.count == 100)
        #expect(kernel.read(file, 8192, 512).body.isEmpty)
        #expect(kernel.read(file, .max, 512).body.isEmpty)
        #expect(kernel.write(file, 8192 - 100, [UInt8](repeating: 1, count: 512)).word(0) == 100)
        #expect(kernel.write(file, 8192, [1]).error == FuseErrno.noSpace)
        await kernel.stop()
    }

    @Test func `takes bytes that are no whole blocks`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver { $0.logicalBlockSize = 4096 }
        driver.fill(9)
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        _ = driver.calls()
        #expect(kernel.write(file, 5000, [1, 2, 3]).word(0) == 3)
        #expect(driver.calls() == ["read 8+8", "write 8+8"])
        #expect(driver.bytes(4998..<5005) == [9, 9, 1, 2, 3, 9, 9])
        #expect(kernel.read(file, 4999, 5).body == [9, 1, 2, 3, 9])
        await kernel.stop()
    }

    @Test func `loses no byte of two writes into one block`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        try await kernel.add(driver)
        let first = kernel.open("dev/pl0").handle
        let second = kernel.open("dev/pl0").handle
        driver.keep()
        let writes = [
            kernel.sendWrite(first, 0, [1]), kernel.sendWrite(second, 1, [2]),
            kernel.sendWrite(first, 0, [UInt8](repeating: 5, count: 512)), kernel.sendWrite(second, 2, [3]),
        ]
        // A request of another kind, so that all of them have been read.
        _ = kernel.lookUp("dev")
        // One at a time: the first reads, and nobody else is there.
        #expect(driver.calls() == ["read 0+1"])
        driver.letOne()
        #expect(eventually { driver.keptCount == 1 })
        #expect(driver.calls() == ["write 0+1"])
        driver.letGo()
        for write in writes { #expect(kernel.reply(write)?.error == 0) }
        #expect(driver.bytes(0..<4) == [5, 5, 3, 5])
        await kernel.stop()
    }

    @Test func `punches and zeroes as a block device does`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        driver.fill(9)
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        _ = driver.calls()
        #expect(kernel.allocate(file, 512, 1024, mode: 3).error == 0)
        #expect(kernel.allocate(file, 4096, 512, mode: 16).error == 0)
        #expect(driver.calls() == ["writeZeroes 1+2", "writeZeroes 8+1 keep"])
        #expect(driver.bytes(511..<1537) == [9] + [UInt8](repeating: 0, count: 1024) + [9])
        #expect(kernel.allocate(file, 0, 4096, mode: 0).error == FuseErrno.notSupported)
        #expect(kernel.allocate(file, 100, 512, mode: 3).error == FuseErrno.invalid)
        #expect(kernel.allocate(file, 1 << 20, 512, mode: 3).error == FuseErrno.invalid)
        // With the size kept, what is beyond the end is left out; without, it is refused.
        #expect(kernel.allocate(file, (1 << 20) - 512, 4096, mode: 17).error == 0)
        #expect(kernel.allocate(file, (1 << 20) - 512, 4096, mode: 16).error == FuseErrno.invalid)
        await kernel.stop()
    }

    @Test func `does not write a disk full to make a hole`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver { $0.writeZeroes = .emulated })
        let file = kernel.open("dev/pl0").handle
        #expect(kernel.allocate(file, 0, 4096, mode: 3).error == FuseErrno.notSupported)
        #expect(kernel.allocate(file, 0, 4096, mode: 16).error == 0)
        await kernel.stop()
    }

    @Test func `finds data and holes`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver())
        let file = kernel.open("dev/pl0").handle
        func seek(_ offset: UInt64, _ whence: UInt32) -> FakeKernel.Reply {
            kernel.call(46, body: FakeKernel.bytes(file) + FakeKernel.bytes(offset) + FakeKernel.words(whence, 0))
        }
        #expect(seek(700, 3).long(0) == 700)
        #expect(seek(0, 4).long(0) == 1 << 20)
        #expect(seek(1 << 20, 3).error == FuseErrno.noSuchAddress)
        #expect(seek(0, 9).error == FuseErrno.invalid)
        await kernel.stop()
    }

    @Test func `of a disk that may not be written is opened to be read`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(), "pl0") { $0.isReadOnly = true }
        #expect(kernel.open("dev/pl0", flags: 2).error == FuseErrno.accessDenied)
        let file = kernel.open("dev/pl0", flags: 0)
        #expect(file.error == 0)
        #expect(kernel.write(file.handle, 0, [1]).error == FuseErrno.badHandle)
        #expect(kernel.allocate(file.handle, 0, 512, mode: 3).error == FuseErrno.badHandle)
        await kernel.stop()
    }

    @Test func `says who has it open`() async throws {
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver())
        let file = kernel.open("dev/pl0", process: UInt32(Host.processID)).handle
        let opener = try #require(disk.openers.first)
        #expect(opener.identity.kind == "fuse")
        #expect(opener.identity.process == Host.processID)
        #expect(opener.identity.program == Host.programName(of: Host.processID))
        _ = kernel.release(file)
        #expect(eventually { disk.openers.isEmpty })
        await kernel.stop()
    }

    @Test func `takes more at a time than its opener has places`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        driver.keep()
        let reads = (0..<300).map { kernel.sendRead(file, UInt64($0) * 512, 512) }
        _ = kernel.lookUp("dev")
        #expect(driver.keptCount == 128)
        driver.letGo()
        for read in reads { #expect(kernel.reply(read)?.body.count == 512) }
        await kernel.stop()
    }
}
