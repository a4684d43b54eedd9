// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Glibc
import TestSupport
import Testing

/// Bytes of address space that this process has mapped.
private func addressSpace() -> UInt64 {
    guard let file = try? DiskFile.open("/proc/self/statm", []), let line = try? IOBuffer(count: 256) else { return 0 }
    let count = max(0, file.perform(.read(at: 0, into: line.memory)))
    let text = String(decoding: line.memory.slice(0, count).array, as: UTF8.self)
    return (text.split(separator: " ").first.flatMap { UInt64($0) } ?? 0) * 4096
}

extension [UInt8] {
    /// Whether there is nothing but `value`; quick without optimisation, which a closure per byte is not.
    fileprivate func isAll(_ value: UInt8) -> Bool { self == [UInt8](repeating: value, count: count) }
}

extension SparseMemory {
    fileprivate func bytes(_ offset: UInt64, _ count: Int) throws -> [UInt8] {
        let buffer = try IOBuffer(count: count)
        buffer.memory.copy(from: [UInt8](repeating: 0xee, count: count).span.bytes)
        read(at: offset, into: buffer.memory)
        return buffer.memory.array
    }

    fileprivate func put(_ offset: UInt64, _ bytes: [UInt8]) throws {
        let buffer = try IOBuffer(count: bytes.count)
        buffer.memory.copy(from: bytes.span.bytes)
        try write(at: offset, from: buffer.memory)
    }
}

@Suite("Sparse memory") struct SparseMemoryTests {
    @Test func `memory that was never written reads as zeroes and takes none`() throws {
        let memory = try SparseMemory()
        #expect(try memory.bytes(5 << 40, 9000).isAll(0))
        #expect(memory.presentBytes == 0)
        #expect(memory.residentBytes() == 0)
    }

    @Test func `the last byte can be written and read`() throws {
        let memory = try SparseMemory()
        try memory.put(SparseMemory.limit - 512, [UInt8](repeating: 7, count: 512))
        #expect(try memory.bytes(SparseMemory.limit - 512, 512).isAll(7))
        #expect(memory.presentBytes == 4096)
    }

    @Test(arguments: [1, 2, 3, 20_261_121])
    func `random writes, zeroes and punches agree with an array`(seed: UInt64) throws {
        var dice = SeededGenerator(seed: seed)
        let memory = try SparseMemory()
        let size = 5 << 20
        let base = UInt64(8 << 30) - UInt64(3 << 20)  // across the border of two tables, and of extents
        var model = [UInt8](repeating: 0, count: size)
        for step in 0..<1500 {
            let count = min([512, 4096, 4608, 70_000 / 512 * 512, 2 << 20][dice.roll(5)], size)
            let offset = dice.roll((size - count) / 512 + 1) * 512
            let range = offset..<offset + count
            switch dice.roll(4) {
            case 0:
                let bytes = [UInt8](repeating: UInt8(dice.roll(255) + 1), count: count)
                try memory.put(base + UInt64(offset), bytes)
                model.replaceSubrange(range, with: bytes)
            case 1:
                memory.punch(at: base + UInt64(offset), count: UInt64(count))
                model.replaceSubrange(range, with: [UInt8](repeating: 0, count: count))
            case 2 where dice.roll(8) == 0:
                try memory.zero(at: base + UInt64(offset), count: count)
                model.replaceSubrange(range, with: [UInt8](repeating: 0, count: count))
            default:
                let got = try memory.bytes(base + UInt64(offset), count)
                guard got == Array(model[range]) else {
                    Issue.record("seed \(seed), step \(step): \(count) bytes at \(offset) differ")
                    return
                }
            }
        }
        let runs = memory.runs(at: base, count: UInt64(size))
        #expect(runs.reduce(0) { $0 + $1.count } == UInt64(size))
        #expect(runs.reduce(0) { $0 + ($1.isPresent ? Int($1.count) : 0) } == memory.presentBytes)
    }

    @Test func `a punch gives whole pages back to the machine and keeps the rest`() throws {
        let memory = try SparseMemory()
        let bytes = [UInt8](repeating: 5, count: 4 << 20)
        try memory.put(0, bytes)
        #expect(memory.presentBytes == 4 << 20)
        #expect(memory.residentBytes() == 4 << 20)
        memory.punch(at: 512, count: (4 << 20) - 1024)
        #expect(memory.presentBytes == 8192)
        #expect(memory.residentBytes() == 8192)
        #expect(try memory.bytes(0, 1024) == [UInt8](repeating: 5, count: 512) + [UInt8](repeating: 0, count: 512))
        #expect(try memory.bytes((4 << 20) - 512, 512).isAll(5))
        memory.punch(at: 0, count: SparseMemory.limit)
        #expect(memory.residentBytes() == 0)
    }

    @Test func `zeroing keeps pages and makes absent ones`() throws {
        let memory = try SparseMemory()
        try memory.put(0, [UInt8](repeating: 5, count: 4096))
        try memory.zero(at: 0, count: 16384)
        #expect(memory.presentBytes == 16384)
        #expect(try memory.bytes(0, 16384).isAll(0))
    }

    @Test func `what a punch took does not come back with the next write of the page`() throws {
        let memory = try SparseMemory()
        try memory.put(0, [UInt8](repeating: 9, count: 4096))
        memory.punch(at: 0, count: 4096)
        try memory.put(1024, [UInt8](repeating: 3, count: 512))
        let page = try memory.bytes(0, 4096)
        #expect(Array(page[..<1024]).isAll(0))
        #expect(Array(page[1024..<1536]).isAll(3))
        #expect(Array(page[1536...]).isAll(0))
    }

