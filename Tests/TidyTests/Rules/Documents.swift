// SPDX-License-Identifier: Apache-2.0

/// Documents have one title, and links that lead somewhere.
enum Documents {
    static func titles(_ tree: Tree) -> [Finding] {
        tree.files.filter(\.isDocument).compactMap { file in
            let count = prose(of: file).count { $0.text.hasPrefix("# ") }
            return count == 1 ? nil : Finding(file.path, 1, "\(count) titles of the first level instead of one")
        }
    }

    static func links(_ tree: Tree) -> [Finding] {
        var findings: [Finding] = []
        for file in tree.files where file.isDocument {
            for (line, text) in prose(of: file) {
                for target in targets(in: text) where !isOutside(target) {
                    let (path, anchor) = parts(of: target, seenFrom: file.path)
                    if !tree.paths.contains(path) {
                        findings.append(Finding(file.path, line, "the link to \(target) leads nowhere"))
                    } else if let anchor, let document = tree.files.first(where: { $0.path == path }),
                        document.isDocument, !anchors(of: document).contains(anchor)
                    {
                        findings.append(Finding(file.path, line, "there is no heading \(target)"))
                    }
                }
            }
        }
        return findings
    }

    /// Swift in the README is Swift that compiles: each line of it stands in an example.
    static func quotations(_ tree: Tree) -> [Finding] {
        let examples = Set(tree.files.filter { $0.isSwift && $0.isIn("Examples") }.flatMap(\.lines))
        var isSwift = false
        return (tree.files.first { $0.path == "README.md" }?.lines ?? []).enumerated().compactMap { index, text in
            if text.hasPrefix("```") {
                isSwift = text == "```swift"
                return nil
            }
            guard isSwift, !examples.contains(text) else { return nil }
            return Finding("README.md", index + 1, "no example has this line: \(text)")
        }
    }

    /// A race of TESTING.md is forced by tests that are there: what its row says stands in their names, or says why there is
    /// none.
    static func races(_ tree: Tree) -> [Finding] {
        guard let table = tree.files.first(where: { $0.path == "TESTING.md" }) else { return [] }
        let tests = tree.files.filter { $0.isSwift && $0.isIn("Tests") }.map(\.text).joined()
        var findings: [Finding] = []
        var seen: Set<Substring> = []
        for (line, text) in prose(of: table) where text.hasPrefix("| T") {
            let cells = text.split(separator: " | ")
            guard cells.count == 3 else {
                findings.append(Finding(table.path, line, "a race has a number, what happens, and its tests"))
                continue
            }
            if !seen.insert(cells[0]).inserted {
                findings.append(Finding(table.path, line, "\(cells[0].dropFirst(2)) has a row already"))
            }
            for name in cells[2].dropLast(2).split(separator: "; ") {
                let name = withoutRemarks(name)
                if name.hasPrefix("there is no ") || name.hasPrefix("nothing ") || name.hasPrefix("the suite ") {
                    continue
                }
                if !tests.contains(name) {
                    findings.append(Finding(table.path, line, "no test's name has the words '\(name)'"))
                }
            }
        }
        return findings
    }

    private static func withoutRemarks(_ name: Substring) -> String {
        var depth = 0
        let kept = name.filter { letter in
            if letter == "(" { depth += 1 }
            defer { if letter == ")" { depth -= 1 } }
            return depth == 0
        }
        return kept.split(separator: " ").joined(separator: " ")
    }

    /// The lines that are not in a block of code, with their numbers.
    private static func prose(of file: TreeFile) -> [(line: Int, text: Substring)] {
        var isCode = false
        return file.lines.enumerated().compactMap { index, text in
            if text.trimmingPrefix(while: { $0 == " " }).hasPrefix("```") {
                isCode.toggle()
                return nil
            }
            return isCode ? nil : (index + 1, text)
        }
    }

    private static func targets(in text: Substring) -> [String] {
        text.split(separator: "](", omittingEmptySubsequences: false).dropFirst().compactMap { rest in
            rest.firstIndex(of: ")").map { String(rest[..<$0]) }
        }
    }

    private static func isOutside(_ target: String) -> Bool {
        target.contains("://") || target.hasPrefix("mailto:")
    }

    private static func parts(of target: String, seenFrom document: String) -> (path: String, anchor: String?) {
        let halves = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let anchor = halves.count > 1 ? halves[1] : nil
        guard !halves[0].isEmpty else { return (document, anchor) }
        var parts = document.split(separator: "/").dropLast().map(String.init)
        for part in halves[0].split(separator: "/") {
            if part == ".." {
                if parts.isEmpty { return ("outside of the tree", anchor) }
                parts.removeLast()
            } else if part != "." {
                parts.append(String(part))
            }
        }
        return (parts.joined(separator: "/"), anchor)
    }

    /// What the headings are called in links.
    private static func anchors(of file: TreeFile) -> Set<String> {
        Set(
            prose(of: file).filter { $0.text.hasPrefix("#") }.map { _, text in
                text.drop { $0 == "#" }.trimmingPrefix { $0 == " " }.lowercased()
                    .filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
                    .map { $0 == " " ? "-" : String($0) }.joined()
            })
    }
}
