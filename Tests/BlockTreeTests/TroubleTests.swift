// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import Testing

@testable import BlockTree
import TestSupport

@Suite struct `A tree in trouble` {
    @Test func `answers ENODEV from what is open, once the disk was pulled, and lives on`() async throws {
        // R2, R4 and R5: what is in flight is answered by the deadline, what comes is refused, the handle stays.
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        try await kernel.add(TreeDriver(), "pl1")
        let file = kernel.open("dev/pl0").handle
        driver.keep()
        let read = kernel.sendRead(file, 0, 4096)
        let write = kernel.sendWrite(file, 8192, [UInt8](repeating: 1, count: 512))
        let patch = kernel.sendWrite(file, 100, [1])
        #expect(eventually { driver.keptCount == 3 })
        _ = await disk.remove(.surprise, deadline: .milliseconds(20))
        for unique in [read, write, patch] { #expect(kernel.reply(unique)?.error == FuseErrno.noDevice) }
        #expect(kernel.read(file, 0, 512).error == FuseErrno.noDevice)
        #expect(kernel.read(file, 1 << 30, 512).error == FuseErrno.noDevice)
        #expect(kernel.write(file, 0, [UInt8](repeating: 1, count: 512)).error == FuseErrno.noDevice)
        #expect(kernel.write(file, 3, [1]).error == FuseErrno.noDevice)
        #expect(kernel.sync(file).error == FuseErrno.noDevice)
        #expect(kernel.allocate(file, 0, 512, mode: 3).error == FuseErrno.noDevice)
        #expect(kernel.node("dev/pl0") == 0)
        #expect(kernel.list("dev") == ["disk", "pl1"])
        // The late answers: counted by the core, and told to nobody.
        driver.letGo()
        #expect(eventually { disk.ledger().late == 3 })
        #expect(kernel.release(file).error == 0)
        #expect(kernel.open("dev/pl1").error == 0)
        await kernel.stop()
    }

    @Test func `keeps the size of what was pulled while it is open`() async throws {
        // With the size 0 the kernel would answer reads itself, with an end of the file that is none.
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver())
        let node = kernel.node("dev/pl0")
        _ = await disk.remove(.surprise)
        let attributes = kernel.call(3, node: node, body: FakeKernel.words(0, 0, 0, 0))
        #expect(attributes.long(24) == 2048 * 512)
        await kernel.stop()
    }

    @Test func `does not wait for a disk that does not answer`() async throws {
        // R7: the tree of the others works on, and an unmount does not wait.
        let kernel = try FakeKernel()
        let stuck = TreeDriver()
        try await kernel.add(stuck)
        try await kernel.add(TreeDriver(), "pl1")
        let file = kernel.open("dev/pl0").handle
        stuck.keep()
        let reads = (0..<200).map { kernel.sendRead(file, UInt64($0) * 512, 512) }
        let other = kernel.open("dev/pl1").handle
        #expect(kernel.read(other, 0, 4096).body.count == 4096)
        #expect(kernel.list("dev") == ["disk", "pl0", "pl1"])
        await kernel.stop()
        stuck.letGo()
        _ = reads
    }

