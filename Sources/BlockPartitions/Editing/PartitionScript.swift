// SPDX-License-Identifier: Apache-2.0

/// A script of sfdisk's: what `sfdisk --dump` prints and sfdisk reads.
///
/// ```
/// label: gpt
/// first-lba: 2048
///
/// disk.img1 : start=2048, size=20480, type=linux, name="root", attrs="LegacyBIOSBootable GUID:60"
/// 5 : size=10M
/// ,+,swap
/// ```
struct PartitionScript {
    /// One line: a partition.
    struct Line: Equatable {
        /// A number of blocks, or of bytes where it has a unit.
        enum Length: Equatable {
            case blocks(UInt64)
            case bytes(UInt64)
        }
        /// Its line in the script, from 1.
        var row = 0
        var number: Int?
        var start: Length?
        var size: Length?
        var type: String?
        var uuid: String?
        var name: String?
        var attributes: UInt64 = 0
        var isBootable = false
    }

    private(set) var label: PartitionLabel?
    private(set) var identity: String?
    private var device = ""
    private(set) var firstBlock: UInt64?
    private(set) var lastBlock: UInt64?
    private(set) var entryCount: Int?
    private(set) var sectorSize: Int?
    private(set) var grain: UInt64?
    private(set) var lines: [Line] = []

    init(_ text: String) throws(TableEditError) {
        var row = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            row += 1
            let line = Self.trimmed(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            do throws(TableEditError) {
                if try !takeHeader(line) {
                    lines.append(try self.line(line))
                    lines[lines.count - 1].row = row
                }
            } catch {
                throw TableEditError("line \(row) of the script: \(error.reason)")
            }
        }
    }

    private static func trimmed(_ text: some StringProtocol) -> Substring {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }

    // MARK: Headers

    /// `word: value`; a colon with a space before it belongs to a partition.
    private mutating func takeHeader(_ line: Substring) throws(TableEditError) -> Bool {
        guard let colon = line.firstIndex(of: ":") else { return false }
        let word = line[..<colon]
        guard !word.isEmpty, word.allSatisfy({ $0.isLetter || $0 == "-" }) else { return false }
        let value = String(Self.trimmed(line[line.index(after: colon)...]))
        switch word {
        case "label":
            guard let known = PartitionLabel(rawValue: value == "mbr" ? "dos" : value) else {
                throw TableEditError("a table of the kind '\(value)' is not written; gpt and dos are")
            }
            label = known
        case "label-id": identity = value
        case "device": device = value
        case "unit":
            guard value == "sectors" else { throw TableEditError("the unit is 'sectors', not '\(value)'") }
        case "first-lba": firstBlock = try Self.number(value, word)
        case "last-lba": lastBlock = try Self.number(value, word)
        case "table-length": entryCount = Int(clamping: try Self.number(value, word))
        case "sector-size": sectorSize = Int(clamping: try Self.number(value, word))
        case "grain":
            switch try Self.length(value, word) {
            case .blocks(let bytes), .bytes(let bytes): grain = bytes
            }
        default: throw TableEditError("there is no header '\(word)'")
        }
        return true
    }

    private static func number(
        _ text: some StringProtocol, _ field: some StringProtocol
    ) throws(TableEditError) -> UInt64 {
        guard let number = UInt64(text) else { throw TableEditError("\(field): '\(text)' is no number") }
        return number
    }

    /// `2048`, `10M`, `10MiB`, `1.5G` is not one.
    fileprivate static func length(
        _ text: some StringProtocol, _ field: some StringProtocol
    ) throws(TableEditError) -> Line.Length {
        let noLength = TableEditError(
            "\(field): '\(text)' is no size: a number of sectors, or one with K, M, G, T or P")
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { throw noLength }
        var unit = text.dropFirst(digits.count).uppercased()
        if unit.isEmpty || unit == "S" { return .blocks(number) }
        if unit.hasSuffix("IB") { unit.removeLast(2) }
        let shift = ["K", "M", "G", "T", "P"].firstIndex(of: unit).map { UInt64($0 + 1) * 10 }
        guard let shift, number <= UInt64(Int64.max) >> shift else { throw noLength }
        return .bytes(number << shift)
    }

    // MARK: Partitions

    private func line(_ text: Substring) throws(TableEditError) -> Line {
        var line = Line()
        var rest = text
        if let colon = Self.colon(in: text) {
            line.number = try number(ofNode: Self.trimmed(text[..<colon]))
            rest = Self.trimmed(text[text.index(after: colon)...])
        }
        let fields = try Self.fields(rest)
        var unnamed = 0
        for field in fields {
            if let equals = field.firstIndex(of: "="), Self.isKey(field[..<equals]) {
                let value = String(Self.trimmed(field[field.index(after: equals)...]))
                try line.take(String(Self.trimmed(field[..<equals])), Self.unquoted(value))
            } else if field == "bootable" {
                line.isBootable = true
            } else {
                try line.takeUnnamed(unnamed, field)
                unnamed += 1
            }
        }
        return line
    }

