// SPDX-License-Identifier: Apache-2.0

import BlockControl
import BlockSystem

/// The secret that clients over TCP show.
enum TokenFile {
    /// The token in the file; a new file with a new token where there is none.
    static func token(_ path: String) throws(Problem) -> String {
        let text: String
        do throws(SystemError) {
            guard let status = HostFile.status(path) else {
                let token = Host.randomBytes(32).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
                    .joined()
                try HostFile.createPrivate(path, token + "\n")
                return token
            }
            guard status.mode & 0o077 == 0 else { throw SystemError(errno: 13) }  // EACCES
            text = try HostFile.readText(path, limit: 4096)
        } catch {
            let hint = error.name == "EACCES" ? "; it must be yours alone: 'chmod 600 \(path)'" : ""
            throw Problem(
                error.name == "EACCES" ? .notPermitted : .failed,
                "the token file \(path) cannot be used: \(error)\(hint)", errno: error.name)
        }
        let token = text.filter { !$0.isWhitespace }
        guard token.utf8.count >= 32 else {
            throw Problem(
                .failed, "the token in \(path) has fewer than 32 characters; remove the file, and a new one is made")
        }
        return token
    }
}
