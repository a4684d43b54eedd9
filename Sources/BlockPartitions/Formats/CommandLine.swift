// SPDX-License-Identifier: Apache-2.0

/// `blkdevparts=<disk>:<part>[,<part>…][;<disk>:…]`, a part being `<size>[@<offset>][(<name>)][ro][lk]`, in bytes.
struct BootPartitions {
    struct Part: Equatable {
        /// Nil: the rest of the disk.
        var size: UInt64?
        /// Nil: after the one before.
        var offset: UInt64?
        var name: String?
        var isReadOnly = false
    }

    struct Fault: Error {
        let reason: String
    }

    private(set) var disks: [(name: String, parts: [Part])] = []

    /// Linux refuses smaller partitions: its page size.
    private static let leastSize: UInt64 = 4096

    /// Reads the parameter. One mistake refuses all of it.
    init(_ text: String) throws(Fault) {
        let text = text.utf8.starts(with: "blkdevparts=".utf8) ? text.utf8.dropFirst(12) : text.utf8[...]
        for definition in text.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false) {
            guard let colon = definition.firstIndex(of: UInt8(ascii: ":")) else {
                throw Fault(reason: "a disk without a colon")
            }
            var parts: [Part] = []
            for part in definition[definition.index(after: colon)...]
                .split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            {
                parts.append(try Self.part(Array(part)))
            }
            disks.append((String(decoding: definition[..<colon].prefix(31), as: UTF8.self), parts))
        }
    }

    /// What stands in `text`; what is not understood at its end is ignored.
    private static func part(_ text: [UInt8]) throws(Fault) -> Part {
        var rest = text[...]
        var part = Part()
        if rest.first == UInt8(ascii: "-") {
            rest.removeFirst()
        } else {
            let size = number(&rest)
            guard size >= leastSize else {
                throw Fault(reason: "a partition of \(size) bytes, \(leastSize) are needed")
            }
            part.size = size
        }
        if rest.first == UInt8(ascii: "@") {
            rest.removeFirst()
            let offset = number(&rest)
            part.offset = offset == .max ? nil : offset
        }
        if rest.first == UInt8(ascii: "(") {
            guard let end = rest.firstIndex(of: UInt8(ascii: ")")) else {
                throw Fault(reason: "a name without its ')'")
            }
            let name = rest[rest.index(after: rest.startIndex)..<end].prefix(31)
            part.name = name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
            rest = rest[rest.index(after: end)...]
        }
        part.isReadOnly = rest.starts(with: "ro".utf8)
        return part
    }

    /// A number as C writes it, with a suffix of K to E; 0 where there is none. Wraps as Linux' does.
    private static func number(_ rest: inout ArraySlice<UInt8>) -> UInt64 {
        var base: UInt64 = 10
        if rest.first == UInt8(ascii: "0") {
            base = 8
            if let second = rest.dropFirst().first, second | 0x20 == UInt8(ascii: "x"),
                let third = rest.dropFirst(2).first, digit(third) < 16
            {
                base = 16
                rest.removeFirst(2)
            }
        }
        var value: UInt64 = 0
        while let next = rest.first, digit(next) < base {
            value = value &* base &+ digit(next)
            rest.removeFirst()
        }
        if let suffix = rest.first, let power = Array("kmgtpe".utf8).firstIndex(of: suffix | 0x20) {
            rest.removeFirst()
            value <<= 10 * UInt64(power + 1)
        }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt64 {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x41...0x46, 0x61...0x66: UInt64((byte | 0x20) - 0x57)
        default: 99
        }
    }
}

extension PartitionScanner {
    /// The partitions that the kernel's command line gives the disk.
    mutating func parseCommandLine() -> Verdict {
        guard let text = options.commandLine else { return .notMine("no command line is given") }
        let boot: BootPartitions
        do {
            boot = try BootPartitions(text)
        } catch {
            return .malformed("the command line is refused: \(error.reason)")
        }
        let disk = boot.disks.first { options.commandLineDisk == nil || $0.name == options.commandLineDisk }
        guard let disk else { return .notMine("the command line does not name the disk") }
        var table = ParsedTable(.cmdline, id: disk.name, policy: policy)
        // In Linux 2^64 wraps as well; no disk is that large.
        let end = reader.capacity.multipliedReportingOverflow(by: 512)
        let limit = end.overflow ? UInt64.max : end.partialValue
        var position: UInt64 = 0
        for (index, part) in disk.parts.enumerated() {
            position = part.offset ?? position
            guard position < limit else { break }
            let size = min(part.size ?? .max, limit - position)
            var entry = PartitionEntry(number: index + 1, start: position >> 9, size: size >> 9, name: part.name)
            entry.isReadOnly = part.isReadOnly
            table.enter(entry)
            position += size
        }
        return .claimed(table)
    }
}
