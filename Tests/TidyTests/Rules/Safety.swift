// SPDX-License-Identifier: Apache-2.0

/// Unsafe code lives in BlockSystem; where it must stand elsewhere, a line beside it says why it is safe.
enum Safety {
    static func check(_ tree: Tree) -> [Finding] {
        var findings: [Finding] = []
        for source in tree.sources
        where source.path.hasPrefix("Sources/") && !source.path.hasPrefix("Sources/BlockSystem/") {
            for line in source.code.indices {
                guard let mark = mark(in: source, line) else { continue }
                if !source.hasComment("SAFETY:", near: line, above: 6, below: 2) {
                    findings.append(Finding(source.path, line + 1, "\(mark) without a SAFETY: line beside it"))
                }
            }
        }
        return findings
    }

    private static func mark(in source: SwiftText, _ line: Int) -> String? {
        let code = source.code[line]
        guard code.contains("nsafe") || code.contains("@unchecked") else { return nil }
        if code.contains("@unchecked") { return "@unchecked" }
        for word in source.words(line) {
            if word == "unsafe" || word.hasPrefix("Unsafe") || word.hasPrefix("withUnsafe") { return String(word) }
        }
        return nil
    }
}
