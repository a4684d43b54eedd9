// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the kernel counts of a process; for measurements. Everything is 0 or nil for a process that is gone.
package enum ProcessFigures {
    /// This process.
    package static var current: Int32 { getpid() }

    /// Ends this process with status 1.
    package static func fail() -> Never { exit(1) }

    /// Nanoseconds of processor time, of the program and of the kernel for it, over all threads that live.
    ///
    /// From the scheduler's own clock where the kernel has it: ticks are too coarse for a short run.
    package static func processorNanoseconds(_ process: Int32) -> UInt64 {
        var total: UInt64 = 0
        for task in names(in: "/proc/\(process)/task") {
            guard let text = read("/proc/\(process)/task/\(task)/schedstat"),
                let first = text.split(separator: " ").first, let spent = UInt64(first)
            else { return processorTicks(process) * 10_000_000 }
            total += spent
        }
        return total
    }

    /// Hundredths of a second of processor time.
    package static func processorTicks(_ process: Int32) -> UInt64 {
        // The name in parentheses may hold anything; the numbers begin behind the last one.
        guard let text = read("/proc/\(process)/stat"), let name = text.lastIndex(of: ")") else { return 0 }
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else { return 0 }
        return user + system
    }

    /// Bytes of the process that are in the machine's memory.
    package static func residentBytes(_ process: Int32) -> Int {
        guard let text = read("/proc/\(process)/statm") else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }

    /// How often its threads went to sleep by themselves, over all threads that live.
    package static func voluntarySwitches(_ process: Int32) -> Int {
        names(in: "/proc/\(process)/task").reduce(0) { sum, task in
            let text = read("/proc/\(process)/task/\(task)/status") ?? ""
            let line = text.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") }
            return sum + (line?.split(separator: "\t").last.flatMap { Int($0) } ?? 0)
        }
    }

    /// The text of a small file.
    package static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 1) { buffer in
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
        }
    }

    private static func names(in directory: String) -> [String] {
        HostFile.names(in: directory).filter { $0.first?.isNumber == true }
    }
}
