// SPDX-License-Identifier: Apache-2.0

import Testing

/// A law of the tree, and a tree that breaks it.
struct Law: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let check: @Sendable (Tree) -> [Finding]
    /// Files that break the law, once each.
    let bad: [TreeFile]
    /// Files that look like it and do not.
    let good: [TreeFile]

    init(
        _ name: String, _ check: @escaping @Sendable (Tree) -> [Finding], bad: [TreeFile], good: [TreeFile] = []
    ) {
        testDescription = name
        self.check = check
        self.bad = bad
        self.good = good
    }
}

@Suite struct `The tree` {
    @Test(arguments: Law.all) func `keeps its laws`(_ law: Law) {
        for finding in law.check(.here) {
            Issue.record("\(finding)")
        }
    }

    @Test(arguments: Law.all) func `is found out when it breaks one`(_ law: Law) {
        for file in law.bad {
            let found = law.check(Tree([file] + law.good))
            #expect(found.count == 1, "in \(file.path): \(file.text)")
        }
        #expect(!law.bad.isEmpty)
    }

    @Test(arguments: Law.all) func `is left alone when it keeps them`(_ law: Law) {
        guard !law.good.isEmpty else { return }
        let found = law.check(Tree(law.good))
        #expect(found.isEmpty, "\(found)")
    }
}

@Suite struct `Source text` {
    private func take(_ text: String) -> SwiftText { SwiftText(TreeFile("a.swift", text)) }

    @Test func `has no strings and no comments in its code`() {
        let text = take("let a = \"try! \\(b + \"as!\")\" // try!\n/* as! /* try! */ as! */ let c = #\"\"try!\"#")
        #expect(text.code == ["let a = \"(b + \"\")\" ", " let c = \"\""])
        #expect(text.comments[0] == "// try!")
    }

    @Test func `has long strings that end where they end`() {
        let text = take("let a = \"\"\"\n  try! \" {\n  \"\"\"\nlet b = 1")
        #expect(text.code == ["let a = \"", "", "\"", "let b = 1"])
    }

    @Test func `counts the lines of functions, and leaves requirements out`() {
        let text = take(
            "protocol P {\n  func a()\n  func b(_ c: Int) -> Int\n}\nfunc d(\n  e: () -> Void = {}\n) {\n  if x { }\n}\ninit() { }"
        )
        let functions = Sizes.functions(of: text)
        #expect(functions.map(\.name) == ["d", "init"])
        #expect(functions.map(\.count) == [5, 1])
    }

    @Test(arguments: [
        ("file Sources/A/A.swift 510", 1), ("file Sources/A/A.swift 520", 0), ("file Sources/A/A.swift 530", 1),
    ])
    func `may be long by exception, which only shrinks`(_ exception: String, _ findings: Int) {
        let long = TreeFile("Sources/A/A.swift", String(repeating: "let a = 1\n", count: 520))
        let found = Sizes.check(Tree([long, TreeFile(Sizes.exceptionsPath, exception + "\n")]))
        #expect(found.count == findings, "\(found)")
    }

    @Test func `names promises as words`() {
        #expect(Promises.names(in: "R1, (R10) and \"R3\", but not R2D2, ER4 or R") == ["R1", "R10", "R3"])
    }
}
