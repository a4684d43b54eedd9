// SPDX-License-Identifier: Apache-2.0

/// A Swift source, line by line, taken apart into code and comment.
///
/// The contents of string literals and of raw identifiers are left out of the code: what is in quotation marks is text
/// for people, and rules about code have nothing to say to it.
struct SwiftText: Sendable {
    let path: String
    /// The code of each line.
    let code: [String]
    /// The comments of each line.
    let comments: [String]

    init(_ file: TreeFile) {
        path = file.path
        var lexer = Lexer(Array(file.text.utf8))
        lexer.run()
        code = lexer.code.map { String(decoding: $0, as: UTF8.self) }
        comments = lexer.comments.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The words of a line of code.
    func words(_ line: Int) -> [Substring] {
        code[line].split { !($0.isLetter || $0.isNumber || $0 == "_") }
    }

    /// Whether a comment says `mark` on the line, in the `above` lines before it or in the `below` lines after it.
    func hasComment(_ mark: String, near line: Int, above: Int, below: Int) -> Bool {
        let range = max(0, line - above)...min(comments.count - 1, line + below)
        return comments[range].contains { $0.contains(mark) }
    }
}

/// Knows just enough of Swift to tell code from comments and strings.
private struct Lexer {
    let bytes: [UInt8]
    var position = 0
    var code: [[UInt8]] = [[]]
    var comments: [[UInt8]] = [[]]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func at(_ text: StaticString) -> Bool {
        guard position + text.utf8CodeUnitCount <= bytes.count else { return false }
        return text.withUTF8Buffer { buffer in
            (0..<buffer.count).allSatisfy { bytes[position + $0] == buffer[$0] }
        }
    }

    private mutating func newLine() {
        code.append([])
        comments.append([])
        position += 1
    }

    private mutating func keep() {
        code[code.count - 1].append(bytes[position])
        position += 1
    }

    private mutating func comment() {
        comments[comments.count - 1].append(bytes[position])
        position += 1
    }

    mutating func run() {
        while position < bytes.count { step() }
    }

    private mutating func step() {
        switch bytes[position] {
        case UInt8(ascii: "\n"): newLine()
        case UInt8(ascii: "/") where at("//"):
            while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { comment() }
        case UInt8(ascii: "/") where at("/*"): blockComment()
        case UInt8(ascii: "`"): rawIdentifier()
        case UInt8(ascii: "\""): string(hashes: 0)
        case UInt8(ascii: "#"):
            var hashes = 0
            while position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "#") { hashes += 1 }
            if position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "\"") {
                position += hashes
                string(hashes: hashes)
            } else {
                keep()
            }
        default: keep()
        }
    }

    private mutating func blockComment() {
        var depth = 0
        while position < bytes.count {
            if at("/*") {
                depth += 1
                comment()
                comment()
            } else if at("*/") {
                depth -= 1
                comment()
                comment()
                if depth == 0 { return }
            } else if bytes[position] == UInt8(ascii: "\n") {
                newLine()
            } else {
                comment()
            }
        }
    }

    private mutating func rawIdentifier() {
        keep()
        while position < bytes.count, bytes[position] != UInt8(ascii: "`"), bytes[position] != UInt8(ascii: "\n") {
            position += 1
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: "`") { keep() }
    }

    private func hashesFollow(_ count: Int, from start: Int) -> Bool {
        start + count <= bytes.count && (0..<count).allSatisfy { bytes[start + $0] == UInt8(ascii: "#") }
    }

    /// From the opening quotation mark to behind the closing one; code in interpolations stays code.
    private mutating func string(hashes: Int) {
        let isLong = at("\"\"\"")
        let quotes = isLong ? 3 : 1
        keep()
        position += quotes - 1
        while position < bytes.count {
            if isLong ? at("\"\"\"") : at("\""), hashesFollow(hashes, from: position + quotes) {
                keep()
                position += quotes - 1 + hashes
                return
            }
            switch bytes[position] {
            case UInt8(ascii: "\\") where hashesFollow(hashes, from: position + 1):
                position += 1 + hashes
                guard position < bytes.count else { return }
                if bytes[position] == UInt8(ascii: "(") {
                    interpolation()
                } else if bytes[position] != UInt8(ascii: "\n") {
                    position += 1
                }
            case UInt8(ascii: "\n"):
                newLine()
                if !isLong { return }
            default: position += 1
            }
        }
    }

    private mutating func interpolation() {
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"): depth -= 1
            default: break
            }
            step()
            if depth == 0 { return }
        }
    }
}
