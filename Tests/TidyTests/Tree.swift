// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A file of the tree, as a rule sees it.
struct TreeFile: Sendable {
    /// Relative to the root of the tree.
    let path: String
    /// Its text, empty if it is none.
    let text: String
    var size = 0
    var isExecutable = false

    var name: String { String(path.split(separator: "/").last ?? "") }
    var suffix: String { name.contains(".") ? String(name.split(separator: ".").last ?? "") : "" }
    var isSwift: Bool { suffix == "swift" }
    var isShell: Bool { text.hasPrefix("#!/usr/bin/env bash") || text.hasPrefix("#!/bin/") || suffix == "sh" }
    var isDocument: Bool { suffix == "md" }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// A file that never was on a disk.
    init(_ path: String, _ text: String, isExecutable: Bool = false) {
        self.path = path
        self.text = text
        self.size = text.utf8.count
        self.isExecutable = isExecutable
    }

    func isIn(_ folder: String) -> Bool { path.hasPrefix(folder + "/") }
}

/// All files that belong to the project: what is built or fetched is left out, as `.gitignore` says.
struct Tree: Sendable {
    let files: [TreeFile]
    /// Every path, folders too: what a link may point to.
    let paths: Set<String>
    /// What each Swift file is made of.
    let sources: [SwiftText]

    init(_ files: [TreeFile], folders: Set<String> = []) {
        self.files = files
        self.paths = Set(files.map(\.path)).union(folders)
        self.sources = files.filter(\.isSwift).map(SwiftText.init)
    }

    /// The tree that this file lies in.
    static let here: Tree = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        return Tree(at: root)
    }()

    private init(at root: String) {
        var files: [TreeFile] = []
        var folders: Set<String> = []
        func visit(_ folder: String) {
            let names =
                (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? root : "\(root)/\(folder)"))
                ?? []
            for name in names.sorted() where !Self.isIgnored(name) {
                let path = folder.isEmpty ? name : "\(folder)/\(name)"
                let attributes = (try? FileManager.default.attributesOfItem(atPath: "\(root)/\(path)")) ?? [:]
                switch attributes[.type] as? FileAttributeType {
                case .typeDirectory?:
                    folders.insert(path)
                    visit(path)
                case .typeRegular?:
                    let data = FileManager.default.contents(atPath: "\(root)/\(path)") ?? Data()
                    var file = TreeFile(path, data.count > 1 << 20 ? "" : String(data: data, encoding: .utf8) ?? "")
                    file.size = data.count
                    file.isExecutable = ((attributes[.posixPermissions] as? Int) ?? 0) & 0o111 != 0
                    files.append(file)
                default: break
                }
            }
        }
        visit("")
        self.init(files, folders: folders)
    }

    private static func isIgnored(_ name: String) -> Bool {
        name == ".git" || name.hasPrefix(".build") || name == ".swiftpm" || name == "__pycache__"
            || name == "Package.resolved" || name.hasSuffix(".o") || name.hasSuffix(".profraw")
    }
}

/// Something that a rule objects to.
struct Finding: Sendable, CustomStringConvertible {
    let path: String
    let line: Int
    let reason: String

    init(_ path: String, _ line: Int = 0, _ reason: String) {
        self.path = path
        self.line = line
        self.reason = reason
    }

    var description: String { line > 0 ? "\(path):\(line): \(reason)" : "\(path): \(reason)" }
}
