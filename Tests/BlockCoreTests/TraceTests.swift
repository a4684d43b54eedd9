// SPDX-License-Identifier: Apache-2.0

import BlockCore
import BlockSystem
import TestSupport
import Testing

/// A record as the format says it lies there, byte by byte: no code of the writer's is used.
private struct Record: Equatable, CustomStringConvertible {
    var letter = ""
    var kind = ""
    var sector: UInt64 = 0
    var bytes: UInt32 = 0
    var process: UInt32 = 0
    var device: UInt32 = 0
    var error: Int16 = 0
    var sequence: UInt32 = 0
    var time: UInt64 = 0
    var following: [UInt8] = []

    /// As `blkparse` prints action, kind and place.
    var description: String {
        switch letter {
        case "m": "m " + String(decoding: following, as: UTF8.self)
        case "P", "T": letter
        default: "\(letter) \(kind) \(sector)+\(bytes / 512)" + (error == 0 ? "" : " [\(error)]")
        }
    }

    static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    static func bigNumber(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    /// All records; nil where a byte is left over or a magic number is missing.
    static func parse(_ bytes: [UInt8]) -> [Record]? {
        let letters: [UInt64: String] = [
            1: "Q", 4: "G", 5: "S", 6: "R", 7: "D", 8: "C", 13: "X", 15: "A",
        ]
        var records: [Record] = []
        var at = 0
        while at < bytes.count {
            guard at + 48 <= bytes.count, number(bytes[at..<at + 4]) == 0x6561_7407 else { return nil }
            func field(_ offset: Int, _ size: Int) -> UInt64 { number(bytes[at + offset..<at + offset + size]) }
            var record = Record()
            record.sequence = UInt32(field(4, 4))
            record.time = field(8, 8)
            record.sector = field(16, 8)
            record.bytes = UInt32(field(24, 4))
            let categories = field(30, 2)
            if categories & 1 << 10 != 0 {
                record.letter = ["P", "T", "m"][Int(field(28, 2))]
            } else {
                record.letter = letters[field(28, 2)] ?? "?"
            }
            if categories & 1 << 2 != 0 { record.kind += "F" }
            record.kind += categories & 1 << 13 != 0 ? "D" : categories & 2 != 0 ? "W" : record.bytes > 0 ? "R" : "N"
            if categories & 1 << 15 != 0 { record.kind += "F" }
            record.process = UInt32(field(32, 4))
            record.device = UInt32(field(36, 4))
            record.error = Int16(truncatingIfNeeded: field(44, 2))
            let length = Int(field(46, 2))
            guard at + 48 + length <= bytes.count else { return nil }
            record.following = Array(bytes[at + 48..<at + 48 + length])
            records.append(record)
            at += 48 + length
        }
        return records
    }
}

@Suite("Traces") struct TraceTests {
    private let someone = OpenerIdentity(kind: "test", process: 77, program: "a-program-with-a-long-name")

    private func rig(
        _ driver: some BlockDriver, device: (Disk) -> BlockDevice = { $0.part0 }, depth: Int = 128,
        prepare: (Disk) throws -> Void = { _ in }
    ) async throws -> (disk: Disk, sink: CountingSink, opener: OpenerBox) {
        let disk = try await DiskRegistry().add(driver, plain())
        try prepare(disk)
        let sink = CountingSink()
        let box = OpenerBox()
        box.open(try device(disk).open(.readWrite, as: someone, depth: depth, sink: sink))
        return (disk, sink, box)
    }

    /// The records of I/O, in their order, as text.
    private func texts(_ trace: DiskTrace) throws -> [String] {
        try #require(Record.parse(trace.take())).map(\.description).filter { $0 != "P" && $0 != "T" }
    }

    private func end(_ disk: Disk, _ box: OpenerBox) async {
        box.close()
        #expect(await disk.remove(.surprise).word == "removed")
    }

