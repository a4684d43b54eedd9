// SPDX-License-Identifier: Apache-2.0

/// Every promise of ARCHITECTURE.md is cited by a test, and every cited one is a promise.
enum Promises {
    static func check(_ tree: Tree) -> [Finding] {
        guard let architecture = tree.files.first(where: { $0.path == "ARCHITECTURE.md" }) else {
            return [Finding("ARCHITECTURE.md", 0, "there is none, so nothing is promised")]
        }
        let promised = names(in: architecture.text)
        var cited: [String: Finding] = [:]
        for file in tree.files
        where file.isIn("Tests") && !file.isIn("Tests/TidyTests") && (file.isSwift || file.isShell) {
            for (line, text) in file.lines.enumerated() {
                for name in names(in: String(text)) where cited[name] == nil {
                    cited[name] = Finding(file.path, line + 1, "\(name) is no promise of ARCHITECTURE.md")
                }
            }
        }
        let allowed = Exceptions(tree).uncited
        var findings = cited.filter { !promised.contains($0.key) }.map(\.value)
        for name in promised.subtracting(cited.keys).subtracting(allowed).sorted() {
            findings.append(Finding("ARCHITECTURE.md", 0, "no test cites \(name)"))
        }
        for name in allowed.intersection(cited.keys).sorted() {
            findings.append(Finding(Sizes.exceptionsPath, 0, "\(name) is cited now: take it out"))
        }
        return findings.sorted { $0.description < $1.description }
    }

    /// `R1`, `R2`, … as words, as in "R3", `.promise("R3")` or "R1-R5" (which names its two ends).
    static func names(in text: String) -> Set<String> {
        var result: Set<String> = []
        for word in text.split(whereSeparator: { !($0.isLetter || $0.isNumber || $0 == "_") })
        where word.first == "R" && word.count <= 3 {
            if let number = Int(word.dropFirst()), number > 0 { result.insert("R\(number)") }
        }
        return result
    }
}