    @Test func `a budget that is used up answers ENOMEM and punching makes room again`() throws {
        let memory = try SparseMemory(budget: MemoryBudget(bytes: 1 << 20))
        try memory.put(0, [UInt8](repeating: 1, count: 1 << 20))
        #expect(throws: SystemError(errno: 12)) { try memory.put(1 << 20, [1]) }
        #expect(throws: SystemError(errno: 12)) { try memory.put(9 << 30, [1]) }
        try memory.put(0, [UInt8](repeating: 2, count: 1 << 20))
        memory.punch(at: 0, count: 8192)
        try memory.put(9 << 30, [UInt8](repeating: 4, count: 8192))
        #expect(try memory.bytes(9 << 30, 8192).isAll(4))
        #expect(memory.presentBytes == 1 << 20)
    }

    /// In a process of its own, for a limit cannot be taken back.
    @Test(.enabled(if: addressSpace() < 1 << 40, "a sanitizer's own memory needs the address space"))
    func `a process that may not have more address space hears ENOMEM, and lives`() async {
        await #expect(processExitsWith: .exitCode(7)) {
            var limit = rlimit(rlim_cur: rlim_t(addressSpace() + 64 << 20), rlim_max: .max)
            let memory = try SparseMemory()
            let page = try IOBuffer(count: 4096)
            page.memory.zero()
            try memory.write(at: 0, from: page.memory)
            guard setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { exit(1) }
            for extent in 1..<256 as Range<UInt64> {
                do throws(SystemError) {
                    try memory.write(at: extent << 21, from: page.memory)
                } catch {
                    memory.read(at: 0, into: page.memory)
                    memory.punch(at: 0, count: 1 << 40)
                    exit(error.errno == ENOMEM ? 7 : 2)
                }
            }
            exit(3)
        }
    }

    @Test func `the end of the memory gives its budget back`() throws {
        let budget = MemoryBudget(bytes: 1 << 20)
        for _ in 0..<3 {
            let memory = try SparseMemory(budget: budget)
            try memory.put(0, [UInt8](repeating: 1, count: 1 << 20))
        }
    }

    @Test func `the machine's own budget has room for a page`() {
        #expect(MemoryBudget.machine.take(4096))
        MemoryBudget.machine.giveBack(4096)
    }

    @Test func `runs pass over terabytes of nothing`() throws {
        let memory = try SparseMemory()
        try memory.put(1 << 40, [UInt8](repeating: 1, count: 4096))
        var offset: UInt64 = 0
        var present: UInt64 = 0
        while offset < 2 << 40 {
            for run in memory.runs(at: offset, count: (2 << 40) - offset) {
                if run.isPresent {
                    #expect(offset == 1 << 40)
                    present += run.count
                }
                offset += run.count
            }
        }
        #expect(present == 4096)
    }

    /// Each thread owns every fourth sector, so all of them meet in every page; one more punches pages of its own
    /// between theirs. Nobody may ever see another's bytes, or lose its own.
    @Test(.timeLimit(.minutes(2))) func `threads that share pages do not see each other`() throws {
        let memory = try SparseMemory()
        let failures = Counter()
        let threads = try (0..<4).map { me in
            try WorkerThread.start(name: "sparse-\(me)") {
                do {
                    var dice = SeededGenerator(seed: UInt64(me) + 77)
                    let sectors = 4096
                    var model = [UInt8](repeating: 0, count: sectors)
                    for round in 0..<20_000 {
                        let page = dice.roll(sectors / 8)
                        if page % 5 == me {
                            // This page is mine alone: write it whole, punch it, write a part of it.
                            memory.punch(at: UInt64(page) * 4096, count: 4096)
                            guard try memory.bytes(UInt64(page) * 4096, 4096).isAll(0) else {
                                failures.add()
                                continue
                            }
                            try memory.put(UInt64(page) * 4096 + 512, [UInt8](repeating: 1, count: 512))
                        } else if page % 5 == 4 {
                            let sector = page * 8 + me
                            let value = UInt8(round % 255 + 1)
                            let expected = [UInt8](repeating: model[sector], count: 512)
                            if try memory.bytes(UInt64(sector) * 512, 512) != expected { failures.add() }
                            try memory.put(UInt64(sector) * 512, [UInt8](repeating: value, count: 512))
                            model[sector] = value
                        }
                    }
                } catch {
                    failures.add()
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.value == 0)
    }

    @Test(.timeLimit(.minutes(2))) func `first writes of one page by many threads all stay`() throws {
        let memory = try SparseMemory()
        let failures = Counter()
        let threads = try (0..<4).map { me in
            try WorkerThread.start(name: "sparse-\(me)") {
                do {
                    for page in 0..<3000 {
                        let at = UInt64(page) * 4096 + UInt64(me) * 1024
                        try memory.put(at, [UInt8](repeating: UInt8(me + 1), count: 1024))
                        if try !memory.bytes(at, 1024).isAll(UInt8(me + 1)) { failures.add() }
                    }
                } catch {
                    failures.add()
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.value == 0)
        for page in 0..<3000 {
            let bytes = try memory.bytes(UInt64(page) * 4096, 4096)
            let corners = (0..<4).flatMap { me in [bytes[me * 1024], bytes[me * 1024 + 1023]] }
            #expect(corners == [1, 1, 2, 2, 3, 3, 4, 4])
        }
        #expect(memory.presentBytes == 3000 * 4096)
    }
}
