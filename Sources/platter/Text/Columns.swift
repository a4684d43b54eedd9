// SPDX-License-Identifier: Apache-2.0

/// Rows of words in columns that are as wide as they must be.
enum Columns {
    static func text(_ rows: [[String]]) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, word in
                column == row.count - 1 ? word : word.padded(to: widths[column] + 2)
            }.joined()
        }.joined(separator: "\n")
    }
}
