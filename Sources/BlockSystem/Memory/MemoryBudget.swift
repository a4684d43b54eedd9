// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// Says whether memory may still grow, before the machine says it by killing the process.
///
/// Memory is granted in portions; only when one is used up does somebody look at the machine and its control group.
/// It does not reserve anything: other processes may be quicker.
public final class MemoryBudget: Sendable {
    /// What this process may use of the machine: all that is available but a reserve, which everything else lives on.
    public static let machine = MemoryBudget(portion: 64 << 20) { MachineMemory.available() }

    private let portion: Int
    private let available: @Sendable () -> Int
    /// Bytes that may be taken without looking; below zero only for moments.
    private let granted = Atomic<Int>(0)
    private let looking = Lock(0)

    /// A budget that asks `available` for the bytes left whenever a portion is used up.
    public init(portion: Int, available: @escaping @Sendable () -> Int) {
        self.portion = portion
        self.available = available
    }

    /// A budget of so many bytes.
    public convenience init(bytes: Int) {
        let left = Counter()
        left.add(bytes)
        self.init(portion: 1 << 20) {
            // Only one thread looks at a time.
            let portion = min(left.value, 1 << 20)
            left.add(-portion)
            return portion
        }
    }

    /// Takes `bytes`; false if there are not so many.
    public func take(_ bytes: Int) -> Bool {
        if granted.wrappingSubtract(bytes, ordering: .relaxed).newValue >= 0 { return true }
        granted.wrappingAdd(bytes, ordering: .relaxed)
        return looking.withLock { _ in
            // Somebody else may have looked meanwhile.
            if granted.load(ordering: .relaxed) < bytes {
                let more = min(available(), max(portion, bytes))
                guard more > 0 else { return false }
                granted.wrappingAdd(more, ordering: .relaxed)
            }
            if granted.wrappingSubtract(bytes, ordering: .relaxed).newValue >= 0 { return true }
            granted.wrappingAdd(bytes, ordering: .relaxed)
            return false
        }
    }

    /// Gives back what was taken.
    public func giveBack(_ bytes: Int) { granted.wrappingAdd(bytes, ordering: .relaxed) }
}

/// How much memory the machine and this process's control groups have left.
enum MachineMemory {
    /// Bytes that may be used: what is available, but for a 64th of the machine (at least 32 MiB) that stays free.
    /// A machine that does not tell has no limit here.
    static func available() -> Int {
        guard let text = readSmallFile("/proc/meminfo"), let total = field("MemTotal:", of: text),
            let free = field("MemAvailable:", of: text)
        else { return .max }
        let reserve = max(total * 1024 / 64, 32 << 20)
        return max(0, min(free * 1024, groupsLeave(wanting: reserve)) - reserve)
    }

    /// The least that a control group from ours up to the root leaves, page cache counted as free.
    private static func groupsLeave(wanting: Int) -> Int {
        var least = Int.max
        for group in groups {
            guard let limit = readSmallFile("\(group)/memory.max").flatMap(number),
                let used = readSmallFile("\(group)/memory.current").flatMap(number)
            else { continue }
            var left = limit - used
            // Only a group that looks full is asked how much of it is cache: that file is slow to read.
            if left < wanting + (128 << 20), let statistics = readSmallFile("\(group)/memory.stat") {
                left += field("inactive_file", of: statistics) ?? 0
                left += field("active_file", of: statistics) ?? 0
            }
            least = min(least, left)
        }
        return least
    }

    /// The folders of the control groups (version 2) that this process was in when somebody first asked.
    private static let groups: [String] = {
        guard let lines = readSmallFile("/proc/self/cgroup"),
            var path = lines.split(separator: "\n").first(where: { $0.hasPrefix("0::") })?.dropFirst(3)
        else { return [] }
        var folders: [String] = []
        while !path.isEmpty, path != "/" {
            folders.append("/sys/fs/cgroup\(path)")
            path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        }
        return folders + ["/sys/fs/cgroup"]
    }()

    /// The first number after `name` at the start of a line.
    static func field(_ name: String, of text: String) -> Int? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            return line.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
        }
        return nil
    }

    private static func number(_ text: String) -> Int? { Int(text.prefix { $0 != "\n" }) }

    private static func readSmallFile(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
