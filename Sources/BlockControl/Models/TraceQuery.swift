// SPDX-License-Identifier: Apache-2.0

internal import BlockCore

/// What a trace is to have, as words, as they stand on the command line and in a query.
public struct TraceQuery: Sendable {
    /// Categories of records, separated by commas.
    public var categories: String?
    /// The first sector of the device.
    public var first: String?
    /// The last sector of the device.
    public var last: String?
    /// The process whose I/O is wanted.
    public var process: String?
    /// The size of the buffer in bytes.
    public var buffer: String?

    /// No options.
    public init() {}

    /// What a query says, by its keys.
    public init(_ value: (String) -> String?) {
        categories = value("actions")
        first = value("start")
        last = value("end")
        process = value("pid")
        buffer = value("buffer")
    }

    /// The query that says the same.
    public var parameters: [(String, String)] {
        [("actions", categories), ("start", first), ("end", last), ("pid", process), ("buffer", buffer)]
            .compactMap { key, value in value.map { (key, $0) } }
    }

    /// What the words mean for a device: a partition's trace has the I/O that begins in the partition.
    /// - Throws: ``Problem`` of the kind `usage` with what there is.
    func filter(for device: BlockDevice) throws(Problem) -> TraceFilter {
        var filter = TraceFilter()
        if let categories {
            filter.categories = []
            for word in categories.split(separator: ",") {
                guard let category = TraceCategories(name: String(word)) else {
                    let all = TraceCategories.names.map(\.name).joined(separator: ", ")
                    throw Problem(.usage, "there is no action '\(word)' to trace; there are \(all)", errno: "EINVAL")
                }
                filter.categories.insert(category)
            }
        }
        filter.process = try TraceQuery.number(process, "pid", upTo: UInt64(Int32.max)).map { Int32($0) }
        let first = try TraceQuery.number(first, "start", upTo: .max)
        let last = try TraceQuery.number(last, "end", upTo: .max)
        guard first != nil || last != nil || device.partitionNumber > 0 else { return filter }
        // Looked at once: a disk that is pulled meanwhile has none.
        let size = device.size
        let end = size > 0 ? size - 1 : 0
        let range = (first ?? 0, min(last ?? end, end))
        guard range.0 <= range.1 else {
            throw Problem(
                .usage, "there is no sector from \(range.0) to \(range.1) on \(device.name), which has \(size)",
                errno: "EINVAL")
        }
        filter.sectors = device.start + range.0...device.start + range.1
        return filter
    }

    /// The size of the buffer.
    func capacity() throws(Problem) -> Int {
        try Int(TraceQuery.number(buffer, "buffer", upTo: 1 << 30) ?? 8 << 20)
    }

    private static func number(_ text: String?, _ key: String, upTo limit: UInt64) throws(Problem) -> UInt64? {
        guard let text else { return nil }
        guard let number = UInt64(text), number <= limit else {
            throw Problem(.usage, "'\(text)' is no number for '\(key)', or too large", errno: "EINVAL")
        }
        return number
    }
}

/// Counts what is in a trace as its bytes come by, however they are cut.
public struct TraceTally: Sendable {
    /// Records of I/O.
    public private(set) var records: UInt64 = 0
    /// Records that the trace says are missing.
    public private(set) var lost: UInt64 = 0
    /// Bytes.
    public private(set) var bytes: UInt64 = 0
    private var rest: [UInt8] = []

    /// Of an empty trace.
    public init() {}

    /// The next bytes. False: they are no trace.
    public mutating func feed(_ more: [UInt8]) -> Bool {
        bytes += UInt64(more.count)
        rest += more
        var at = 0
        while rest.count - at >= 48 {
            guard rest[at + 1..<at + 4].elementsEqual([0x74, 0x61, 0x65]) else { return false }
            let length = Int(rest[at + 46]) | Int(rest[at + 47]) << 8
            guard rest.count - at >= 48 + length else { break }
            if rest[at + 31] & 4 == 0 {
                records += 1
            } else if rest[at + 28] == 2 {
                let words = String(decoding: rest[at + 48..<at + 48 + length], as: UTF8.self).split(separator: " ")
                if words.first == "platter:", words.count > 1 { lost += UInt64(words[1]) ?? 0 }
            }
            at += 48 + length
        }
        rest.removeFirst(at)
        return true
    }
}

/// What a trace came to.
public struct TraceModel: Codable, Sendable, Equatable {
    /// Records of I/O.
    public var records: UInt64
    /// Records that found the daemon's buffer full.
    public var lost: UInt64
    /// Of the file.
    public var bytes: UInt64
    /// The file.
    public var file: String?

    /// From a tally and the file's path.
    public init(_ tally: TraceTally, _ file: String?) {
        records = tally.records
        lost = tally.lost
        bytes = tally.bytes
        self.file = file
    }
}

/// What an end of a trace found.
public struct StoppedTrace: Codable, Sendable, Equatable {
    /// The disk.
    public var device: String
    /// Whether one ran.
    public var wasTraced: Bool

    /// From both.
    public init(device: String, wasTraced: Bool) {
        self.device = device
        self.wasTraced = wasTraced
    }

    enum CodingKeys: String, CodingKey {
        case device
        case wasTraced = "was_traced"
    }
}