    /// The colon behind a node's name; not one inside quotes or a value.
    private static func colon(in text: Substring) -> Substring.Index? {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let before = text[..<colon]
        return before.contains("=") && !before.contains("/") || before.contains("\"") || before.contains(",")
            ? nil : colon
    }

    private static func isKey(_ text: Substring) -> Bool {
        !text.isEmpty && trimmed(text).allSatisfy { $0.isLetter }
    }

    /// The number at the end of a node's name; what the device is called is taken off first.
    private func number(ofNode node: Substring) throws(TableEditError) -> Int {
        var rest = node
        if !device.isEmpty, node.hasPrefix(device) {
            rest = node.dropFirst(device.count)
            if rest.first == "p" { rest.removeFirst() }
        } else {
            let digits = node.reversed().prefix { $0.isASCII && $0.isNumber }.count
            rest = node.suffix(digits)
        }
        guard let number = Int(rest), number > 0 else { throw TableEditError("'\(node)' names no partition") }
        return number
    }

    /// The fields, which commas, semicolons or spaces separate; not those in quotes, nor the spaces around `=`.
    private static func fields(_ text: Substring) throws(TableEditError) -> [Substring] {
        var fields: [Substring] = []
        var current = text.startIndex
        var isQuoted = false
        var index = text.startIndex
        while index < text.endIndex {
            switch text[index] {
            case "\"": isQuoted.toggle()
            case ",", ";":
                guard !isQuoted else { break }
                fields.append(trimmed(text[current..<index]))
                current = text.index(after: index)
            case let letter where letter.isWhitespace && !isQuoted:
                // A space ends a field, unless it stands beside a separator or an equals sign.
                let before = trimmed(text[current..<index])
                let after = trimmed(text[index...]).first
                guard !before.isEmpty, before.last != "=", let after, !["=", ",", ";"].contains(after) else { break }
                fields.append(before)
                current = text.index(after: index)
            default: break
            }
            index = text.index(after: index)
        }
        guard !isQuoted else { throw TableEditError("a quote has no end") }
        let last = trimmed(text[current...])
        if !last.isEmpty { fields.append(last) }
        return fields
    }

    /// Without its quotes, and `\xHH` for the byte that it stands for.
    private static func unquoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        let given = Array(text.utf8)
        var index = 0
        while index < given.count {
            if given[index] == UInt8(ascii: "\\"), index + 3 < given.count, given[index + 1] == UInt8(ascii: "x"),
                let byte = UInt8(String(decoding: given[index + 2...index + 3], as: UTF8.self), radix: 16)
            {
                bytes.append(byte)
                index += 4
            } else {
                if given[index] != UInt8(ascii: "\"") { bytes.append(given[index]) }
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension PartitionScript.Line {
    fileprivate mutating func take(_ key: String, _ value: String) throws(TableEditError) {
        switch key {
        case "start": try takeUnnamed(0, value[...])
        case "size": try takeUnnamed(1, value[...])
        case "type", "Id": type = value
        case "uuid": uuid = value
        case "name": name = value
        case "attrs": try takeAttributes(value)
        case "bootable": isBootable = true
        default: throw TableEditError("there is no field '\(key)'")
        }
    }

    /// Start, size, type and the boot flag, by their place; an empty one, a `-` or a `+` stands for what is chosen.
    fileprivate mutating func takeUnnamed(_ place: Int, _ value: Substring) throws(TableEditError) {
        if value.isEmpty || place < 3 && value == "-" || place < 2 && value == "+" { return }
        switch place {
        case 0: start = try PartitionScript.length(value, "start")
        case 1: size = try PartitionScript.length(value, "size")
        case 2: type = String(value)
        case 3:
            guard value == "*" || value == "-" else { throw TableEditError("the fourth field is '*' or '-'") }
            isBootable = value == "*"
        default: throw TableEditError("'\(value)' is one field too many")
        }
    }

    /// Words, and numbers of bits: `RequiredPartition GUID:48,60`.
    private mutating func takeAttributes(_ text: String) throws(TableEditError) {
        for word in text.split(whereSeparator: { $0 == " " || $0 == "," }) {
            let bit: Int?
            switch word {
            case "RequiredPartition", "Required": bit = 0
            case "NoBlockIOProtocol": bit = 1
            case "LegacyBIOSBootable": bit = 2
            default: bit = Int(word.hasPrefix("GUID:") ? word.dropFirst(5) : word)
            }
            guard let bit, (0...2).contains(bit) || (48...63).contains(bit) else {
                throw TableEditError("attrs: '\(word)' is no attribute")
            }
            attributes |= 1 << UInt64(bit)
        }
    }
}
