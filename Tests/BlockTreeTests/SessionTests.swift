// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
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
        #expect(reply.word(16) == 49152 << 16 | 65535, "enough in the background for silent disks and others")
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
        #expect(kernel.call(5, node: link).text == "../../pl0")
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
        try await kernel.add(TreeDriver(), "pl0")
        let statistics = kernel.open("proc/diskstats", flags: 0).handle
        let before = kernel.read(statistics, 0, 4096).text
        #expect(before == kernel.registry.diskstatsText())
        let disk = kernel.open("dev/pl0").handle
        _ = kernel.read(disk, 0, 512)
        // Whoever keeps it open and reads it again sees what is now.
        let after = kernel.read(statistics, 0, 4096).text
        #expect(after != before && after == kernel.registry.diskstatsText())
        let partitions = kernel.open("proc/partitions", flags: 0).handle
        #expect(kernel.read(partitions, 0, 4096).text == kernel.registry.partitionsText())
        let devices = kernel.open("proc/devices", flags: 0).handle
        #expect(kernel.read(devices, 0, 4096).text == kernel.registry.devicesText())
        #expect(kernel.open("proc/mdstat", flags: 1).error == FuseErrno.accessDenied)
        await kernel.stop()
    }
}

@Suite struct `Below sys` {
    @Test func `a disk is found by its links`() async throws {
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver(), "pl0")
        let number = "\(disk.number.major):\(disk.number.minor)"
        for (path, target) in [
            ("sys/block/pl0", "../devices/virtual/block/pl0"),
            ("sys/class/block/pl0", "../../devices/virtual/block/pl0"),
            ("sys/dev/block/\(number)", "../../devices/virtual/block/pl0"),
            ("sys/devices/virtual/block/pl0/subsystem", "../../../../class/block"),
        ] {
            #expect(kernel.call(5, node: kernel.node(path)).text == target, "\(path)")
        }
        #expect(kernel.list("sys/block") == ["pl0"])
        #expect(kernel.list("sys/dev/block") == [number])
        #expect(kernel.node("sys/dev/block/\(number):0") == 0)
        await kernel.stop()
    }

    @Test func `a disk stands where it hangs`() async throws {
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(), "pl0") { $0.parent = "pci0000:00/0000:00:03.0" }
        #expect(kernel.list("sys/devices") == ["virtual", "pci0000:00"])
        #expect(kernel.list("sys/devices/pci0000:00/0000:00:03.0/block") == ["pl0"])
        let link = kernel.call(5, node: kernel.node("sys/block/pl0")).text
        #expect(link == "../devices/pci0000:00/0000:00:03.0/block/pl0")
        #expect(kernel.node("sys/devices/virtual/block/pl0") == 0)
        await kernel.stop()
    }

    @Test func `attributes are read and written, and are what the device says of itself`() async throws {
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver(), "pl0")
        let base = "sys/devices/virtual/block/pl0"
        let names = kernel.list(base)
        for info in disk.part0.attributes() where info.isReadable {
            let file = kernel.open("\(base)/\(info.path)", flags: 0)
            #expect(file.error == 0, "\(info.path)")
            #expect(kernel.read(file.handle, 0, 4096).text == (try disk.part0.readAttribute(info.path)))
            #expect(names.contains(String(info.path.prefix { $0 != "/" })))
            _ = kernel.release(file.handle)
        }
        #expect(Set(names).count == names.count)
        #expect(names.contains("holders") && names.contains("slaves") && names.contains("subsystem"))
        let cache = kernel.open("\(base)/queue/write_cache", flags: 2).handle
        #expect(kernel.read(cache, 0, 100).text == "write back\n")
        #expect(kernel.write(cache, 0, Array("write through\n".utf8)).word(0) == 14)
        #expect(kernel.read(cache, 0, 100).text == "write through\n")
        #expect(kernel.write(cache, 0, Array("sometimes".utf8)).error == FuseErrno.invalid)
        #expect(kernel.open("\(base)/size", flags: 2).error == FuseErrno.accessDenied)
        #expect(kernel.open("\(base)/nonsense").error == FuseErrno.noEntry)
        await kernel.stop()
    }

    @Test func `an attribute may end its own disk`() async throws {
        // T28 through the tree: the write returns, and whoever has another attribute open hears ENODEV.
        let kernel = try FakeKernel()
        try await kernel.add(TreeDriver(), "pl0")
        let base = "sys/devices/virtual/block/pl0"
        let size = kernel.open("\(base)/size", flags: 0).handle
        let delete = kernel.open("\(base)/device/delete", flags: 1).handle
        #expect(kernel.write(delete, 0, Array("1\n".utf8)).word(0) == 2)
        #expect(kernel.read(size, 0, 100).error == FuseErrno.noDevice)
        #expect(kernel.list("sys/block").isEmpty)
        #expect(kernel.node(base) == 0)
        await kernel.stop()
    }

    @Test func `a disk that does not answer keeps no attribute of others`() async throws {
        let kernel = try FakeKernel()
        let stuck = TreeDriver()
        try await kernel.add(stuck, "pl0")
        try await kernel.add(TreeDriver(), "pl1")
        let file = kernel.open("dev/pl0").handle
        stuck.keep()
        _ = kernel.sendRead(file, 0, 512)
        // A change of limits waits for the I/O under way.
        let base = "sys/devices/virtual/block/"
        let node = kernel.open(base + "pl0/queue/write_cache", flags: 1).handle
        let write = kernel.sendWrite(node, 0, Array("write through".utf8))
        let other = kernel.open(base + "pl1/queue/write_cache", flags: 1).handle
        #expect(kernel.write(other, 0, Array("write through".utf8)).error == 0)
        let size = kernel.open(base + "pl0/size", flags: 0).handle
        #expect(kernel.read(size, 0, 100).text == "2048\n")
        kernel.send(36, body: FakeKernel.bytes(write))
        stuck.letGo()
        _ = kernel.reply(write)
        await kernel.stop()
    }
}

