// SPDX-License-Identifier: Apache-2.0

/// Rows of words in columns that are as wide as they must be.
enum Columns {
    static func text(_ rows: [[String]]) -> String {
        let rows = rows.map { $0.map(\.printable) }
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, word in
                column == row.count - 1 ? word : word.padded(to: widths[column] + 2)
            }.joined()
        }.joined(separator: "\n")
    }
}

extension String {
    /// What a terminal can be trusted with: a label on a disk may hold its orders. They are shown as `\x1b`, as lsblk does.
    var printable: String {
        guard unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
        return unicodeScalars.map { scalar in
            guard scalar.properties.generalCategory == .control else { return String(scalar) }
            return String(scalar).utf8.map { byte in
                "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
        }.joined()
    }
}
