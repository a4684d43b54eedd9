// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Host {
    /// Who keeps what is mounted at a directory busy: `bash[277]` for a process that stands in it or has a file open
    /// there, `/dev/loop0` for a loop device on one.
    ///
    /// Of other users' processes root alone learns. Whoever came or went while it looked may be missing or too many.
    /// - Parameter directory: without links in it.
    public static func users(below directory: String) -> [String] {
        func isBelow(_ path: String?) -> Bool { path.map { $0 == directory || $0.hasPrefix(directory + "/") } ?? false }

        var users: [String] = []
        let processes = HostFile.names(in: "/proc").compactMap { Int32($0) }.sorted()
        for process in processes {
            let place = "/proc/\(process)"
            let descriptors = HostFile.names(in: place + "/fd").map { "fd/" + $0 }
            guard
                (["cwd", "root", "exe"] + descriptors).contains(where: { isBelow(HostFile.target(place + "/" + $0)) })
            else { continue }
            users.append("\(programName(of: process) ?? "process")[\(process)]")
        }
        for device in HostFile.names(in: "/sys/block").filter({ $0.hasPrefix("loop") }).sorted() {
            let file = try? HostFile.readText("/sys/block/\(device)/loop/backing_file", limit: 4096)
            if isBelow(file?.split(separator: "\n").first.map(String.init)) { users.append("/dev/" + device) }
        }
        return users
    }
}

extension HostFile {
    /// What is in a directory, in no order; nothing where it cannot be read.
    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Where a symbolic link leads; nil: it is none, or may not be read.
    static func target(_ link: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let count = readlink(link, start, buffer.count)
            guard count >= 0 else { return nil }
            return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}
