// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Glibc
import Testing

/// A folder that is gone, with what is in it, at the end of a test.
final class TemporaryFolder {
    let path: String
    init(under parent: String = "/tmp") throws {
        var template = Array("\(parent)/platter-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    deinit {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(path)/\(name)")
            }
            closedir(folder)
        }
        rmdir(path)
    }
    func file(_ name: String, size: UInt64) throws -> DiskFile {
        let file = try DiskFile.open("\(path)/\(name)", [.write, .create])
        try file.truncate(to: size)
        return file
    }
}

@Suite("A disk file") struct DiskFileTests {
    @Test func `what is written is read, and past the end nothing is`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("a", size: 8192)
        let buffer = try IOBuffer(count: 4096)
        buffer.memory.storeBigEndian(UInt32(0x1234_5678), at: 0)
        #expect(file.perform(.write(at: 4096, from: buffer.memory, durable: true)) == 4096)
        buffer.memory.zero()
        #expect(file.perform(.read(at: 4096, into: buffer.memory)) == 4096)
        #expect(buffer.memory.loadBigEndian(at: 0, as: UInt32.self) == 0x1234_5678)
        #expect(file.perform(.read(at: 8192, into: buffer.memory)) == 0)
        #expect(file.perform(.sync) == 0)
        #expect(file.durabilityCalls.value == 2)
        let facts = try file.facts()
        #expect(facts.kind == .regular)
        #expect(facts.size == 8192)
        #expect(!file.hasVanished)
    }

    @Test func `extents tell data from holes and stay inside the file`() throws {
        let folder = try TemporaryFolder(under: "/dev/shm")  // tmpfs: holes are exact pages
        let file = try folder.file("a", size: 1 << 20)
        let buffer = try IOBuffer(count: 4096)
        #expect(file.perform(.write(at: 65536, from: buffer.memory, durable: false)) == 4096)
        #expect(file.extent(at: 0, end: 1 << 20) == FileExtent(offset: 0, count: 65536, isHole: true))
        #expect(file.extent(at: 65536, end: 1 << 20) == FileExtent(offset: 65536, count: 4096, isHole: false))
        #expect(file.extent(at: 69632, end: 2 << 20).count == (1 << 20) - 69632)
        #expect(file.extent(at: 69632, end: 2 << 20).isHole)
        #expect(!file.extent(at: 1 << 20, end: 2 << 20).isHole)
        #expect(file.perform(.space(.punchHole, at: 65536, count: 4096)) == 0)
        #expect(file.extent(at: 0, end: 1 << 20) == FileExtent(offset: 0, count: 1 << 20, isHole: true))
    }

    @Test func `a writer's lock keeps off every other open of the file, a reader's only writers`() throws {
        let folder = try TemporaryFolder()
        let first = try folder.file("a", size: 512)
        try first.lock(exclusive: true)
        let second = try DiskFile.open(first.path, .write)
        #expect(throws: SystemError(errno: EAGAIN)) { try second.lock(exclusive: true) }
        #expect(throws: SystemError(errno: EAGAIN)) { try second.lock(exclusive: false) }
        first.close()
        try second.lock(exclusive: false)
        let third = try DiskFile.open(second.path, [])
        try third.lock(exclusive: false)
        #expect(throws: SystemError(errno: EAGAIN)) { try second.lock(exclusive: true) }
    }

    @Test func `a fifo and a missing file do not make it wait`() throws {
        let folder = try TemporaryFolder()
        #expect(mkfifo("\(folder.path)/pipe", 0o600) == 0)
        #expect(try DiskFile.open("\(folder.path)/pipe", []).facts().kind == .other)
        #expect(try DiskFile.open(folder.path, []).facts().kind == .directory)
        #expect(throws: SystemError(errno: ENOENT)) { try DiskFile.open("\(folder.path)/none", []) }
    }

    @Test func `a closed file answers EBADF and closes once`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("a", size: 512)
        file.close()
        file.close()
        #expect(file.perform(.sync) == Int(-EBADF))
    }

    @Test func `loading an image keeps its holes and its pages of zeroes out of memory`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("a", size: 300 << 20)
        let buffer = try IOBuffer(count: 16384)
        buffer.memory.zero()
        #expect(file.perform(.write(at: 1 << 20, from: buffer.memory, durable: false)) == 16384)  // zeroes, allocated
        buffer.memory.storeBigEndian(UInt8(9), at: 4096)
        #expect(file.perform(.write(at: 299 << 20, from: buffer.memory, durable: false)) == 16384)
        let memory = try SparseMemory()
        try memory.load(file, size: 300 << 20)
        #expect(memory.presentBytes == 4096)
        memory.read(at: 299 << 20, into: buffer.memory)
        #expect(buffer.memory.loadBigEndian(at: 4096, as: UInt8.self) == 9)
        #expect(throws: SystemError(errno: EIO)) { try SparseMemory().load(file, size: 301 << 20) }
    }
}
