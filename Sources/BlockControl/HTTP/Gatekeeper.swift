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
        case .local: try await checkPeer(context)
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

    private func checkPeer(_ context: ControlContext) async throws {
        guard let provider = context.channel as? any SocketOptionProvider else { return }
        let peer: PeerCredentials = try await provider.unsafeGetSocketOption(
            level: .socket, name: .peerCredentials
        ).get()
        guard peer.user == 0 || peer.user == Host.userID else {
            throw Problem(
                .notPermitted, "the daemon belongs to user \(Host.userID); user \(peer.user) may not use it",
                errno: "EACCES")
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