@Suite struct `A tree for lsblk` {
    @Test(.enabled(if: ChildProcess.find("blkid") != nil, "blkid is not installed"))
    func `holds text about the disks, of what blkid finds on them`() async throws {
        let kernel = try FakeKernel(.init(), .sysroot)
        let driver = TreeDriver(sectors: 16384)
        driver.put(Array("SWAPSPACE2".utf8), at: 4086)
        driver.put([1, 0, 0, 0, 0xff, 7, 0, 0], at: 1024)
        driver.put((1...16).map { $0 }, at: 1036)
        driver.put(Array("two words".utf8), at: 1052)
        try await kernel.add(driver, "pl0") { $0.attributes = ["serial": "A B"] }
        let file = kernel.open("dev/pl0", flags: 0).handle
        let lines = kernel.read(file, 0, 4096).text.split(separator: "\n")
        #expect(lines.first == "DEVNAME=/dev/pl0")
        for line in [
            "ID_FS_TYPE=swap", "ID_FS_LABEL_ENC=two\\x20words",
            "ID_FS_UUID=01020304-0506-0708-090a-0b0c0d0e0f10", "ID_SERIAL_SHORT=A\\x20B", "MODE=brw-rw----",
        ] {
            #expect(lines.contains { $0 == line }, "\(line) in \(lines)")
        }
        #expect(kernel.list("dev/disk/by-label") == ["two\\x20words"])
        #expect(kernel.open("dev/pl0", flags: 2).error == FuseErrno.accessDenied)
        // Asked once, until somebody writes.
        driver.log.withLock { $0 = [] }
        _ = kernel.read(file, 0, 4096)
        #expect(!driver.calls().contains { $0.hasPrefix("read") })
        await kernel.stop()
    }

    @Test func `does not wait for a disk that does not answer`() async throws {
        let kernel = try FakeKernel(.init(), .sysroot)
        let stuck = TreeDriver(sectors: 16384)
        try await kernel.add(stuck, "pl0")
        stuck.keep()
        let file = kernel.open("dev/pl0", flags: 0).handle
        let read = kernel.sendRead(file, 0, 4096)
        #expect(kernel.list("sys/block") == ["pl0"])
        // Two seconds later it is told without what is on the disk, and the disk is left in peace for a while.
        #expect(kernel.reply(read)?.text.hasPrefix("DEVNAME=/dev/pl0\n") == true)
        stuck.letGo()
        driverCallsStop(stuck)
        #expect(kernel.read(file, 0, 4096).error == 0)
        #expect(stuck.calls().isEmpty)
        await kernel.stop()
    }

    @Test(.enabled(if: ChildProcess.find("blkid") != nil, "blkid is not installed"))
    func `neither opens nor ends a disk that goes with its last opener`() async throws {
        let kernel = try FakeKernel(.init(), .sysroot)
        let driver = TreeDriver(sectors: 16384)
        let disk = try await kernel.add(driver) { $0.isTransient = true }
        let file = kernel.open("dev/pl0", flags: 0).handle
        #expect(kernel.read(file, 0, 4096).text.hasPrefix("DEVNAME=/dev/pl0\n"))
        let calls = driver.calls()
        #expect(calls.contains { $0.hasPrefix("read") } && !calls.contains("closed"))
        #expect(disk.openers.isEmpty)
        #expect(kernel.node("dev/pl0") != 0)
        await kernel.stop()
    }

    private func driverCallsStop(_ driver: TreeDriver) { driver.log.withLock { $0 = [] } }

    @Test func `takes of blkid what is about file systems and tables, and nothing else`() {
        let text = "ID_FS_TYPE=ext4\nID_PART_TABLE_TYPE=gpt\nID_FS_LABEL=a=b\nPATH=/x\nnonsense\n"
        #expect(
            DeviceProbes.values(in: text) == [
                "ID_FS_TYPE": "ext4", "ID_PART_TABLE_TYPE": "gpt", "ID_FS_LABEL": "a=b",
            ])
        // Two bytes, and one Character: still an end of a line.
        #expect(DeviceProbes.values(in: "ID_FS_LABEL=a\r\nID_FS_TYPE=ext4\n")["ID_FS_TYPE"] == "ext4")
        #expect(DeviceNames.oneLine("a\r\nb\nc") == "a  b c")
    }

    @Test func `links nothing by what is no name`() {
        for text in ["", ".", "..", "a/b", "a\0b", String(repeating: "ä", count: 128)] {
            #expect(!DeviceNames.isName(text), "\(text)")
        }
        for text in ["...", "a", String(repeating: "ä", count: 127)] { #expect(DeviceNames.isName(text), "\(text)") }
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
