// SPDX-License-Identifier: Apache-2.0

/// The secret of a TCP listener.
package struct BearerToken: Sendable {
    private let wanted: [UInt8]

    package init(_ token: String) { wanted = Array(token.utf8) }

    /// Whether an Authorization header shows it. Takes the same time for every wrong one of its length.
    package func isShown(by header: String?) -> Bool {
        guard let header, header.lowercased().hasPrefix("bearer ") else { return false }
        let given = Array(header.utf8.dropFirst(7).drop { $0 == UInt8(ascii: " ") })
        guard given.count == wanted.count, !wanted.isEmpty else { return false }
        var difference: UInt8 = 0
        for (one, other) in zip(given, wanted) { difference |= one ^ other }
        return difference == 0
    }
}
