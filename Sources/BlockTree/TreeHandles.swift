// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// What the kernel has open in a tree.
enum TreeHandle: Sendable {
    case device(DeviceFile)
    case text(TextFile)
    case directory(DirectoryFile)
}

/// An open directory: what was in it when it was opened, so that nobody who reads it in pieces misses what was there
/// throughout.
final class DirectoryFile: Sendable {
    let entries: [(name: String, node: TreeNode)]
    init(_ entries: [(name: String, node: TreeNode)]) { self.entries = entries }
}

/// An open file of text: made when it is read from its start, and the same text until then.
final class TextFile: Sendable {
    let node: TreeNode
    private let text = Lock<[UInt8]?>(nil)

    init(_ node: TreeNode) { self.node = node }

    /// The part of the text that a read gets; nil: it has to be made first.
    func part(at offset: UInt64, _ count: Int) -> ArraySlice<UInt8>? {
        text.withLock { text in
            guard let text else { return nil }
            guard offset < UInt64(text.count) else { return [] }
            return text[Int(offset)..<min(text.count, Int(offset) + count)]
        }
    }

    func set(_ text: String) { self.text.withLock { $0 = Array(text.utf8) } }
}

/// The open files of a tree by the numbers that the kernel has for them.
final class TreeHandles: Sendable {
    private struct State {
        var next: UInt64 = 1
        var open: [UInt64: TreeHandle] = [:]
        var isClosed = false
    }
    private let state = Lock(State())

    /// nil: the tree is at its end.
    func add(_ handle: TreeHandle) -> UInt64? {
        state.withLock { state in
            guard !state.isClosed else { return nil }
            defer { state.next += 1 }
            state.open[state.next] = handle
            return state.next
        }
    }

    subscript(_ number: UInt64) -> TreeHandle? { state.withLock { $0.open[number] } }

    func device(_ number: UInt64) -> DeviceFile? {
        guard case .device(let file)? = self[number] else { return nil }
        return file
    }

    func remove(_ number: UInt64) -> TreeHandle? { state.withLock { $0.open.removeValue(forKey: number) } }

    /// Takes no more, and gives back what is open.
    func end() -> [TreeHandle] {
        state.withLock { state in
            state.isClosed = true
            defer { state.open = [:] }
            return Array(state.open.values)
        }
    }

    /// Open device files, for whoever gives a read up.
    var devices: [DeviceFile] {
        state.withLock { state in
            state.open.values.compactMap { handle in
                guard case .device(let file) = handle else { return nil }
                return file
            }
        }
    }
}

/// Requests that wait for a helper thread. Who takes one out answers it, and nobody else.
final class TreeWaits: Sendable {
    private let waiting = Lock<Set<UInt64>>([])

    func begin(_ unique: UInt64) { waiting.withLock { _ = $0.insert(unique) } }
    func claim(_ unique: UInt64) -> Bool { waiting.withLock { $0.remove(unique) != nil } }
    func isWaiting(_ unique: UInt64) -> Bool { waiting.withLock { $0.contains(unique) } }
}