    @Test func `does not wait for an open that does not return`() async throws {
        let kernel = try FakeKernel()
        let stuck = TreeDriver()
        let disk = try await kernel.add(stuck)
        try await kernel.add(TreeDriver(), "pl1")
        let gate = Parker()
        stuck.gate.withLock { $0 = gate }
        let node = kernel.node("dev/pl0")
        let opens = (0..<10).map { _ in kernel.send(14, node: node, body: FakeKernel.words(2, 0)) }
        #expect(stuck.isInOpen.wait(until: .now + .seconds(10)))
        #expect(kernel.open("dev/pl1").error == 0)
        #expect(kernel.session.helpers.threads <= 3, "two for the disk that hangs")
        // Interrupted, it is let go; what comes of it is closed again.
        kernel.send(36, body: FakeKernel.bytes(opens[0]))
        #expect(kernel.reply(opens[0])?.error == FuseErrno.interrupted)
        kernel.send(36, body: FakeKernel.bytes(opens[9]))
        #expect(kernel.reply(opens[9])?.error == FuseErrno.interrupted)
        stuck.gate.withLock { $0 = nil }
        gate.raise()
        for open in opens[1..<9] { #expect(kernel.reply(open)?.error == 0) }
        // Of the two only one had come as far as the driver.
        #expect(eventually { stuck.log.withLock { $0 }.filter { $0 == "closed" }.count == 1 })
        #expect(disk.openers.count == 8)
        await kernel.stop()
    }

    @Test func `lets an interrupted read go after a while, and no write`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        driver.keep()
        let read = kernel.sendRead(file, 0, 512)
        let write = kernel.sendWrite(file, 0, [UInt8](repeating: 1, count: 512))
        for unique in [read, write] { kernel.send(36, body: FakeKernel.bytes(unique)) }
        #expect(kernel.reply(read)?.error == FuseErrno.interrupted)
        driver.letGo()
        #expect(kernel.reply(write)?.error == 0)
        // The read's place is free again, and its answer went nowhere.
        #expect(kernel.read(file, 0, 512).body == [UInt8](repeating: 1, count: 512))
        await kernel.stop()
    }

    @Test func `does not lose an interrupted read that comes in time`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        driver.keep()
        let read = kernel.sendRead(file, 0, 512)
        kernel.send(36, body: FakeKernel.bytes(read))
        _ = kernel.lookUp("dev")
        driver.letGo()
        #expect(kernel.reply(read)?.error == 0)
        await kernel.stop()
    }

    @Test func `goes on when a driver that promised not to keeps its thread`() async throws {
        // R7: the loop is given to another thread.
        let kernel = try FakeKernel()
        let liar = LyingDriver()
        var options = DiskOptions()
        options.name = "pl0"
        options.scansPartitions = false
        let disk = try await kernel.registry.add(liar, options)
        try await kernel.add(TreeDriver(), "pl1")
        let file = kernel.open("dev/pl0").handle
        let read = kernel.sendRead(file, 0, 512)
        #expect(liar.sleeps.wait(until: .now + .seconds(10)))
        #expect(kernel.list("dev") == ["disk", "pl0", "pl1"])
        #expect(kernel.open("dev/pl1").error == 0)
        liar.wake.raise()
        #expect(kernel.reply(read)?.error == 0)
        #expect(await disk.driverFacts().notes.contains { $0.contains("worker threads") })
        #expect(kernel.read(file, 0, 512).error == 0)
        await kernel.stop()
    }

    @Test func `closes what was open when it ends, however many wait for the disk`() async throws {
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver())
        #expect(kernel.open("dev/pl0").error == 0)
        let gate = Parker()
        let begun = Counter()
        let hang: @Sendable () -> Void = {
            begun.add()
            gate.wait()
        }
        // Only when both of its threads hang does nobody make room in the line any more.
        for _ in 0..<2 { kernel.session.helpers.run(for: disk.identity, hang) }
        #expect(eventually { begun.value == 2 })
        while kernel.session.helpers.run(for: disk.identity, hang) {}
        kernel.session.stop()
        #expect(eventually { disk.openers.isEmpty })
        gate.raise()
        await kernel.stop()
    }

    @Test func `closes what was open when it ends`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        #expect(kernel.open("dev/pl0").error == 0)
        kernel.channel.close()
        #expect(kernel.session.ended.wait(until: .now + .seconds(10)))
        #expect(eventually { disk.openers.isEmpty })
        _ = await disk.remove(.safe)
        #expect(driver.calls().contains("closed"))
    }
}

