// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem
internal import Hummingbird
internal import HTTPTypes
internal import NIOCore

/// Who may come in by which door.
enum Door: Sendable {
    /// A unix socket: the same user or root, as the kernel tells it.
    case local
    /// TCP: who shows the token.
    case remote(token: String, metricsAreOpen: Bool)
}

/// Lets in who may come in.
struct Gatekeeper: RouterMiddleware {
    let door: Door

    func handle(
        _ request: Request, context: ControlContext,
        next: @concurrent (Request, ControlContext) async throws -> Response
    ) async throws -> Response {
        switch door {
        case .local: try LocalPeer.check(user: try await user(of: context.channel), own: Host.userID)
        case .remote(let token, let metricsAreOpen):
            let isOpen = metricsAreOpen && request.uri.path == ControlRoute.metrics.path
            if !isOpen, !BearerToken(token).isShown(by: request.headers[.authorization]) {
                throw Problem(
                    .notPermitted, "this address wants the token of the daemon: 'Authorization: Bearer TOKEN'",
                    errno: "EACCES")
            }
        }
        return try await next(request, context)
    }

    /// Whose process is at the other end; nil: the kernel does not say.
    private func user(of channel: any Channel) async throws -> UInt32? {
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        let peer: PeerCredentials = try await provider.unsafeGetSocketOption(
            level: .socket, name: .peerCredentials
        ).get()
        return peer.user
    }
}

/// Whom a unix socket lets in.
package enum LocalPeer {
    /// The daemon's own user and root; nobody of whom nothing is known.
    package static func check(user: UInt32?, own: UInt32) throws(Problem) {
        guard let user else {
            throw Problem(
                .notPermitted, "the daemon belongs to user \(own), and the kernel does not say who you are",
                errno: "EACCES")
        }
        guard user == 0 || user == own else {
            throw Problem(
                .notPermitted, "the daemon belongs to user \(own); user \(user) may not use it", errno: "EACCES")
        }
    }
}

/// What the kernel writes for SO_PEERCRED.
private struct PeerCredentials: Sendable {
    var process: Int32 = 0
    var user: UInt32 = .max
    var group: UInt32 = .max
}

extension NIOBSDSocket.Option {
    fileprivate static let peerCredentials = NIOBSDSocket.Option(rawValue: 17)  // SO_PEERCRED
}
