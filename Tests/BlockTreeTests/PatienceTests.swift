// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Testing

@testable import BlockTree

/// Any signal interrupts, one with SA_RESTART and a handler that does nothing, too: the kernel says no more of it.
@Suite struct `A tree whose callers get signals` {
    private static let cache = "sys/devices/virtual/block/pl0/queue/write_cache"

    /// Has both threads of a disk's hang, so that what comes next waits for its turn.
    private func hang(_ kernel: FakeKernel, _ disk: UInt64) -> Parker {
        let gate = Parker()
        let begun = Counter()
        for _ in 0..<TreeHelpers.perDisk {
            kernel.session.helpers.run(for: disk) {
                begun.add()
                gate.wait()
            }
        }
        #expect(eventually { begun.value == TreeHelpers.perDisk })
        return gate
    }

    @Test func `opens what opens in time`() async throws {
        let kernel = try FakeKernel(patience: .seconds(3600))
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let gate = Parker()
        driver.gate.withLock { $0 = gate }
        let open = kernel.send(14, node: kernel.node("dev/pl0"), body: FakeKernel.words(2, 0))
        #expect(driver.isInOpen.wait(until: .now + .seconds(10)))
        kernel.interrupt(open)
        #expect(!kernel.hasReply(open))
        gate.raise()
        #expect(kernel.reply(open)?.error == 0)
        #expect(disk.openers.count == 1)
        await kernel.stop()
    }

    @Test func `reads what is there in time`() async throws {
        let kernel = try FakeKernel(patience: .seconds(3600))
        let driver = TreeDriver()
        try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        let text = kernel.open("proc/mdstat", flags: 0).handle
        driver.keep()
        let gate = hang(kernel, 0)
        let reads = [kernel.sendRead(file, 0, 512), kernel.sendRead(text, 0, 4096)]
        for read in reads { kernel.interrupt(read) }
        for read in reads { #expect(!kernel.hasReply(read)) }
        gate.raise()
        driver.letGo()
        for read in reads { #expect(kernel.reply(read)?.error == 0) }
        await kernel.stop()
    }

    @Test func `gives up a text that does not come`() async throws {
        let kernel = try FakeKernel(patience: .milliseconds(1))
        let text = kernel.open("proc/mdstat", flags: 0).handle
        let gate = hang(kernel, 0)
        let read = kernel.sendRead(text, 0, 4096)
        kernel.interrupt(read)
        #expect(kernel.reply(read)?.error == FuseErrno.interrupted)
        gate.raise()
        // Answered once: the next reply is the next one's.
        #expect(kernel.read(text, 0, 4096).error == 0)
        await kernel.stop()
    }

    @Test func `writes an attribute in time, though its turn has not come when it is interrupted`() async throws {
        let kernel = try FakeKernel(patience: .seconds(3600))
        let disk = try await kernel.add(TreeDriver())
        let cache = kernel.open(Self.cache).handle
        let gate = hang(kernel, disk.identity)
        let write = kernel.sendWrite(cache, 0, Array("write through".utf8))
        kernel.interrupt(write)
        #expect(!kernel.hasReply(write))
        gate.raise()
        #expect(kernel.reply(write)?.word(0) == 13)
        #expect(kernel.read(cache, 0, 100).text == "write through\n")
        await kernel.stop()
    }

    @Test func `does not give up an attribute that the device is changing`() async throws {
        // EINTR would say that nothing has changed.
        let kernel = try FakeKernel(patience: .milliseconds(1))
        let driver = TreeDriver()
        let disk = try await kernel.add(driver)
        let file = kernel.open("dev/pl0").handle
        let cache = kernel.open(Self.cache).handle
        driver.keep()
        let read = kernel.sendRead(file, 0, 512)
        #expect(eventually { driver.keptCount == 1 })
        let write = kernel.sendWrite(cache, 0, Array("write through".utf8))
        // It has begun, and waits for what the driver has.
        #expect(eventually { disk.isFrozen })
        kernel.interrupt(write)
        kernel.interrupt(read)
        // Whose time is over later than the write's.
        #expect(kernel.reply(read)?.error == FuseErrno.interrupted)
        #expect(!kernel.hasReply(write))
        driver.letGo()
        #expect(kernel.reply(write)?.word(0) == 13)
        #expect(kernel.read(cache, 0, 100).text == "write through\n")
        await kernel.stop()
    }

    @Test func `gives up an attribute whose turn has not come, and does not write it`() async throws {
        let kernel = try FakeKernel(patience: .milliseconds(1))
        let disk = try await kernel.add(TreeDriver())
        let cache = kernel.open(Self.cache).handle
        let gate = hang(kernel, disk.identity)
        let write = kernel.sendWrite(cache, 0, Array("write through".utf8))
        kernel.interrupt(write)
        #expect(kernel.reply(write)?.error == FuseErrno.interrupted)
        let done = Parker()
        kernel.session.helpers.run(for: disk.identity) { done.raise() }
        gate.raise()
        #expect(done.wait(until: .now + .seconds(10)))
        #expect(kernel.read(cache, 0, 100).text == "write back\n")
        await kernel.stop()
    }
}
