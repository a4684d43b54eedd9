// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
package import BlockSystem
internal import Synchronization

/// The open file of a disk, what was found out about it while it was used, and what became of it.
package final class FileBacking: Sendable {
    /// The file.
    package let file: DiskFile
    let isBlockDevice: Bool
    /// What direct I/O demands of memory; nil: nothing does.
    let memoryAlignment: Int?
    /// What direct I/O demands of offsets and lengths; 1: nothing does.
    let offsetAlignment: UInt64

    /// Whether the file system makes holes, and zeroes ranges. True until it refuses.
    let punches = Atomic<Bool>(true)
    let zeroesRanges = Atomic<Bool>(true)

    private struct Notes {
        var shortReads = 0
        var errors: [Int32: Int] = [:]
        var engine: String?
        var hasDied = false
        var onDeath: (@Sendable () -> Void)?
    }
    private let notes = Lock(Notes())
    private let zeroes = Lock<ZeroPiece?>(nil)

    /// What stands behind a disk on an opened file.
    package init(_ opening: FileOpening, isDirect: Bool) {
        file = opening.file
        isBlockDevice = opening.facts.kind == .blockDevice
        memoryAlignment = isDirect ? opening.facts.directAlignment?.memory : nil
        offsetAlignment = isDirect ? UInt64(opening.facts.directAlignment?.offset ?? 1) : 1
    }

    /// A piece of zeroes to write where the file system cannot make them; `count` bytes or fewer. Nil: no memory.
    func zeroes(_ count: UInt64) -> IOMemory? {
        zeroes.withLock { piece in
            if piece == nil { piece = try? ZeroPiece() }
            guard let memory = piece?.memory else { return nil }
            return memory.slice(0, Int(min(count, UInt64(memory.count))))
        }
    }

    // MARK: Failures

    /// The status of a failed call, by its error number; counts it, and finds out whether the device has vanished.
    func failure(_ errno: Int32) -> BlockStatus {
        notes.withLock { $0.errors[errno, default: 0] += 1 }
        switch SystemError(errno: errno).name {
        case "ECANCELED": return .gone  // only an abort cancels
        case "ENODEV", "ENXIO", "ESHUTDOWN", "ESTALE", "ENOTCONN": return died()
        case "ENOSPC", "EDQUOT", "EFBIG": return hasVanished ? died() : .noSpace
        case "EOPNOTSUPP", "ENOSYS": return .notSupported
        case "EPERM", "EACCES", "EROFS": return .readOnly
        case "ENOMEM": return .noMemory
        case "ENODATA", "EILSEQ", "EBADMSG": return .medium
        case "ETIMEDOUT": return .timedOut
        default: return hasVanished ? died() : .ioError
        }
    }

    /// A read met the end of the file inside the disk: somebody made the file shorter, or the device has vanished.
    func endedEarly() -> BlockStatus {
        if hasVanished { return died() }
        notes.withLock { $0.shortReads += 1 }
        return .ioError
    }

    /// A device that was pulled out answers in many ways, one of them a fake end; its size is what tells.
    private var hasVanished: Bool { isBlockDevice && file.hasVanished }

    private func died() -> BlockStatus {
        let tell = notes.withLock { notes -> (@Sendable () -> Void)? in
            guard !notes.hasDied else { return nil }
            notes.hasDied = true
            return notes.onDeath.take()
        }
        tell?()
        return .gone
    }

    /// What is run once, when the device beneath has vanished; at once if it has already.
    func whenDead(_ body: @escaping @Sendable () -> Void) {
        let isDead = notes.withLock { notes in
            if !notes.hasDied { notes.onDeath = body }
            return notes.hasDied
        }
        if isDead { body() }
    }

    /// Something about the way its I/O is done that its user should know.
    func note(engine: String) { notes.withLock { $0.engine = engine } }

    /// One line for each kind of thing that went wrong, with its count.
    package var lines: [String] {
        let now = notes.withLock { $0 }
        let path = file.path
        var lines: [String] = []
        if now.hasDied { lines.append("\(path): the device has vanished") }
        if now.shortReads > 0 {
            lines.append("\(path): \(now.shortReads) reads met an early end: the file was made shorter under the disk")
        }
        for (errno, count) in now.errors.sorted(by: { $0.key < $1.key }) {
            lines.append("\(path): \(count) calls failed: \(SystemError(errno: errno))")
        }
        if let engine = now.engine { lines.append(engine) }
        return lines
    }
}

/// Zeroes to write from.
private final class ZeroPiece: Sendable {
    private let buffer: IOBuffer
    var memory: IOMemory { buffer.memory }

    init() throws(SystemError) {
        buffer = try IOBuffer(count: 128 << 10)
        buffer.memory.zero()
    }
}

/// Aligned memory in place of a bio's, for direct I/O that cannot use that.
final class BounceBuffer: Sendable {
    private let buffer: IOBuffer
    var memory: IOMemory { buffer.memory }

    init(count: Int) throws(SystemError) { buffer = try IOBuffer(count: count) }
}
