// SPDX-License-Identifier: Apache-2.0

package import BlockControl
package import BlockSystem

extension SocketAddress {
    /// An address from a command line or a configuration; paths are made whole.
    /// - Parameter option: what the error line calls it.
    package static func parse(_ text: String, option: String) throws(Problem) -> SocketAddress {
        switch SocketAddress(text) {
        case .unix(let path)?:
            let path = HostFile.absolute(path)
            guard path.utf8.count <= UnixSocket.pathLimit else {
                throw Problem(
                    .usage, "\(option) \(text): a socket's path has at most \(UnixSocket.pathLimit) bytes",
                    errno: "ENAMETOOLONG")
            }
            return .unix(path: path)
        case .tcp(let host, let port)?: return .tcp(host: host, port: port)
        case .inherited?, nil:
            throw Problem(
                .usage, "\(option) takes unix:PATH, tcp:HOST:PORT or tcp:[::1]:PORT, not '\(text)'", errno: "EINVAL")
        }
    }

    /// How an NBD client names an export at this address.
    package func uri(export name: String) -> String {
        let name = SocketAddress.escape(name)
        switch self {
        case .unix(let path): return "nbd+unix:///\(name)?socket=\(SocketAddress.escape(path, keeping: "/"))"
        case .tcp(let host, let port):
            // An address of all interfaces is no address to connect to; this machine's own is.
            let reachable = host.isEmpty || host == "0.0.0.0" || host == "::" ? "localhost" : host
            let host = reachable.contains(":") ? "[\(reachable)]" : reachable
            return "nbd://\(host)\(port == 10809 ? "" : ":\(port)")/\(name)"
        case .inherited(let number): return "fd:\(number)/\(name)"
        }
    }

    private static func escape(_ text: String, keeping more: String = "") -> String {
        var result = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            let isPlain = byte < 128 && (Character(scalar).isLetter || Character(scalar).isNumber)
            if isPlain || "-._~".unicodeScalars.contains(scalar) || more.unicodeScalars.contains(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                result += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return result
    }
}
