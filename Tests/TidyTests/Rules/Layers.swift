// SPDX-License-Identifier: Apache-2.0

/// A floor imports only floors below it; drivers and exports do not know each other; only the roof knows everybody.
enum Layers {
    /// What each target may import. A target that is not here is on no floor yet.
    static let allowed: [String: Set<String>] = {
        let packages: Set<String> = [
            "Hummingbird", "HummingbirdCore", "HTTPTypes", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOHTTPTypes", "Logging",
            "ServiceLifecycle", "FoundationEssentials",
        ]
        let libraries: Set<String> = [
            "BlockSystem", "BlockPartitions", "BlockCore", "BlockDrivers", "BlockNBD", "BlockTree",
        ]
        return [
            "BlockSystem": ["CPlatter", "Glibc", "Synchronization"],
            "BlockPartitions": [],
            "BlockCore": ["BlockSystem", "BlockPartitions", "Synchronization"],
            "BlockDrivers": ["BlockSystem", "BlockCore", "Synchronization"],
            "BlockNBD": ["BlockSystem", "BlockCore", "Synchronization"],
            "BlockTree": ["BlockSystem", "BlockCore", "Synchronization"],
            "BlockControl": packages.union(["BlockSystem", "BlockPartitions", "BlockCore", "Synchronization"]),
            "platter": packages.union(libraries).union([
                "BlockControl", "CSmartcols", "ArgumentParser", "TOMLKit", "Synchronization",
            ]),
        ]
    }()
    /// Targets of C, which have no Swift.
    static let plainC: Set<String> = ["CPlatter", "CSmartcols"]
    /// What a program that shows the library may use: no packages, no C.
    static let forExamples: Set<String> = ["BlockSystem", "BlockCore", "BlockDrivers", "BlockNBD", "Synchronization"]

    static func check(_ tree: Tree) -> [Finding] {
        var findings: [Finding] = []
        for source in tree.sources {
            let parts = source.path.split(separator: "/").map(String.init)
            guard parts.count > 2, parts[0] == "Sources" || parts[0] == "Examples" else { continue }
            let target = parts[1]
            guard let modules = parts[0] == "Examples" ? forExamples : allowed[target] else {
                findings.append(Finding(source.path, 1, "target \(target) stands on no floor: add it to Layers.swift"))
                continue
            }
            for (line, module) in imports(of: source) where !modules.contains(module) {
                findings.append(Finding(source.path, line + 1, "\(target) must not import \(module)"))
            }
        }
        return findings
    }

    /// Line and first name of each import.
    static func imports(of source: SwiftText) -> [(line: Int, module: String)] {
        source.code.indices.compactMap { line in
            let words = source.words(line)
            guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
                words[..<place].allSatisfy({
                    [
                        "public", "package", "internal", "private", "fileprivate", "preconcurrency", "testable",
                        "exported", "_exported",
                    ].contains($0)
                })
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            let name = kinds.contains(words[place + 1]) && place + 2 < words.count ? words[place + 2] : words[place + 1]
            return (line, String(name))
        }
    }
}
