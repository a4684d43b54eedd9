// SPDX-License-Identifier: Apache-2.0

import BlockSystem

/// What the service manager handed over, and what it wants to hear; three variables and one datagram.
struct ServiceManager: Sendable {
    /// Listening sockets that the process was started with.
    let sockets: [Int32]
    private let notifySocket: String?

    /// Reads the environment once and clears it, so that no child takes it for its own.
    static func adopt() -> ServiceManager {
        var sockets: [Int32] = []
        if let process = Host.environment("LISTEN_PID").flatMap({ Int32($0) }), process == Host.processID,
            let count = Host.environment("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count < 1024
        {
            sockets = (3..<(3 + count)).filter { UnixSocket.closeOnExec($0) }
        }
        let notifySocket = Host.environment("NOTIFY_SOCKET").flatMap { $0.isEmpty ? nil : $0 }
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] { Host.unsetEnvironment(name) }
        return ServiceManager(sockets: sockets, notifySocket: notifySocket)
    }

    /// Whether a manager wants to be told; a client that merely hands over a socket does not.
    var isListening: Bool { notifySocket != nil }

    /// Tells the manager; that it does not hear is no reason to fail.
    func notify(_ lines: String) {
        guard let notifySocket else { return }
        try? UnixSocket.send(lines, to: notifySocket)
    }
}