    @Test("each step is a record: who, where, when, how it ended") func steps() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        box.use { $0.submit(.read, sectors(0, 1), data: ones(1), token: 0) }
        let trace = try disk.trace()
        box.use { opener in
            opener.submit(.write, sectors(8, 8), data: ones(8), token: 1)
            opener.submit(.read, sectors(16, 1), data: ones(1), token: 2)
            opener.submit(.discard, sectors(0, 64), data: .none, token: 3)
            opener.submit(.flush, sectors(0, 0), data: .none, token: 4)
        }
        driver.set(.answer(.medium))
        box.use { $0.submit(.read, sectors(5, 1), data: ones(1), token: 5) }
        let records = try #require(Record.parse(trace.take()))
        let letters = ["Q", "G", "D", "C"]
        let wanted =
            ["W 8+8", "R 16+1", "D 0+64", "FN 0+0"].flatMap { place in letters.map { "\($0) \(place)" } }
            + ["Q R 5+1", "G R 5+1", "D R 5+1", "C R 5+1 [-61]"]
        #expect(records.map(\.description) == ["T", "P"] + wanted)
        #expect(records.map(\.sequence) == (0..<UInt32(records.count)).map { $0 })
        let ofIO = records.dropFirst(2)
        #expect(
            ofIO.allSatisfy { $0.process == 77 && $0.device == UInt32(disk.number.major << 20 | disk.number.minor) })
        #expect(zip(ofIO, ofIO.dropFirst()).allSatisfy { $0.time <= $1.time }, "one after the other here")
        #expect(records[1].process == 77 && records[1].following == Array("a-program-with-".utf8) + [0])
        let seconds = Record.number(records[0].following[0..<4])
        #expect(abs(Double(seconds) - Instant.wallClock) < 100 && records[0].following.count == 8)
        #expect(trace.records == 20 && trace.dropped == 0 && trace.take().isEmpty)
        trace.stop()
        box.use { $0.submit(.read, sectors(0, 1), data: ones(1), token: 6) }
        #expect(trace.take().isEmpty && trace.hasEnded && !disk.isTraced)
        await end(disk, box)
    }

    @Test("I/O of a partition says where it comes from, and where it goes") func remapped() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(
            driver, device: { $0.partitions[0] },
            prepare: { _ = try $0.addPartition(number: 3, start: 2048, size: 4096) })
        let partition = try #require(disk.partitions.first)
        let trace = try disk.trace()
        box.use { $0.submit(.write, sectors(8, 8), data: ones(8), token: 1) }
        let records = try #require(Record.parse(trace.take())).filter { !["T", "P"].contains($0.letter) }
        #expect(records.map(\.description) == ["A W 2056+8", "Q W 2056+8", "G W 2056+8", "D W 2056+8", "C W 2056+8"])
        let from = try #require(records.first).following
        #expect(from.count == 16 && Record.bigNumber(from[8..<16]) == 8)
        func packed(_ number: DeviceNumber) -> UInt64 { UInt64(number.major << 20 | number.minor) }
        #expect(Record.bigNumber(from[0..<4]) == packed(partition.number))
        #expect(Record.bigNumber(from[4..<8]) == packed(disk.number))
        trace.stop()
        await end(disk, box)
    }

    @Test("what is cut says where, and each piece is a request") func split() async throws {
        let driver = ScriptedDriver(.answer(.ok)) { $0.limit { $0.maxHardwareSectors = 8 } }
        let (disk, _, box) = try await rig(driver)
        let trace = try disk.trace()
        box.use { $0.submit(.write, sectors(0, 20), data: ones(20), token: 1) }
        let records = try #require(Record.parse(trace.take())).filter { !["T", "P"].contains($0.letter) }
        #expect(
            records.map(\.description) == [
                "Q W 0+20", "X W 0+20", "G W 0+8", "D W 0+8", "C W 0+8", "X W 8+12", "G W 8+8", "D W 8+8", "C W 8+8",
                "G W 16+4", "D W 16+4", "C W 16+4",
            ])
        #expect(records.filter { $0.letter == "X" }.map { Record.bigNumber($0.following[...]) } == [8, 16])
        trace.stop()
        await end(disk, box)
    }

    @Test("flushes around a write are requests of their own") func flushes() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        let trace = try disk.trace()
        box.use { $0.submit(.write, sectors(8, 8), flags: [.preflush, .fua], data: ones(8), token: 1) }
        #expect(
            try texts(trace) == [
                "Q FWF 8+8", "G FN 0+0", "D FN 0+0", "C FN 0+0", "G W 8+8", "D W 8+8", "C W 8+8", "G FN 0+0",
                "D FN 0+0",
                "C FN 0+0",
            ])
        trace.stop()
        await end(disk, box)
    }

    @Test("what waits for a tag sleeps; what is given back is requeued") func waits() async throws {
        let driver = ScriptedDriver { $0.queueDepth = 1 }
        let (disk, sink, box) = try await rig(driver)
        let trace = try disk.trace()
        box.use { opener in
            opener.submit(.read, sectors(0, 1), data: ones(1), token: 1)
            opener.submit(.read, sectors(1, 1), data: ones(1), token: 2)
        }
        #expect(try texts(trace) == ["Q R 0+1", "G R 0+1", "D R 0+1", "Q R 1+1", "S R 1+1"])
        driver.answerOne()
        #expect(try texts(trace) == ["C R 0+1", "G R 1+1", "D R 1+1"])
        driver.answerOne()
        driver.set(.requeue(.milliseconds(1)))
        box.use { $0.submit(.read, sectors(2, 1), data: ones(1), token: 3) }
        driver.set(.answer(.ok))
        #expect(sink.wait(for: 3))
        // It may have been given back more than once before the driver was told to answer.
        let last = try texts(trace)
        #expect(last.prefix(5) == ["C R 1+1", "Q R 2+1", "G R 2+1", "D R 2+1", "R R 2+1"])
        #expect(last.suffix(3) == ["G R 2+1", "D R 2+1", "C R 2+1"])
        trace.stop()
        await end(disk, box)
    }

    @Test("the answers of a deadline and of a timeout are answers, a late one is none") func deadlines() async throws {
        let slow = ScriptedDriver { $0.timeout = .milliseconds(5) }
        let (late, lateSink, lateBox) = try await rig(slow)
        let first = try late.trace()
        lateBox.use { $0.submit(.read, sectors(0, 1), data: ones(1), token: 1) }
        #expect(lateSink.wait(for: 1))
        slow.answerAll()
        #expect(try texts(first) == ["Q R 0+1", "G R 0+1", "D R 0+1", "C R 0+1 [-110]"])
        first.stop()
        await end(late, lateBox)

        let dead = ScriptedDriver()
        let (disk, sink, box) = try await rig(dead)
        let trace = try disk.trace()
        box.use { $0.submit(.write, sectors(0, 1), data: ones(1), token: 1) }
        #expect(await disk.remove(.surprise, deadline: .milliseconds(5)).report?.quarantined == 1)
        #expect(sink.statuses(of: 1) == [.gone])
        #expect(try texts(trace) == ["Q W 0+1", "G W 0+1", "D W 0+1", "C W 0+1 [-19]"] && trace.hasEnded)
        box.close()
        dead.answerAll()
        #expect(eventually { disk.lifeState == .gone })
    }

    @Test("it ends with its disk, and only one runs at a time") func ends() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        var trace = try disk.trace()
        #expect { _ = try disk.trace() } throws: { ($0 as? DiskError)?.errno == 16 }
        trace.stop()
        trace = try disk.trace()
        let ends = Counter()
        let sees = trace
        trace.onData { if sees.hasEnded { ends.add() } }
        box.use { $0.submit(.read, sectors(0, 1), data: ones(1), token: 1) }
        await end(disk, box)
        #expect(trace.hasEnded && ends.value == 1)
        #expect(try texts(trace) == ["Q R 0+1", "G R 0+1", "D R 0+1", "C R 0+1"], "what was written is there still")
        #expect { _ = try disk.trace() } throws: { ($0 as? DiskError)?.errno == 19 }
        #expect(!disk.isTraced)
    }

    @Test("it tells of what is there, and of what comes where nothing was") func tells() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        let trace = try disk.trace()
        let tells = Counter()
        trace.onData { tells.add() }
        #expect(tells.value == 1, "when it was begun is there already")
        box.submit(1)
        #expect(tells.value == 1, "told, and not taken yet")
        for round in 2...4 {
            #expect(!trace.take().isEmpty && trace.take().isEmpty)
            box.submit(UInt64(round))
            #expect(tells.value == round)
        }
        trace.stop()
        #expect(tells.value == 5, "and of its end")
        await end(disk, box)
    }

    @Test("dropped without its end, it is over all the same") func dropped() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        var trace: DiskTrace? = try disk.trace()
        #expect(disk.isTraced && trace != nil)
        trace = nil
        #expect(!disk.isTraced, "the disk does not keep it")
        await end(disk, box)
    }

    @Test("a reader that does not come costs records, never time, and is told how many") func overflow() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, sink, box) = try await rig(driver)
        let trace = try disk.trace(capacity: 1)
        for token in 1...1000 { box.submit(UInt64(token)) }
        #expect(sink.total == 1000)
        let kept = trace.records
        #expect(kept > 100 && kept + trace.dropped == 4000)
        let records = try #require(Record.parse(trace.take()))
        #expect(records.last?.description == "m platter: \(4000 - kept) records lost")
        #expect(UInt64(records.count { !["T", "P", "m"].contains($0.letter) }) == kept)
        box.submit(1)
        #expect(try texts(trace).count == 4, "told once")
        trace.stop()
        await end(disk, box)
    }

    @Test("a filter lets pass what has one of its categories, lies in its sectors and is of its process")
    func filters() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        func seen(_ filter: TraceFilter) throws -> [String] {
            let trace = try disk.trace(filter)
            defer { trace.stop() }
            box.use { opener in
                opener.submit(.write, sectors(8, 8), data: ones(8), token: 1)
                opener.submit(.read, sectors(16, 1), data: ones(1), token: 2)
            }
            return try texts(trace)
        }
        #expect(try seen(TraceFilter(categories: .issue)) == ["D W 8+8", "D R 16+1"])
        #expect(
            try seen(TraceFilter(categories: [.issue, .write])) == [
                "Q W 8+8", "G W 8+8", "D W 8+8", "C W 8+8", "D R 16+1",
            ])
        #expect(try seen(TraceFilter(sectors: 9...16)) == ["Q R 16+1", "G R 16+1", "D R 16+1", "C R 16+1"])
        #expect(try seen(TraceFilter(sectors: 8...15)) == ["Q W 8+8", "G W 8+8", "D W 8+8", "C W 8+8"])
        #expect(try seen(TraceFilter(process: 76)).isEmpty)
        #expect(try seen(TraceFilter(process: 77)).count == 8)
        await end(disk, box)
    }

    @Test("its directory tells of it, and ends it") func attributes() async throws {
        let driver = ScriptedDriver(.answer(.ok))
        let (disk, _, box) = try await rig(driver)
        let names = ["enable", "act_mask", "start_lba", "end_lba", "pid"]
        func values() throws -> [String] { try names.map { try disk.part0.readAttribute("trace/\($0)") } }
        #expect(try values() == ["0\n"] + Array(repeating: "disabled\n", count: 4))
        var trace = try disk.trace(TraceFilter(categories: [.fua, .read, .issue], sectors: 8...99, process: 5))
        #expect(try values() == ["1\n", "read,issue,fua\n", "8\n", "99\n", "5\n"])
        try disk.part0.writeAttribute("trace/enable", "1\n")
        #expect(!trace.hasEnded)
        try disk.part0.writeAttribute("trace/enable", "0\n")
        #expect(trace.hasEnded && !disk.isTraced)
        #expect { try disk.part0.writeAttribute("trace/enable", "1") } throws: {
            ($0 as? AttributeError)?.errno == 95
        }
        #expect { try disk.part0.writeAttribute("trace/enable", "x") } throws: {
            ($0 as? AttributeError)?.errno == 22
        }
        trace = try disk.trace()
        #expect(try values().dropFirst(2) == ["0\n", "18446744073709551615\n", "0\n"])
        #expect(try disk.part0.readAttribute("trace/act_mask").split(separator: ",").count == 16)
        trace.stop()
        await end(disk, box)
    }

    @Test("a disk is traced and not traced at any moment of its I/O") func whileItRuns() async throws {
        let driver = HeldDriver(style: .async)
        let (disk, sink, box) = try await rig(driver)
        let stop = Parker()
        let tracing = Counter()
        let tracer = try WorkerThread.start(name: "tracer") {
            while !stop.isRaised {
                guard let trace = try? disk.trace() else { continue }
                _ = Record.parse(trace.take())
                trace.stop()
                tracing.add()
            }
        }
        var submitted = 0
        // As many as it takes for both to have met often.
        while tracing.value < 200 || submitted < 2000 {
            submitted += 1
            box.submit(UInt64(submitted))
            #expect(sink.wait(for: submitted))
        }
        stop.raise()
        tracer.join()
        #expect(sink.total == submitted && disk.ledger().ok == UInt64(submitted))
        await end(disk, box)
    }
}
