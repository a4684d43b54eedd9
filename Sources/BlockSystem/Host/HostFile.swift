// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Small files and directories of the control plane. Disk images go through other ways.
public enum HostFile {
    /// What a path leads to.
    public struct Status: Sendable {
        /// What kind of thing it is.
        public enum Kind: Sendable { case file, directory, blockDevice, characterDevice, socket, other }
        /// What kind of thing it is.
        public let kind: Kind
        /// Its owner.
        public let owner: UInt32
        /// Its permission bits.
        public let mode: UInt32
        /// Its size in bytes.
        public let size: Int64
    }

    /// Whether the path leads to a mount whose server is gone.
    public static func isDeadMount(_ path: String) -> Bool {
        var value = stat()
        return stat(path, &value) != 0 && errno == ENOTCONN
    }

    /// What the path leads to, following links unless told not to; nil when there is nothing.
    public static func status(_ path: String, followingLinks: Bool = true) -> Status? {
        var value = stat()
        guard (followingLinks ? stat(path, &value) : lstat(path, &value)) == 0 else { return nil }
        let kind: Status.Kind =
            switch value.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFBLK: .blockDevice
            case S_IFCHR: .characterDevice
            case S_IFSOCK: .socket
            default: .other
            }
        return Status(kind: kind, owner: value.st_uid, mode: value.st_mode & 0o7777, size: Int64(value.st_size))
    }

    /// Whether this process may open the path for reading and writing.
    public static func isReadableAndWritable(_ path: String) -> Bool { access(path, R_OK | W_OK) == 0 }

    /// Whether this process may run the path.
    public static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    /// The text of a small file; invalid UTF-8 is repaired.
    /// - Throws: EFBIG for a file of more than `limit` bytes.
    public static func readText(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError(errno: errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError(errno: errno)
            }
            if count == 0 { break }
            bytes += chunk[..<count]
            if bytes.count > limit { throw SystemError(errno: EFBIG) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether a directory has nothing in it; nil: it cannot be read.
    public static func isEmptyDirectory(_ path: String) -> Bool? {
        guard let stream = opendir(path) else { return nil }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { return false }
        }
        return true
    }

    /// Writes a new file that only its owner may read.
    /// - Throws: EEXIST where there is one already.
    public static func createPrivate(_ path: String, _ text: String) throws(SystemError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError(errno: errno) }
        defer { close(descriptor) }
        try write(descriptor, text)
    }

    /// Writes all of the text to an open descriptor.
    public static func write(_ descriptor: Int32, _ text: String) throws(SystemError) {
        try write(descriptor, Array(text.utf8))
    }

    /// Writes all of the bytes to an open descriptor.
    public static func write(_ descriptor: Int32, _ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN {
                    var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&wanted, 1, -1)
                    continue
                }
                throw SystemError(errno: errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Makes a directory with these permissions; that it is there already is no error.
    public static func makeDirectory(_ path: String, mode: UInt32) throws(SystemError) {
        guard mkdir(path, mode_t(mode)) != 0, errno != EEXIST else { return }
        throw SystemError(errno: errno)
    }

    /// Makes a directory of our own with a name nobody could guess, for this user only.
    public static func makeTemporaryDirectory(prefix: String) throws(SystemError) -> String {
        let root = Host.environment("TMPDIR").flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        var template = Array("\(root)/\(prefix).XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno: errno) }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a file or a socket; that there is none is no error.
    public static func remove(_ path: String) { unlink(path) }

    /// Removes an empty directory.
    public static func removeDirectory(_ path: String) { rmdir(path) }

    /// The path without links and dots, where there is one; else its absolute form.
    public static func canonical(_ path: String) -> String {
        guard let found = realpath(path, nil) else { return absolute(path) }
        defer { free(found) }
        return String(cString: found)
    }

    /// The absolute form of a path: relative ones start at this process's directory.
    public static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return String(cString: here) + "/" + path
    }
}
