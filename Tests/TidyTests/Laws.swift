// SPDX-License-Identifier: Apache-2.0

extension Law {
    private static func swift(_ path: String, _ text: String) -> TreeFile {
        TreeFile(path, "// SPDX-License-Identifier: Apache-2.0\n" + text)
    }

    private static func lines(_ count: Int) -> String { String(repeating: "let a = 1\n", count: count) }

    /// Every law there is.
    static let all: [Law] = [
        Law(
            "a floor imports only what lies below it", Layers.check,
            bad: [
                swift("Sources/BlockCore/A.swift", "internal import BlockNBD\n"),
                swift("Sources/BlockCore/A.swift", "public import Glibc\n"),
                swift("Sources/BlockPartitions/A.swift", "import Foundation\n"),
                swift("Sources/BlockDrivers/A.swift", "@preconcurrency import struct BlockNBD.NBDServer\n"),
                swift("Sources/BlockNBD/A.swift", "import BlockDrivers\n"),
                swift("Sources/BlockMystery/A.swift", "let a = 1\n"),
                swift("Examples/Hello/main.swift", "import Foundation\n"),
            ],
            good: [
                swift(
                    "Sources/BlockCore/B.swift",
                    "internal import BlockSystem\n// import Foundation\nlet a = \"import Glibc\"\n"),
                swift("Sources/BlockSystem/B.swift", "internal import CPlatter\n"),
            ]),
        Law(
            "unsafe code says why it is safe", Safety.check,
            bad: [
                swift("Sources/BlockCore/A.swift", "let a = unsafe b()\n"),
                swift("Sources/BlockNBD/A.swift", "final class A: @unchecked Sendable {}\n"),
                swift("Sources/BlockDrivers/A.swift", "nonisolated(unsafe) var a = 1\n"),
                swift("Sources/platter/A.swift", "a.withUnsafeBytes { _ in }\n"),
            ],
            good: [
                swift("Sources/BlockCore/B.swift", "// SAFETY: b lives as long as a.\nlet a = unsafe b()\n"),
                swift("Sources/BlockSystem/B.swift", "let a: UnsafePointer<Int>\n"),
                swift("Sources/BlockCore/C.swift", "let unsafely = \"unsafe\"  // unsafe\n"),
            ]),
        Law(
            "nothing ends the process or prints behind one's back", Wording.constructs,
            bad: [
                swift("Sources/BlockCore/A.swift", "let a = try! b()\n"),
                swift("Tests/A/A.swift", "let a = b as! C\n"),
                swift("Sources/BlockNBD/A.swift", "print(1)\n"),
            ],
            good: [
                swift("Sources/platter/B.swift", "print(1)\n"),
                swift("Sources/BlockCore/B.swift", "let a = try b(\"try!\"); fingerprint(a)  // as!\n"),
            ]),
        Law(
            "unfinished work is not in the tree", Wording.marks,
            bad: [
                swift("Sources/BlockCore/A.swift", "// FIX" + "ME: later\n"), TreeFile("Scripts/a.sh", "# TO" + "DO\n"),
            ]),
        Law(
            "no test sleeps", Wording.sleeps,
            bad: [
                swift("Tests/A/A.swift", "usleep(10)\n"),
                swift("Tests/A/A.swift", "try await Task.sleep(for: .seconds(1))\n"),
                TreeFile("Tests/EndToEnd/a.sh", "sleep 1\n"),
            ],
            good: [
                swift("Sources/BlockSystem/B.swift", "func sleep() {}\n"),
                TreeFile("Tests/EndToEnd/lib.sh", "sleep 0.01\n"), TreeFile("Tests/EndToEnd/b.sh", "# no sleep here\n"),
            ]),
        Law(
            "one word is used for one thing", Wording.glossary,
            bad: [
                swift("Sources/BlockCore/A.swift", "var zombie = false\n"),
                swift("Tests/A/A.swift", "func quiesceAll() {}\n"),
                swift("Sources/BlockCore/A.swift", "let isMaster = true\n"),
            ],
            good: [swift("Sources/BlockCore/B.swift", "// no zombie\nlet masterBootRecord = 1\n")]),
        Law(
            "files and functions are short", Sizes.check,
            bad: [
                TreeFile("Sources/A/A.swift", lines(501)),
                TreeFile("Sources/A/A.swift", "func a() {\n\(lines(59))}\n"),
                TreeFile("Sources/A/A.swift", "    init(a: Int) {\n\(lines(59))}\n"),
                TreeFile(Sizes.exceptionsPath, "file Sources/A/Gone.swift 700\n"),
            ],
            good: [TreeFile("Sources/A/B.swift", "\(lines(400))func a() {\n\(lines(58))}\nfunc b()\n")]),
        Law(
            "every promise is kept by a test", Promises.check,
            bad: [
                swift("Tests/A/A.swift", "// R99\n")
            ],
            good: [
                TreeFile("ARCHITECTURE.md", "# A\n- R1: first\n- R2: second\n"),
                swift("Tests/A/B.swift", "@Test(.promise(\"R1\")) func `R2: a name`() {}\n"),
            ]),
        Law(
            "a document has one title", Documents.titles,
            bad: [TreeFile("a.md", "# A\n\n# B\n"), TreeFile("a.md", "text\n")],
            good: [TreeFile("b.md", "# B\n\n```sh\n# comment\n```\n## C\n")]),
        Law(
            "links lead somewhere", Documents.links,
            bad: [
                TreeFile("docs/a.md", "# A\n[b](b.md)\n"), TreeFile("docs/a.md", "# A\n[b](../c.md#none)\n"),
                TreeFile("docs/a.md", "# A\n[b](../../outside.md)\n"),
            ],
            good: [
                TreeFile(
                    "c.md", "# C\n## One `thing`, or two\n[c](#one-thing-or-two) [d](https://example.org) [e](d/e.md)\n"
                ),
                TreeFile("d/e.md", "# E\n[c](../c.md#c)\n"),
            ]),
        Law(
            "a race has one row, and tests that are there", Documents.races,
            bad: [
                TreeFile("TESTING.md", "# A\n| T01 | two adds | is never written |\n"),
                TreeFile("TESTING.md", "# A\n| T01 | a | there is no b |\n| T01 | a | there is no b |\n"),
            ],
            good: [TreeFile("TESTING.md", "# A\n| T01 | two adds | there is no second one |\n")]),
        Law(
            "the README quotes code that compiles", Documents.quotations,
            bad: [TreeFile("README.md", "# A\n```swift\nlet a = 1\nlet b = 2\n```\n")],
            good: [
                swift("Examples/A/main.swift", "let a = 1\n"),
                TreeFile("b.md", "# B\n```swift\nlet c = 1\n```\n"),
            ]),
        Law(
            "no file is large", Files.sizes,
            bad: [TreeFile("a.bin", String(repeating: "a", count: 256 * 1024 + 1))],
            good: [TreeFile("b.bin", String(repeating: "a", count: 256 * 1024))]),
        Law(
            "scripts can be executed, and nothing else", Files.modes,
            bad: [TreeFile("a", "#!/bin/sh\n"), TreeFile("a.md", "# A\n", isExecutable: true)],
            good: [TreeFile("b", "#!/bin/sh\n", isExecutable: true)]),
        Law(
            "every source names its licence", Files.licences,
            bad: [TreeFile("a.swift", "let a = 1\n"), TreeFile("a", "#!/bin/sh\n"), TreeFile("a.h", "int a;\n")],
            good: [swift("b.swift", ""), TreeFile("b.md", "# B\n")]),
        Law(
            "no file knows one machine", Files.places,
            bad: [
                TreeFile("a.md", "see /ho" + "me/me/a\n"), TreeFile("a.sh", "curl https://pypi" + ".org\n"),
            ],
            good: [TreeFile("b.md", "/tmp/platter-1000, /usr/bin, https://swift.org\n")]),
        Law(
            "drivers fit their budget", Files.budgets,
            bad: [TreeFile("Examples/HelloDisk/main.swift", lines(41))],
            good: [
                TreeFile("Sources/BlockDrivers/Null/NullDriver.swift", lines(40)),
                TreeFile("Examples/HelloDisk/main.swift", lines(40)),
            ]),
    ]
}
