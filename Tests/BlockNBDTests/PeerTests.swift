// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockNBD
import BlockSystem
import Foundation
import TestSupport
import Testing

private func installed(_ program: String) -> ConditionTrait {
    .enabled(if: has(program), "\(program) is not installed")
}

/// A file of its own that is gone when the value is.
private final class ScratchFile: Sendable {
    let path: String
    init(_ bytes: [UInt8]) throws {
        path = "/tmp/platter-peer-\(UUID().uuidString)"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
    var bytes: [UInt8] { (FileManager.default.contents(atPath: path)).map { [UInt8]($0) } ?? [] }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = Seeded(seed)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}

@Suite struct `Clients of the field` {
    @Test(installed("nbdinfo"))
    func `nbdinfo sees a disk as it is`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048))
        let outcome = try run("nbdinfo", "--json", server.uri)
        #expect(outcome.status == 0, "\(outcome)")
        for fact in [
            "\"export-size\": 1048576", "\"structured\": true", "\"is_read_only\": false", "\"can_multi_conn\": true",
            "\"can_flush\": true", "\"can_fua\": true", "\"can_trim\": true", "\"can_zero\": true",
            "\"can_fast_zero\": true", "\"can_cache\": true", "\"can_df\": true", "\"block_size_minimum\": 512",
            "\"block_size_maximum\": 33554432", "base:allocation",
        ] { #expect(outcome.output.contains(fact), "\(fact) is not in \(outcome)") }
        await server.stop()
    }

    @Test(installed("nbdinfo"))
    func `nbdinfo lists every export, and follows a map of a disk`() async throws {
        let server = try TestServer()
        let driver = try MemoryDriver(sectors: 2048, style: .mayBlock)
        driver.holes.withLock {
            $0 = [DeviceExtent(count: 1024, kind: .data), DeviceExtent(count: 1024, kind: .hole)]
        }
        try await server.add(driver)
        try await server.add(MemoryDriver(sectors: 2048), name: "pl1")
        let list = try run("nbdinfo", "--list", "--json", "nbd+unix:///?socket=\(server.path)")
        #expect(list.status == 0 && list.output.contains("\"pl0\"") && list.output.contains("\"pl1\""), "\(list)")
        let map = try run("nbdinfo", "--map", server.uri)
        let lines = map.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(lines.map { Array($0.prefix(3)) } == [["0", "524288", "0"], ["524288", "524288", "3"]], "\(map)")
        await server.stop()
    }

    @Test(installed("nbdcopy"), arguments: [SubmissionStyle.inline, .async, .mayBlock])
    func `nbdcopy brings an image over and back`(style: SubmissionStyle) async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 8192, style: style))
        let image = try ScratchFile(noise(4 << 20, seed: 11))
        let back = try ScratchFile([])
        let there = try run("nbdcopy", "--connections=4", "--requests=64", image.path, server.uri)
        #expect(there.status == 0, "\(there)")
        let again = try run("nbdcopy", "--connections=4", "--requests=64", server.uri, back.path)
        #expect(again.status == 0, "\(again)")
        #expect(back.bytes == image.bytes)
        await server.stop()
    }

    @Test(installed("qemu-io"))
    func `qemu-io writes, trims and reads back`() async throws {
        let server = try TestServer()
        let driver = try MemoryDriver(sectors: 8192, style: .async)
        try await server.add(driver)
        let outcome = try run(
            "qemu-io", "-f", "raw", server.uri, "-c", "write -P 0x5a 64k 128k", "-c", "write -f -P 0x11 1M 4k",
            "-c", "write -z -u 1M 4k", "-c", "discard 96k 32k", "-c", "flush", "-c", "read -P 0x5a 64k 32k",
            "-c", "read -P 0 96k 32k", "-c", "read -P 0 1M 4k", "-c", "write 4M 512")
        #expect(outcome.output.contains("Pattern verification failed") == false, "\(outcome)")
        #expect(outcome.output.contains("read 32768/32768"), "\(outcome)")
        #expect(driver.flushes.value > 0)
        await server.stop()
    }

    @Test(installed("qemu-img"))
    func `qemu-img sees no difference after a conversion`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 4096, style: .mayBlock))
        let image = try ScratchFile(noise(1 << 20, seed: 12) + [UInt8](repeating: 0, count: 1 << 20))
        let there = try run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image.path, server.uri)
        #expect(there.status == 0, "\(there)")
        let same = try run("qemu-img", "compare", "-f", "raw", "-F", "raw", image.path, server.uri)
        #expect(same.status == 0, "\(same)")
        await server.stop()
    }

    @Test(installed("fio"), arguments: [SubmissionStyle.inline, .mayBlock])
    func `fio verifies what it wrote`(style: SubmissionStyle) async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 16384, style: style))
        let outcome = try run(
            "fio", "--name=verify", "--ioengine=nbd", "--uri=nbd+unix:///pl0?socket=\(server.path)", "--rw=randwrite",
            "--bs=4k", "--size=8m", "--iodepth=64", "--verify=crc32c", "--verify_fatal=1",
            "--verify_state_save=0")
        #expect(outcome.status == 0, "\(outcome)")
        await server.stop()
    }

    @Test(installed("nbdsh"))
    func `nbdsh hears the right error for an impolite request`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048))
        let script = """
            import errno, nbd
            h.set_strict_mode(0)
            def expect(number, call):
                try:
                    call()
                except nbd.Error as e:
                    assert e.errnum == number, (e.errnum, number)
                else:
                    assert False, number
            h.connect_uri('\(server.uri)')
            expect(errno.EINVAL, lambda: h.pread(512, 1048576))
            expect(errno.ENOSPC, lambda: h.pwrite(b'x' * 512, 1048576))
            expect(errno.ENOSPC, lambda: h.zero(512, 1048576))
            expect(errno.EINVAL, lambda: h.trim(512, 1048576))
            expect(errno.EINVAL, lambda: h.pread(512, 1))
            expect(errno.EINVAL, lambda: h.pread(512, 0, nbd.CMD_FLAG_REQ_ONE))
            assert h.pread(512, 0) == b'\\0' * 512
            """
        let outcome = try run("env", "PATH=/usr/bin:/bin", "nbdsh", "-c", script)
        #expect(outcome.status == 0, "\(outcome)")
        await server.stop()
    }

    @Test(installed("nbdcopy"))
    func `nbdcopy hears of a pull and does not hang`() async throws {
        let server = try TestServer()
        let driver = try MemoryDriver(sectors: 8192, style: .async)
        let disk = try await server.add(driver)
        driver.keep()
        let ended = Parker()
        let outcome = Lock<Outcome?>(nil)
        let uri = server.uri
        WorkerThread.detach(name: "test-copy") {
            let result = try? run("nbdcopy", uri, "null:")
            outcome.withLock { $0 = result }
            ended.raise()
        }
        #expect(eventually { driver.keptCount > 0 })
        driver.fail(.gone)
        guard case .removed = await disk.remove(.surprise) else {
            Issue.record("not removed")
            return
        }
        #expect(ended.wait(until: Instant.now + .seconds(30)))
        let status = outcome.withLock { $0?.status }
        #expect(status == 1)
        await server.stop()
    }

    @Test(installed("nbdinfo"))
    func `nbdinfo works over TCP, of both versions`() async throws {
        let server = try TestServer()
        try await server.add(MemoryDriver(sectors: 2048))
        for host in ["127.0.0.1", "::1"] {
            guard let listener = try? server.server.listen(on: .tcp(host: host, port: 0)) else { continue }
            guard case .tcp(_, let port) = listener.address else {
                Issue.record("\(listener.address) is no TCP address")
                continue
            }
            let name = host.contains(":") ? "[\(host)]" : host
            let outcome = try run("nbdinfo", "--size", "nbd://\(name):\(port)/pl0")
            #expect(outcome.output == "1048576\n", "\(outcome)")
            server.server.stopListening(listener)
        }
        await server.stop()
    }
}
