// SPDX-License-Identifier: Apache-2.0

/// A number in lower-case hex, with at least `digits` digits.
func hex(_ value: some BinaryInteger, digits: Int = 1) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}
