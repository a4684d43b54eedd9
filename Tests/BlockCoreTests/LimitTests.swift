// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import Synchronization
import TestSupport
import Testing

@Suite("Limits of requests") struct LimitTests {
    private func limits(_ edit: (inout QueueLimits) -> Void) -> QueueLimits {
        var limits = QueueLimits()
        edit(&limits)
        return limits
    }

    private func refusal(_ edit: (inout QueueLimits) -> Void) -> String? {
        do throws(DiskError) {
            _ = try limits(edit).validated()
            return nil
        } catch {
            #expect(error.errno == 22 && !error.reason.contains("\n"))
            return error.reason
        }
    }

    // MARK: Validation

    @Test("fresh ones limit nothing and are valid") func fresh() throws {
        let valid = try QueueLimits().validated()
        for operation in BioOperation.allCases {
            #expect(valid.first(of: operation, sectors(7, 1 << 54)) == 1 << 54)
        }
        #expect(valid.maxSectors == .max && valid.physicalBlockSize == 512 && valid.minimumIO == 512)
    }

    @Test("what cannot be is refused in one line that says what is possible") func refusals() {
        for size in [0, 256, 1000, 131_072, -512] { #expect(refusal { $0.logicalBlockSize = size } != nil) }
        #expect(refusal { $0.physicalBlockSize = 3000 } != nil)
        #expect(refusal { $0.maxHardwareSectors = 7 }?.contains("at least 8") == true)
        #expect(
            refusal {
                $0.logicalBlockSize = 65536
                $0.maxHardwareSectors = 64
            }?.contains("at least 128") == true)
        #expect(refusal { $0.maxUserSectors = 7 } != nil)
        #expect(
            refusal {
                $0.logicalBlockSize = 4096
                $0.chunkSectors = 12
            } != nil)
        #expect(
            refusal {
                $0.discardGranularity = 1 << 20
                $0.maxHardwareDiscardSectors = 8
            } != nil)
        #expect(
            refusal {
                $0.logicalBlockSize = 4096
                $0.discardGranularity = 6000
            } != nil)
        #expect(
            refusal {
                $0.logicalBlockSize = 4096
                $0.maxWriteZeroesSectors = 7
            } != nil)
        #expect(refusal { $0.optimalIO = -1 } != nil)
    }

    @Test("what is left open is derived, what is uneven is rounded") func derived() throws {
        let valid = try limits {
            $0.logicalBlockSize = 4096
            $0.physicalBlockSize = 512
            $0.optimalIO = 10_000
            $0.maxHardwareSectors = 1001
            $0.alignmentOffset = 4096 + 512
            $0.maxHardwareDiscardSectors = 77
            $0.maxWriteZeroesSectors = 17
            $0.isMisaligned = true
        }.validated()
        #expect(valid.physicalBlockSize == 4096 && valid.minimumIO == 4096 && valid.optimalIO == 8192)
        #expect(valid.maxHardwareSectors == 1000 && valid.maxSectors == 1000 && valid.alignmentOffset == 512)
        #expect(valid.maxDiscardSectors == 72 && valid.discardGranularity == 4096 && valid.maxWriteZeroesSectors == 16)
        #expect(!valid.isMisaligned)
        #expect(try valid.validated() == valid, "validation of what is valid changes nothing")
        func most(_ edit: (inout QueueLimits) -> Void) throws -> UInt64 { try limits(edit).validated().maxSectors }
        #expect(try most { $0.maxHardwareSectors = 1 << 20 } == 8192, "4 MiB where nothing better is known")
        #expect(
            try most {
                $0.maxHardwareSectors = 1 << 20
                $0.optimalIO = 8 << 20
            } == 16384)
        #expect(
            try most {
                $0.maxHardwareSectors = 1 << 20
                $0.maxUserSectors = 1 << 19
            } == 1 << 19)
        #expect(
            try most {
                $0.maxHardwareSectors = 64
                $0.maxUserSectors = 128
            } == 64)
        #expect(
            try most {
                $0.maxDeviceSectors = 40
                $0.maxUserSectors = 128
            } == 40)
        #expect(try limits { $0.maxHardwareDiscardSectors = 0 }.validated().discardGranularity == 0)
    }

    // MARK: Splitting

    @Test("the first request of a long one ends where limits and alignment say") func firstRequests() throws {
        let small = try limits {
            $0.physicalBlockSize = 4096
            $0.maxHardwareSectors = 20
        }.validated()
        #expect(small.first(of: .read, sectors(0, 20)) == 20)
        #expect(small.first(of: .read, sectors(0, 21)) == 16, "to the end of a physical block")
        #expect(small.first(of: .write, sectors(3, 100)) == 13)
        #expect(small.first(of: .flush, sectors(0, 100)) == 100)
        let chunked = try limits { $0.chunkSectors = 24 }.validated()
        #expect(chunked.first(of: .write, sectors(20, 5)) == 4 && chunked.first(of: .write, sectors(20, 4)) == 4)
        #expect(chunked.first(of: .writeZeroes, sectors(24, 100)) == 24)
        #expect(chunked.first(of: .discard, sectors(20, 100)) == 100, "chunks do not bind a discard")
        let grainy = try limits {
            $0.discardGranularity = 8192
            $0.maxHardwareDiscardSectors = 40
        }.validated()
        #expect(grainy.first(of: .discard, sectors(0, 100)) == 32)
        #expect(grainy.first(of: .discard, sectors(5, 100)) == 27, "the next begins at a multiple")
        #expect(grainy.first(of: .discard, sectors(5, 32)) == 32, "what is short enough is not cut")
        let tight = try limits {
            $0.physicalBlockSize = 65536
            $0.maxHardwareSectors = 24
        }.validated()
        #expect(tight.first(of: .read, sectors(1, 100)) == 24, "no physical block ends inside: as much as goes")
    }

    @Test("pieces cover a range exactly, each within every limit", arguments: [UInt64(3), 2026]) func pieces(
        seed: UInt64
    ) throws {
        var random = seed
        func roll(_ below: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % below
        }
        for _ in 0..<2000 {
            let logical = 512 << Int(roll(4))
            let unit = UInt64(logical / 512)
            let valid = try limits {
                $0.logicalBlockSize = logical
                $0.physicalBlockSize = logical << Int(roll(4))
                $0.maxHardwareSectors = max(8, unit) + roll(300)
                $0.chunkSectors = roll(3) == 0 ? 0 : unit * (1 + roll(64))
                $0.discardGranularity = logical * Int(1 + roll(9))
                $0.maxHardwareDiscardSectors = 1024 + roll(2000)
                $0.maxWriteZeroesSectors = unit + roll(200)
            }.validated()
            let operation: BioOperation = [.read, .write, .discard, .writeZeroes][Int(roll(4))]
            var rest = sectors(unit * roll(5000), unit * (1 + roll(5000)))
            if roll(10) == 0 { rest.start = ((1 << 54) - rest.count) / unit * unit }
            while rest.count > 0 {
                let count = valid.first(of: operation, rest)
                let end = rest.start + count
                try #require(count > 0 && count <= rest.count && count % unit == 0)
                switch operation {
                case .discard:
                    #expect(count <= valid.maxDiscardSectors)
                    #expect(count == rest.count || end % UInt64(valid.discardGranularity / 512) == 0)
                default:
                    #expect(count <= (operation == .writeZeroes ? valid.maxWriteZeroesSectors : valid.maxSectors))
                    let chunk = valid.chunkSectors
                    #expect(chunk == 0 || (end - 1) / chunk == rest.start / chunk)
                }
                rest = sectors(end, rest.count - count)
            }
        }
    }

    @Test("ranges at the ends of 64 bits neither overflow nor get in (T80)") func ends() async throws {
        let driver = ScriptedDriver(capacity: DiskRegistry.capacityLimit, .answer(.ok)) { profile in
            profile.limit {
                $0.maxHardwareSectors = 8
                $0.chunkSectors = 24
                $0.maxHardwareDiscardSectors = 1 << 50
                $0.discardGranularity = 4096
            }
        }
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let end = DiskRegistry.capacityLimit
        for (token, range) in [
            sectors(.max, 8), sectors(end, 1), sectors(end - 7, 8), sectors(8, .max), sectors(1, end),
            sectors(.max - 7, 8), sectors(end + 1, 0),
        ].enumerated() {
            opener.submit(.discard, range, data: .none, token: UInt64(token))
        }
        #expect(sink.total == 7 && sink.all.filter { $0.value == [.outOfRange] }.count == 6)
        #expect(sink.statuses(of: 6) == [.ok], "nothing lies everywhere")
        opener.submit(.discard, sectors(0, end), data: .none, token: 10)
        opener.submit(.write, sectors(end - 20, 20), data: ones(20), token: 11)
        #expect(sink.statuses(of: 10) == [.ok] && sink.statuses(of: 11) == [.ok])
        #expect(driver.requests.filter { $0.operation == .write }.reduce(0) { $0 + $1.count } == 20)
        opener.close()
        #expect(await disk.remove(.surprise).word == "removed")
    }

    @Test("what would be cut and may not wait is told so; what the device does not do is not supported") func noWait()
        async throws
    {
        let driver = ScriptedDriver(.answer(.ok)) { profile in
            profile.limit {
                $0.maxHardwareSectors = 8
                $0.maxHardwareDiscardSectors = 0
            }
        }
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        opener.submit(.write, sectors(0, 16), flags: .noWait, data: ones(16), token: 1)
        opener.submit(.write, sectors(0, 8), flags: .noWait, data: ones(8), token: 2)
        opener.submit(.discard, sectors(0, 8), data: .none, token: 3)
        #expect(
            sink.statuses(of: 1) == [.again] && sink.statuses(of: 2) == [.ok] && sink.statuses(of: 3) == [.notSupported]
        )
        #expect(driver.requests.count == 1)
        opener.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("pieces carry their part of the memory") func memory() async throws {
        let driver = ScriptedDriver { profile in profile.limit { $0.maxHardwareSectors = 8 } }
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let opener = try disk.part0.open(.readWrite, as: tester, sink: sink)
        let mine = try IOBuffer(count: 20 * 512)
        mine.memory.zero()
        opener.submit(.read, sectors(40, 20), data: .borrowed(mine.memory), token: 1)
        for piece in UInt8(1)...3 {
            guard let bio = driver.state.withLock({ $0.held.popFirst() }) else { break }
            bio.memory.withMutableBytes { bytes in
                for index in 0..<bytes.byteCount { bytes.storeBytes(of: piece, toByteOffset: index, as: UInt8.self) }
            }
            bio.complete(.ok)
        }
        #expect(sink.statuses(of: 1) == [.ok])
        let bytes = mine.memory.array
        let expected: [UInt8] = (0..<20 * 512).map { index in UInt8(index / 4096 + 1) }
        #expect(bytes == expected)
        opener.close()
        #expect(await disk.remove(.surprise).word == "removed")
    }

    // MARK: Changes

    @Test(
        "an invalid change, or one that does not get the disk empty, leaves the old limits and an open gate (T48, T79)")
    func failedChange() async throws {
        let driver = ScriptedDriver()
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        let old = disk.limits
        func change(_ deadline: Duration, _ edit: @escaping @Sendable (inout QueueLimits) -> Void) async -> Int32? {
            await Verb { () throws(DiskError) in try await disk.updateLimits(deadline: deadline, edit) }.errno()
        }
        #expect(
            await change(.seconds(30)) {
                $0.maxHardwareSectors = 16
                $0.physicalBlockSize = 3000
            } == 22)
        #expect(await change(.seconds(30)) { $0.logicalBlockSize = 4096 } == 22)
        #expect(disk.limits == old)
        box.submit(1)
        #expect(await change(.milliseconds(10)) { $0.maxHardwareSectors = 16 } == 110)
        #expect(disk.limits == old)
        box.submit(2)
        #expect(driver.held == 2, "the gate is open")
        let slow = Verb { () throws(DiskError) in
            try await disk.updateLimits(deadline: .seconds(60)) { $0.maxHardwareSectors = 16 }
        }
        #expect(eventually { disk.isFrozen })
        #expect(await change(.seconds(30)) { $0.maxHardwareSectors = 32 } == 16, "one change at a time")
        driver.answerAll()
        #expect(await slow.errno() == 0)
        #expect(disk.limits.maxSectors == 16)
        box.submit(3)
        let dying = Verb { () throws(DiskError) in
            try await disk.updateLimits(deadline: .seconds(60)) { $0.maxHardwareSectors = 32 }
        }
        #expect(eventually { disk.isFrozen })
        let removal = BegunRemoval(disk, .surprise)
        #expect(eventually { disk.capacity == 0 })
        driver.answerAll()
        #expect(await dying.errno() == 19)
        #expect(removal.end()?.word == "removed" && disk.limits.maxSectors == 16)
        box.close()
    }

    @Test("no I/O sees some old and some new limits (T48)") func mixed() async throws {
        let driver = ScriptedDriver(.answer(.ok)) { profile in profile.limit { $0.maxHardwareDiscardSectors = 8 } }
        let disk = try await DiskRegistry().add(driver, plain())
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try disk.part0.open(.readWrite, as: tester, sink: sink))
        let rounds: UInt64 = isSanitized ? 400 : 4000
        let submitter = try WorkerThread.start(name: "submit") {
            for token in 0..<rounds {
                box.use { $0.submit(.discard, sectors(token * 64, 64), data: .none, token: token) }
                if token % 16 == 15 { _ = eventually { sink.total == Int(token) + 1 } }
            }
        }
        for round in 0..<(isSanitized ? 20 : 200) {
            try await disk.updateLimits(deadline: .seconds(60)) { limits in
                limits.maxHardwareDiscardSectors = round % 2 == 0 ? 16 : 8
            }
        }
        submitter.join()
        #expect(sink.wait(for: Int(rounds)))
        var lengths: [UInt64: Set<UInt64>] = [:]
        for request in driver.requests { lengths[request.start / 64, default: []].insert(request.count) }
        #expect(lengths.count == Int(rounds) && lengths.values.allSatisfy { $0 == [8] || $0 == [16] })
        box.close()
        #expect(await disk.remove().word == "removed")
    }

    @Test("a driver with limits that cannot be is refused by the add") func refusedAdd() async throws {
        let registry = DiskRegistry()
        await #expect(throws: DiskError.self) {
            try await registry.add(
                ScriptedDriver { profile in profile.limit { $0.maxHardwareSectors = 1 } }, plain())
        }
        #expect(registry.disks.isEmpty)
    }

    // MARK: Stacking

    @Test("a stack allows what all its parts allow") func stacking() throws {
        let lower = try limits {
            $0.physicalBlockSize = 4096
            $0.optimalIO = 65536
            $0.maxHardwareSectors = 100
            $0.chunkSectors = 96
            $0.discardGranularity = 8192
            $0.maxHardwareDiscardSectors = 800
            $0.maxWriteZeroesSectors = 64
        }.validated()
        let other = try limits {
            $0.logicalBlockSize = 4096
            $0.optimalIO = 49152
            $0.maxHardwareSectors = 200
            $0.chunkSectors = 64
            $0.maxWriteZeroesSectors = 0
        }.validated()
        let stack = QueueLimits().stacked(on: lower, startSector: 8).stacked(on: other, startSector: 16)
        #expect(stack.logicalBlockSize == 4096 && stack.physicalBlockSize == 4096 && stack.minimumIO == 4096)
        #expect(stack.optimalIO == 196_608 && stack.chunkSectors == 32 && stack.maxSectors == 96)
        #expect(stack.maxDiscardSectors == 800 && stack.discardGranularity == 8192)
        #expect(stack.maxWriteZeroesSectors == 0 && !stack.isMisaligned)
        #expect(try stack.validated() == stack)
    }

    @Test("parts that do not line up make a stack that works and says so") func misaligned() throws {
        let lower = try limits { $0.physicalBlockSize = 4096 }.validated()
        #expect(lower.alignment(at: 1) == 3584 && lower.alignment(at: 8) == 0)
        let aligned = QueueLimits().stacked(on: lower, startSector: 8)
        #expect(!aligned.isMisaligned && aligned.alignmentOffset == 0)
        let shifted = aligned.stacked(on: lower, startSector: 1)
        #expect(shifted.isMisaligned && shifted.stacked(on: lower, startSector: 8).isMisaligned, "and it stays so")
        let one = QueueLimits().stacked(on: lower, startSector: 1)
        #expect(!one.isMisaligned && one.alignmentOffset == 3584)
        #expect(one.stacked(on: lower, startSector: 17) == one, "both lie alike")
        #expect(try one.validated() == one)
        let big = try limits {
            $0.physicalBlockSize = 65536
            $0.chunkSectors = 8
        }.validated()
        let none = QueueLimits().stacked(on: big, startSector: 0)
        #expect(try none.validated().isMisaligned, "a disk of it says so")
        #expect(none.chunkSectors == 0 && none.isMisaligned, "a boundary inside a block cannot be kept")
    }
}