@Suite struct `A device file in trouble` {
    @Test func `keeps others out of its blocks, until the driver has answered what was closed`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let first = try deviceFile(disk, kernel.session.channel)
        let second = try deviceFile(disk, kernel.session.channel)
        driver.keep()
        first.write(100, at: 0, try zeroes(512), count: 512, durable: false)
        first.close()
        second.write(102, at: 100, try zeroes(1), count: 1, durable: false)
        #expect(driver.keptCount == 1, "a part waits for the write, closed or not")
        #expect(disk.openers.count == 2)
        driver.letGo()
        #expect(kernel.reply(102)?.error == 0)
        #expect(eventually { disk.openers.count == 1 })
        #expect(driver.calls().prefix(3) == ["write 0+1", "read 0+1", "write 0+1"])
        second.close()
        #expect(disk.openers.isEmpty)
        await kernel.stop()
    }

    @Test func `lets only so many bytes of writes wait`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let line = DiskLine.line(of: disk)
        // Of all files of the disk: a write keeps whole pages.
        let file = try deviceFile(disk, kernel.session.channel, payload: 8192)
        let other = try deviceFile(disk, kernel.session.channel, payload: 8192)
        driver.keep()
        file.write(100, at: 0, try zeroes(512), count: 512, durable: false)
        other.write(102, at: 0, try zeroes(512), count: 512, durable: false)
        other.write(104, at: 0, try zeroes(512), count: 512, durable: false)
        #expect(kernel.reply(104)?.error == FuseErrno.tryAgain)
        driver.letGo()
        for unique: UInt64 in [100, 102] { #expect(kernel.reply(unique)?.error == 0) }
        // The room of what is answered is free again.
        file.write(106, at: 0, try zeroes(8192), count: 8192, durable: false)
        #expect(kernel.reply(106)?.error == 0)
        #expect(eventually { line.isEmpty })
        file.close()
        other.close()
        await kernel.stop()
    }

    @Test func `lets only so many requests wait, and one that was given up counts until it is answered`() async throws {
        // R7: the kernel's window is one for the whole mount.
        let kernel = try FakeKernel()
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let line = DiskLine.line(of: disk)
        let file = try deviceFile(disk, kernel.session.channel, requests: 3)
        driver.keep()
        file.read(100, at: 0, 512)
        file.flush(102)
        file.write(104, at: 0, try zeroes(512), count: 512, durable: false)
        file.read(106, at: 0, 512)
        #expect(kernel.reply(106)?.error == FuseErrno.tryAgain)
        #expect(file.giveUp(100))
        #expect(kernel.reply(100)?.error == FuseErrno.interrupted)
        file.allocate(108, at: 0, 512, mode: 16)
        #expect(kernel.reply(108)?.error == FuseErrno.tryAgain)
        driver.letGo()
        for unique: UInt64 in [102, 104] { #expect(kernel.reply(unique)?.error == 0) }
        #expect(eventually { line.isEmpty })
        file.read(110, at: 0, 512)
        #expect(kernel.reply(110)?.error == 0)
        file.close()
        #expect(eventually { line.isEmpty })
        await kernel.stop()
    }

    @Test func `does not go deeper with each that waits for its blocks`() async throws {
        // Each is answered inside of the one before it, and makes room for the next.
        let kernel = try FakeKernel()
        let disk = try await kernel.add(TreeDriver())
        let line = DiskLine.line(of: disk)
        let tickets = Lock<[UInt64]>([])
        let runs = Lock((begun: 0, inside: 0, deepest: 0))
        for _ in 0..<2000 {
            line.begin(
                SectorRange(start: 0, count: 1), isAlone: true,
                told: { ticket in tickets.withLock { $0.append(ticket) } }
            ) {
                let number = runs.withLock { runs in
                    runs.begun += 1
                    runs.inside += 1
                    runs.deepest = max(runs.deepest, runs.inside)
                    return runs.begun - 1
                }
                if number > 0 { line.end(tickets.withLock { $0[number] }) }
                runs.withLock { $0.inside -= 1 }
            }
        }
        line.end(tickets.withLock { $0[0] })
        let (begun, _, deepest) = runs.withLock { $0 }
        #expect(begun == 2000 && line.isEmpty)
        #expect(deepest == 1, "the stack grows with the line")
        await kernel.stop()
    }

    @Test func `is told of a timeout, not to try again, by a device that owes too much`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver { $0.timeout = .milliseconds(20) }
        let disk = try await kernel.add(driver)
        let file = try deviceFile(disk, kernel.session.channel, requests: 1000)
        driver.keep()
        // More than the opener has slots, each when the one before it has been given up.
        for round: UInt64 in 0..<3 {
            let uniques = (0..<100).map { 1000 + round * 200 + $0 * 2 }
            for unique in uniques { file.read(unique, at: 0, 512) }
            for unique in uniques { #expect(kernel.reply(unique)?.error == FuseErrno.timedOut) }
        }
        driver.letGo()
        file.close()
        #expect(eventually { disk.openers.isEmpty })
        await kernel.stop()
    }

    @Test func `of a disk without a size writes nothing`() async throws {
        let kernel = try FakeKernel()
        let driver = TreeDriver(sectors: 0)
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        #expect(kernel.write(file, 0, [UInt8](repeating: 1, count: 512)).error == FuseErrno.noSpace)
        #expect(kernel.allocate(file, 0, 512, mode: 3).error == FuseErrno.invalid)
        let read = kernel.read(file, 0, 512)
        #expect(read.error == 0 && read.body.isEmpty)
        #expect(!driver.calls().contains { $0.hasPrefix("write") })
        await kernel.stop()
    }
}

