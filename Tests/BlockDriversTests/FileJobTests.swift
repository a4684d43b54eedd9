// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockDrivers
import BlockSystem
import Glibc
import Testing

/// The calls of one bio, with results that a real disk gives too rarely.
@Suite("A file job") struct FileJobTests {
    private let folder: TemporaryFolder
    private let backing: FileBacking

    init() throws {
        folder = try TemporaryFolder()
        backing = FileBacking(try FileOpening(FileOptions(path: folder.image("a", size: 1 << 20))), isDirect: false)
    }

    /// Runs a job against a list of results; returns the calls it made, in words, and how it ended.
    private func play(_ job: FileJob, _ results: Int...) -> (calls: [String], status: BlockStatus?) {
        var job = job
        var step = job.start(backing)
        var calls: [String] = []
        for result in results {
            guard case .call(let call) = step else { break }
            calls.append(describe(call))
            step = job.next(after: result, backing)
        }
        switch step {
        case .done(let status): return (calls, status)
        case .call(let call): return (calls + [describe(call)], nil)
        }
    }

    private func describe(_ call: FileCall) -> String {
        switch call {
        case .read(let offset, let memory): "read \(offset)+\(memory.count)"
        case .write(let offset, let memory, let durable): "write \(offset)+\(memory.count)\(durable ? " durable" : "")"
        case .sync: "sync"
        case .space(.punchHole, let offset, let count): "punch \(offset)+\(count)"
        case .space(.zeroRange, let offset, let count): "zero \(offset)+\(count)"
        }
    }

    private func job(
        _ operation: BioOperation, _ flags: BioFlags = [], count: UInt64 = 4096, memory: IOMemory = .none
    ) -> FileJob {
        FileJob(operation, flags: flags, offset: 8192, count: count, memory: memory)
    }

    @Test func `short transfers go on where they stopped`() throws {
        let buffer = try IOBuffer(count: 4096)
        let read = play(job(.read, memory: buffer.memory), 512, 512, 3072)
        #expect(read.calls == ["read 8192+4096", "read 8704+3584", "read 9216+3072"])
        #expect(read.status == .ok)
        let write = play(job(.write, .fua, memory: buffer.memory), 4095, 1)
        #expect(write.calls == ["write 8192+4096 durable", "write 12287+1 durable"])
        #expect(write.status == .ok)
    }

    @Test func `a read that meets the end is an error and a note`() throws {
        let buffer = try IOBuffer(count: 4096)
        #expect(play(job(.read, memory: buffer.memory), 512, 0).status == .ioError)
        #expect(backing.lines.count == 1)
        #expect(backing.lines[0].contains("1 reads met an early end"))
        #expect(play(job(.write, memory: buffer.memory), 0).status == .ioError)
    }

    @Test(arguments: [
        (EIO, BlockStatus.ioError), (ENOSPC, .noSpace), (EDQUOT, .noSpace), (EFBIG, .noSpace), (EROFS, .readOnly),
        (EINVAL, .ioError), (ENODEV, .gone), (ENXIO, .gone), (ESTALE, .gone), (ECANCELED, .gone), (ENODATA, .medium),
        (ENOMEM, .noMemory), (ETIMEDOUT, .timedOut),
    ])
    func `a failed call is told as what it is`(errno: Int32, status: BlockStatus) throws {
        let buffer = try IOBuffer(count: 4096)
        #expect(play(job(.write, memory: buffer.memory), Int(-errno)).status == status)
        #expect(play(job(.flush), Int(-errno)).status == status)
        #expect(backing.lines.contains { $0.contains("2 calls failed: ") })
    }

    @Test func `an interrupted call is made again`() throws {
        let buffer = try IOBuffer(count: 4096)
        let read = play(job(.read, memory: buffer.memory), Int(-EINTR), Int(-EAGAIN), 4096)
        #expect(read.calls == ["read 8192+4096", "read 8192+4096", "read 8192+4096"])
        #expect(read.status == .ok)
    }

    @Test func `flush is a sync, and fua makes one after what has none of its own`() {
        #expect(play(job(.flush), 0).calls == ["sync"])
        #expect(play(job(.discard), 0).calls == ["punch 8192+4096"])
        #expect(play(job(.discard, .fua), 0, 0).calls == ["punch 8192+4096", "sync"])
        #expect(play(job(.writeZeroes, .fua), 0, 0).calls == ["punch 8192+4096", "sync"])
        #expect(play(job(.writeZeroes, .noUnmap), 0).calls == ["zero 8192+4096"])
    }

    @Test func `zeroes fall back to what the file system can, and remember it`() {
        let refused = Int(-EOPNOTSUPP)
        let first = play(job(.writeZeroes, .fua, count: 200 << 10), refused, refused, 128 << 10, 72 << 10)
        #expect(
            first.calls == [
                "punch 8192+204800", "zero 8192+204800", "write 8192+131072 durable", "write 139264+73728 durable",
            ])
        #expect(first.status == .ok)
        #expect(play(job(.writeZeroes), 4096).calls == ["write 8192+4096"])
        #expect(play(job(.writeZeroes, .fastZero)).status == .notSupported)
        #expect(play(job(.discard)).status == .notSupported)
        #expect(backing.lines.isEmpty)
    }

    @Test func `a discard that the file system refuses is not supported`() {
        #expect(play(job(.discard), Int(-EOPNOTSUPP)).status == .notSupported)
        #expect(play(job(.writeZeroes), 0).calls == ["zero 8192+4096"])
    }

    @Test func `a full file system while zeroing is no reason to try another way`() {
        let full = play(job(.writeZeroes, .noUnmap), Int(-ENOSPC))
        #expect(full.calls == ["zero 8192+4096"])
        #expect(full.status == .noSpace)
    }
}
