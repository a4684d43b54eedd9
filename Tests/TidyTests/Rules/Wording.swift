// SPDX-License-Identifier: Apache-2.0

/// Constructs and words that do not land.
enum Wording {
    /// Ways out that a release must not have.
    static func constructs(_ tree: Tree) -> [Finding] {
        var findings: [Finding] = []
        for source in tree.sources {
            for (line, code) in source.code.enumerated() {
                for banned in ["try!", "as!"] where has(code, banned) {
                    findings.append(Finding(source.path, line + 1, "\(banned) ends the process instead of answering"))
                }
                if isLibrary(source.path), has(code, "print(") {
                    findings.append(Finding(source.path, line + 1, "a library does not print"))
                }
            }
        }
        return findings
    }

    /// Unfinished work is an issue, not a comment.
    static func marks(_ tree: Tree) -> [Finding] {
        let banned = ["FIX" + "ME", "TO" + "DO", "XX" + "X:"]
        return tree.files.filter { $0.isSwift || $0.isShell || ["c", "h"].contains($0.suffix) }.flatMap { file in
            file.lines.enumerated().compactMap { line, text in
                banned.first { text.contains($0) }.map { Finding(file.path, line + 1, "\($0) does not land") }
            }
        }
    }

    /// A test waits for what it waits for.
    static func sleeps(_ tree: Tree) -> [Finding] {
        var findings: [Finding] = []
        for source in tree.sources where source.path.hasPrefix("Tests/") {
            for (line, code) in source.code.enumerated() where code.contains("sleep(") {
                findings.append(
                    Finding(source.path, line + 1, "a test that sleeps is slow, and wrong on a slow machine"))
            }
        }
        // In shell the one loop that polls is in lib.sh.
        for file in tree.files where file.isIn("Tests") && file.isShell && file.name != "lib.sh" {
            for (line, text) in file.lines.enumerated() {
                let words = text.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
                let command = text.trimmingPrefix { $0 == " " }
                if words.contains("sleep"), !command.hasPrefix("#") {
                    findings.append(Finding(file.path, line + 1, "use wait_for: nothing sleeps to wait for something"))
                }
            }
        }
        return findings
    }

    /// One word for one thing: what the glossary does not use.
    static func glossary(_ tree: Tree) -> [Finding] {
        let banned = ["zombie", "slave", "master", "quiesce"]
        let exempt = ["masterboot"]
        return tree.sources.filter { !$0.path.hasPrefix("Tests/TidyTests/") }.flatMap { source in
            source.code.enumerated().compactMap { line, code -> Finding? in
                let text = code.lowercased()
                guard let word = banned.first(where: { text.contains($0) }) else { return nil }
                if exempt.contains(where: { text.contains($0) }) { return nil }
                return Finding(source.path, line + 1, "'\(word)' is not a word of this project")
            }
        }
    }

    private static func isLibrary(_ path: String) -> Bool {
        path.hasPrefix("Sources/") && !path.hasPrefix("Sources/platter/")
    }

    /// Whether `code` has `text` where a word starts.
    private static func has(_ code: String, _ text: String) -> Bool {
        var rest = code[...]
        while let range = rest.firstRange(of: text) {
            let before = range.lowerBound > code.startIndex ? code[code.index(before: range.lowerBound)] : " "
            if !(before.isLetter || before.isNumber || before == "_" || before == ".") { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }
}
