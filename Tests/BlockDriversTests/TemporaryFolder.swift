// SPDX-License-Identifier: Apache-2.0

import BlockSystem
import Glibc

/// A folder that is gone, with what is in it, at the end of a test.
final class TemporaryFolder: Sendable {
    let path: String

    init(under parent: String = "/var/tmp") throws {
        var template = Array("\(parent)/platter-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = shell("rm -rf '\(path)'") }

    func image(_ name: String, size: UInt64) throws -> String {
        let file = try DiskFile.open("\(path)/\(name)", [.write, .create])
        try file.truncate(to: size)
        return "\(path)/\(name)"
    }
}

/// Runs a line in the shell and returns its status; 127 if there is no shell.
func shell(_ line: String) -> Int32 {
    var pid: pid_t = 0
    let words = ["/bin/sh", "-c", "exec >/dev/null 2>&1; \(line)"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    guard posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, environ) == 0 else { return 127 }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return (status >> 8) & 0xff
}
