// SPDX-License-Identifier: Apache-2.0

import BenchSupport
import BlockCore
import BlockDrivers
import BlockSystem

/// What disks cost that nobody uses.
enum IdleBench {
    static func run() {
        memory("idle.bytes.null", 10_000) { NullDriver(capacity: 1 << 21) }
        memory("idle.bytes.ram", 10_000) {
            do throws(SystemError) {
                return RamDriver(capacity: 1 << 21, memory: try SparseMemory())
            } catch {
                invariantBroken("no memory for a RAM disk")
            }
        }
        wakeUps(1000)
    }

    private static func memory(_ name: String, _ count: Int, _ make: () -> any BlockDriver) {
        let registry = DiskRegistry()
        add(registry, 100, make)
        let before = ProcessFigures.residentBytes(ProcessFigures.current)
        add(registry, count, make)
        let after = ProcessFigures.residentBytes(ProcessFigures.current)
        invariant(registry.disks.count == count + 100, "every disk was added")
        Report.figure(name, Double(after - before) / Double(count), "bytes")
    }

    private static func wakeUps(_ count: Int) {
        let registry = DiskRegistry()
        add(registry, count) { NullDriver(capacity: 1 << 21) }
        let disks = registry.disks
        let sink = BenchSink()
        // Each has been used, and is still open.
        let openers = OpenerShelf(count: count) {
            do throws(DiskError) {
                let disk = disks[sink.answered % count]
                let opener = try disk.part0.open(.readWrite, as: OpenerIdentity(kind: "bench"), depth: 4, sink: sink)
                opener.submit(.flush, SectorRange(start: 0, count: 0), data: .none, token: 0)
                return opener
            } catch {
                invariantBroken(error.reason)
            }
        }
        let process = ProcessFigures.current
        let before = ProcessFigures.voluntarySwitches(process)
        Parker().wait(until: Instant.now + .seconds(2))
        // One is this thread's own sleep.
        let switches = ProcessFigures.voluntarySwitches(process) - before - 1
        openers.closeAll()
        Report.figure("idle.wakeups", Double(max(0, switches)) / 2, "per second")
    }

    private static func add(_ registry: DiskRegistry, _ count: Int, _ make: () -> any BlockDriver) {
        for index in 0..<count {
            var options = DiskOptions()
            options.scansPartitions = false
            // A name of its own: the search for a free number is not what is measured.
            options.name = "b\(index)x\(count)"
            do throws(DiskError) {
                _ = try registry.addBlocking(make(), options)
            } catch {
                invariantBroken(error.reason)
            }
        }
    }
}
