// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A file that one process at a time holds; the kernel lets it go when the process ends, however it ends.
public final class LockFile: Sendable {
    private let descriptor: Int32

    /// Takes the lock, and writes this process's number into the file for people who look.
    ///
    /// The file stays when the lock is let go: removing it would let two processes lock two files of one name.
    /// - Throws: EAGAIN while another process holds it, EEXIST where a file is that no lock file of ours can be.
    public init(path: String) throws(SystemError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw SystemError(errno: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = SystemError(errno: errno)
            close(descriptor)
            throw error
        }
        // Somebody's own file that happens to have the name is not written over.
        guard let text = try? HostFile.readText(path, limit: 64), text.allSatisfy({ $0.isNumber || $0 == "\n" }) else {
            close(descriptor)
            throw SystemError(errno: EEXIST)
        }
        self.descriptor = descriptor
        _ = ftruncate(descriptor, 0)
        try? HostFile.write(descriptor, "\(getpid())\n")
    }

    /// The number of the process that wrote itself into the lock file.
    public static func holder(path: String) -> Int32? {
        guard let text = try? HostFile.readText(path, limit: 64) else { return nil }
        return text.split(separator: "\n").first.flatMap { Int32($0) }
    }

    deinit { close(descriptor) }
}
