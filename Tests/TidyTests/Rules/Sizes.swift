// SPDX-License-Identifier: Apache-2.0

/// A file has at most 500 lines and a function at most 60. Exceptions are listed, and may only shrink.
enum Sizes {
    static let fileLimit = 500
    static let functionLimit = 60
    static let exceptionsPath = "Tests/TidyTests/exceptions.txt"

    /// A thing that is longer than it should be.
    private struct Excess {
        let path: String
        let line: Int
        let count: Int
    }

    static func check(_ tree: Tree) -> [Finding] {
        var excesses: [String: Excess] = [:]
        for source in tree.sources {
            // The last line ends in a newline, behind which there is no further line.
            let count = source.code.count - (source.code.last?.isEmpty == true ? 1 : 0)
            if count > fileLimit { excesses["file \(source.path)"] = Excess(path: source.path, line: 1, count: count) }
            for function in functions(of: source) where function.count > functionLimit {
                excesses["function \(source.path) \(function.name)"] = Excess(
                    path: source.path, line: function.line + 1, count: function.count)
            }
        }
        var findings: [Finding] = []
        var listed = Exceptions(tree).sizes
        for (key, excess) in excesses.sorted(by: { $0.key < $1.key }) {
            let limit = key.hasPrefix("file ") ? fileLimit : functionLimit
            switch listed.removeValue(forKey: key) {
            case nil:
                findings.append(
                    Finding(excess.path, excess.line, "\(key) has \(excess.count) lines; \(limit) is the limit"))
            case let count? where excess.count > count:
                findings.append(
                    Finding(excess.path, excess.line, "\(key) has grown from \(count) to \(excess.count) lines"))
            case let count? where excess.count < count:
                findings.append(
                    Finding(exceptionsPath, 0, "\(key) has shrunk: say \(excess.count) instead of \(count)"))
            default: break
            }
        }
        for key in listed.keys.sorted() {
            findings.append(Finding(exceptionsPath, 0, "\(key) needs no exception any more: take it out"))
        }
        return findings
    }

    /// Name, first line and number of lines of each function with a body.
    static func functions(of source: SwiftText) -> [(name: String, line: Int, count: Int)] {
        var result: [(String, Int, Int)] = []
        for line in source.code.indices {
            guard let name = declaration(on: line, of: source), let end = bodyEnd(from: line, in: source) else {
                continue
            }
            result.append((name, line, end - line + 1))
        }
        return result
    }

    private static func declaration(on line: Int, of source: SwiftText) -> String? {
        let code = source.code[line]
        guard code.contains("func ") || code.contains("init") else { return nil }
        let words = source.words(line)
        if let place = words.firstIndex(of: "func"), place + 1 < words.count { return String(words[place + 1]) }
        if code.contains("func `") { return "`…`" }
        let start = code.trimmingPrefix { $0 == " " }
        let modifiers: Set<Substring> = [
            "public", "package", "internal", "private", "fileprivate", "convenience", "required", "override",
            "nonisolated",
        ]
        var rest = start
        while let space = rest.firstIndex(of: " "), modifiers.contains(rest[..<space]) {
            rest = rest[rest.index(after: space)...]
        }
        for opening in ["init(", "init?(", "init<", "init?<"] where rest.hasPrefix(opening) { return "init" }
        return nil
    }

    /// The line of the brace that closes the body; nil if there is no body.
    private static func bodyEnd(from start: Int, in source: SwiftText) -> Int? {
        var (parentheses, braces, hasBody) = (0, 0, false)
        for line in start..<source.code.count {
            for character in source.code[line] {
                switch character {
                case "(", "[": parentheses += 1
                case ")", "]": parentheses -= 1
                case "{":
                    braces += 1
                    if parentheses == 0 { hasBody = true }
                case "}":
                    braces -= 1
                    if braces < 0 { return nil }
                    if hasBody, braces == 0, parentheses == 0 { return line }
                default: break
                }
            }
            guard !hasBody, parentheses == 0, line + 1 < source.code.count else { continue }
            let next = source.code[line + 1].trimmingPrefix { $0 == " " }
            if !["{", "where ", "->", "throws", "async", ")"].contains(where: { next.hasPrefix($0) }) { return nil }
        }
        return nil
    }
}

/// `exceptions.txt`: what breaks a rule for now.
struct Exceptions {
    /// `file PATH` or `function PATH NAME`, and how many lines it may have.
    private(set) var sizes: [String: Int] = [:]
    /// Promises that no test cites yet.
    private(set) var uncited: Set<String> = []

    init(_ tree: Tree) {
        let lines = tree.files.first { $0.path == Sizes.exceptionsPath }?.lines ?? []
        for line in lines where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            if words.first == "uncited", words.count > 1 {
                uncited.insert(String(words[1]))
            } else if words.count > 2, let count = Int(words[words.count - 1]) {
                sizes[words.dropLast().joined(separator: " ")] = count
            }
        }
    }
}
