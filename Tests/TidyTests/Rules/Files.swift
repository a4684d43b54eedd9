// SPDX-License-Identifier: Apache-2.0

/// What a file may hold, whatever is in it.
enum Files {
    static let sizeLimit = 256 * 1024

    static func sizes(_ tree: Tree) -> [Finding] {
        tree.files.filter { $0.size > sizeLimit }.map {
            Finding($0.path, 0, "\($0.size / 1024) KiB; the limit is \(sizeLimit / 1024)")
        }
    }

    static func modes(_ tree: Tree) -> [Finding] {
        tree.files.compactMap { file in
            let isScript = file.text.hasPrefix("#!")
            if isScript, !file.isExecutable { return Finding(file.path, 1, "a script that cannot be executed") }
            if !isScript, file.isExecutable { return Finding(file.path, 1, "executable, but no script") }
            return nil
        }
    }

    static func licences(_ tree: Tree) -> [Finding] {
        let sources: Set<String> = ["swift", "c", "h", "sh", "py", "modulemap"]
        return tree.files.filter { sources.contains($0.suffix) || $0.text.hasPrefix("#!") }.compactMap { file in
            let isMarked = file.lines.prefix(3).contains { $0.contains("SPDX-License-Identifier: Apache-2.0") }
            return isMarked ? nil : Finding(file.path, 1, "no SPDX line on top")
        }
    }

    /// Nothing in the tree works on one machine only, or asks one mirror.
    static func places(_ tree: Tree) -> [Finding] {
        // In pieces, so that this file does not find itself.
        let machine = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/opt/sw" + "ift", "/Us" + "ers/", "/tmp/w" + "t"]
        let hosts = [
            "dock" + "er.io", "gh" + "cr.io", "qu" + "ay.io", "pypi" + ".org", "npmjs" + ".org", "crates" + ".io",
            "deb.deb" + "ian.org", "archive.ubu" + "ntu.com",
        ]
        return tree.files.flatMap { file in
            file.lines.enumerated().compactMap { line, text -> Finding? in
                if let path = machine.first(where: { text.contains($0) }) {
                    return Finding(file.path, line + 1, "\(path) is a path of one machine")
                }
                return hosts.first { text.contains($0) }.map { Finding(file.path, line + 1, "names the host \($0)") }
            }
        }
    }

    /// What an author must read to write a driver stays small: that is the product.
    static func budgets(_ tree: Tree) -> [Finding] {
        let budgets = [
            ("Sources/BlockDrivers/Null/NullDriver.swift", 40), ("Examples/HelloDisk/main.swift", 40),
        ]
        return budgets.compactMap { path, limit in
            guard let file = tree.files.first(where: { $0.path == path }) else {
                return Finding(path, 0, "is missing")
            }
            let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
            return count <= limit ? nil : Finding(path, 0, "\(count) lines; \(limit) is its budget")
        }
    }
}