@Suite struct `The helpers of a tree` {
    @Test func `leave a thread to each other disk, however many of one server hang`() throws {
        // R7: the bound is each disk's own.
        let helpers = TreeHelpers()
        let gate = Parker()
        let begun = Counter()
        let hung: UInt64 = 600
        for disk in 1...hung {
            for _ in 0..<2 {
                helpers.run(for: disk) {
                    _ = begun.add()
                    gate.wait()
                }
            }
        }
        #expect(eventually { begun.value >= hung }, "one of each at least")
        for disk: UInt64 in [0, 1000] {
            let done = Parker()
            helpers.run(for: disk) { done.raise() }
            #expect(done.wait(until: .now + .seconds(10)))
        }
        #expect(begun.value <= Int(hung) + TreeHelpers.sharedMax, "two of a few, one of the others")
        gate.raise()
        #expect(eventually { begun.value == Int(hung) * 2 }, "all of them run in the end")
    }

    @Test func `give a disk one thread when many are busy, so that another finds one`() throws {
        let helpers = TreeHelpers()
        let gate = Parker()
        let begun = Counter()
        for disk: UInt64 in 1...128 {
            for _ in 0..<2 {
                helpers.run(for: disk) {
                    _ = begun.add()
                    gate.wait()
                }
            }
        }
        #expect(eventually { begun.value >= 128 })
        let done = Parker()
        helpers.run(for: 1000) { done.raise() }
        #expect(done.wait(until: .now + .seconds(10)))
        gate.raise()
        #expect(eventually { begun.value == 256 })
    }
}

#if DEBUG
    @Suite(.serialized) struct `The helpers of a tree, where no thread can be made` {
        @Test func `run what comes all the same, and what waited as soon as one can`() throws {
            ThreadHooks.refuse([TreeHelpers.threadName])
            defer { ThreadHooks.refuse([]) }
            let helpers = TreeHelpers()
            let (first, second, third, gate) = (Parker(), Parker(), Parker(), Parker())
            // The first has the process's spare thread.
            helpers.run(for: 1) {
                first.raise()
                gate.wait()
            }
            #expect(first.wait(until: .now + .seconds(10)))
            helpers.run(for: 2) { second.raise() }
            #expect(helpers.threads == 1 && !second.isRaised, "and nobody else gets that one")
            ThreadHooks.refuse([])
            helpers.run(for: 3) { third.raise() }
            for done in [second, third] { #expect(done.wait(until: .now + .seconds(10))) }
            gate.raise()
            #expect(eventually { helpers.threads == 0 })
        }
    }
#endif
