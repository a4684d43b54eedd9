// SPDX-License-Identifier: Apache-2.0

package import BlockSystem

/// Opens, makes and locks what a file disk is on; each refusal is one line that says what to do.
package struct FileOpening {
    /// The file, locked.
    package let file: DiskFile
    /// What it said of itself.
    package let facts: DiskFile.Facts
    /// The smallest unit of I/O that both the medium and direct I/O take.
    let logicalBlockSize: Int
    /// Whole logical blocks, in bytes.
    let usableSize: UInt64
    /// It was not there before.
    let isNew: Bool

    /// Opens it, and makes it where it is missing and has a size.
    package init(_ options: FileOptions) throws(ConfigurationError) {
        let path = options.path
        var file: DiskFile
        (file, isNew) = try Self.open(options)
        do throws(ConfigurationError) {
            facts = try Self.facts(of: file, path)
            if facts.kind == .blockDevice, !options.isReadOnly { file = try Self.openAlone(options) }
            try Self.lock(file, options)
            if isNew, let size = options.size { try Self.setSize(file, size) }
            let size = isNew ? options.size ?? 0 : facts.size
            if let wanted = options.size, wanted > size {
                throw Self.error(
                    "\(path) has \(size) bytes, fewer than the \(wanted) of size=: leave size= out, and resize the disk later",
                    22)
            }
            logicalBlockSize = try Self.blockSize(options, facts)
            usableSize = size / UInt64(logicalBlockSize) * UInt64(logicalBlockSize)
            guard usableSize > 0 else {
                throw Self.error("\(path) has \(size) bytes, less than one sector of \(logicalBlockSize)", 22)
            }
        } catch {
            if isNew { DiskFile.remove(path) }
            throw error
        }
        self.file = file
    }

    /// Takes a file that was made for a disk which did not come to be away again. It is locked still, so nobody uses it.
    func discard() { if isNew { DiskFile.remove(file.path) } }

    private static func error(_ reason: String, _ errno: Int32) -> ConfigurationError {
        ConfigurationError("file: \(reason)", errno: errno)
    }

    /// Opens the file, or makes it if it is missing and has a size to be made with.
    private static func open(_ options: FileOptions) throws(ConfigurationError) -> (DiskFile, isNew: Bool) {
        let path = options.path
        var mode: DiskFile.Mode = options.isReadOnly ? [] : [.write]
        if options.isDirect { mode.insert(.direct) }
        do throws(SystemError) {
            return (try DiskFile.open(path, mode), false)
        } catch {
            switch error.name {
            case "ENOENT":
                guard options.size != nil, !options.isReadOnly else {
                    throw Self.error("\(path) does not exist: give size= to make it", error.errno)
                }
            case "EACCES", "EPERM", "EROFS", "ETXTBSY":
                throw Self.error(
                    options.isReadOnly
                        ? "\(path) may not be read: \(error)"
                        : "\(path) may not be written (\(error.name)): add it with ro=on, or change its permissions",
                    error.errno)
            case "EISDIR": throw Self.error("\(path) is a directory: name an image or a block device", error.errno)
            case "EINVAL" where options.isDirect:
                throw Self.error("\(path) is on a file system without direct I/O: leave direct=on out", error.errno)
            default: throw Self.error("\(path) cannot be opened: \(error)", error.errno)
            }
        }
        do throws(SystemError) {
            return (try DiskFile.open(path, mode.union(.create)), true)
        } catch {
            throw Self.error("\(path) cannot be made: \(error)", error.errno)
        }
    }

    /// A block device that the kernel itself uses must not be written behind its back.
    private static func openAlone(_ options: FileOptions) throws(ConfigurationError) -> DiskFile {
        do throws(SystemError) {
            return try DiskFile.open(
                options.path, options.isDirect ? [.write, .direct, .exclusive] : [.write, .exclusive])
        } catch {
            throw Self.error(
                error.name == "EBUSY"
                    ? "\(options.path) is in use by this machine (mounted, or part of something): free it, or add it with ro=on"
                    : "\(options.path) cannot be opened: \(error)", error.errno)
        }
    }

    private static func facts(of file: DiskFile, _ path: String) throws(ConfigurationError) -> DiskFile.Facts {
        do throws(SystemError) {
            let facts = try file.facts()
            switch facts.kind {
            case .regular, .blockDevice: return facts
            case .directory: throw SystemError(errno: 21)
            case .other: throw SystemError(errno: 15)
            }
        } catch {
            throw Self.error("\(path) is neither an image nor a block device: \(error)", error.errno)
        }
    }

    private static func lock(_ file: DiskFile, _ options: FileOptions) throws(ConfigurationError) {
        do throws(SystemError) {
            try file.lock(exclusive: !options.isReadOnly)
        } catch {
            switch error.name {
            case "EAGAIN", "EACCES":
                throw Self.error(
                    "\(options.path) is in use by another disk or program (lslocks tells which): "
                        + (options.isReadOnly ? "end its writer first" : "end that, or add both with ro=on"), 16)
            // A file system without locks cannot keep a second writer off; that is no reason to refuse the first.
            case "ENOLCK", "EOPNOTSUPP", "EINVAL", "ENOSYS": break
            default: throw Self.error("\(options.path) cannot be locked: \(error)", error.errno)
            }
        }
        // Whoever had the lock until now may have taken the file away.
        guard file.isAtItsPath else {
            throw Self.error("\(options.path) was removed just now: try again", 11)
        }
    }

    private static func setSize(_ file: DiskFile, _ size: UInt64) throws(ConfigurationError) {
        do throws(SystemError) {
            try file.truncate(to: size)
        } catch {
            throw Self.error(
                "\(file.path) cannot be made with \(ByteSize.format(size)) bytes: \(error)", error.errno)
        }
    }

    private static func blockSize(
        _ options: FileOptions, _ facts: DiskFile.Facts
    ) throws(ConfigurationError) -> Int {
        var least = facts.logicalBlockSize
        if options.isDirect {
            guard let alignment = facts.directAlignment, alignment.offset <= 4096 else {
                throw Self.error("\(options.path) takes no direct I/O in sectors: leave direct=on out", 22)
            }
            least = max(least, alignment.offset)
        }
        if let wanted = options.sectorSize, wanted < least {
            throw Self.error(
                "\(options.path)\(options.isDirect ? " with direct=on" : "") needs sector-size=\(least)", 22)
        }
        return max(least, options.sectorSize ?? 512)
    }
}
