// SPDX-License-Identifier: Apache-2.0

/// The types of partitions by the words that sfdisk has for them, and which of one table stands for which of the other.
enum PartitionTypes {
    private struct Known {
        let words: [String]
        let dos: UInt8?
        let gpt: String?
    }

    /// A GPT's type for the file systems of DOS and Windows.
    static let basicData = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
    static let linux = "0fc63daf-8483-4772-8e79-3d69d8477de4"

    private static let known = [
        Known(words: ["linux", "L"], dos: 0x83, gpt: linux),
        Known(words: ["swap", "S"], dos: 0x82, gpt: "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
        Known(words: ["extended", "E", "Ex"], dos: 0x05, gpt: nil),
        Known(words: ["linuxex", "X"], dos: 0x85, gpt: nil),
        Known(words: ["uefi", "U", "esp"], dos: 0xEF, gpt: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
        Known(words: ["raid", "R"], dos: 0xFD, gpt: "a19d880f-05fc-4d3b-a006-743f0f84911e"),
        Known(words: ["lvm", "V"], dos: 0x8E, gpt: "e6d6d379-f507-44c2-a23c-238f2a3df928"),
        Known(words: ["home", "H"], dos: nil, gpt: "933ac7e1-2eb4-4f13-b844-0e14e2aef915"),
        Known(words: ["bios"], dos: nil, gpt: "21686148-6449-6e6f-744e-656564454649"),
        Known(words: ["data"], dos: 0x07, gpt: basicData),
    ]

    /// What a MBR's type becomes in a GPT; nil where nobody agreed on anything.
    private static let converted: [UInt8: String] = [
        0x01: basicData, 0x04: basicData, 0x06: basicData, 0x0B: basicData, 0x0C: basicData, 0x0E: basicData,
        0xA5: "516e7cb4-6ecf-11d6-8ff8-00022d09712b", 0xA6: "824cc7a0-36a8-11e3-890a-952519ad3f61",
        0xA9: "49f48d5a-b10e-11dc-b99b-0019d1879648", 0xAF: "48465300-0000-11aa-aa11-00306543ecac",
        0xA8: "55465300-0000-11aa-aa11-00306543ecac", 0xBE: "6a82cb45-1dd2-11b2-99a6-080020736631",
        0xBF: "6a898cc3-1dd2-11b2-99a6-080020736631", 0x27: "de94bba4-06d1-4d40-a16a-bfd50179d6ac",
        0x42: "af9b60a0-1431-4f62-bc68-3311714a69ad",
    ]

    /// The words of a table's types.
    static func words(_ label: PartitionLabel) -> [String] {
        known.filter { label == .gpt ? $0.gpt != nil : $0.dos != nil }.compactMap(\.words.first)
    }

    /// The type that a word, a GUID or two hex digits mean: `0x83`, or a GUID in lower case.
    static func type(_ text: String, _ label: PartitionLabel) throws(TableEditError) -> String {
        let word = known.first { $0.words.contains(text) || $0.words[0] == text.lowercased() }
        switch label {
        case .gpt:
            if let guid = word?.gpt { return guid }
            if let bytes = guidBytes(text) {
                guard bytes.contains(where: { $0 != 0 }) else {
                    throw TableEditError("a type of zeros stands for no partition: name another one")
                }
                return text.lowercased()
            }
        case .dos:
            if let code = word?.dos { return "0x" + hex(code) }
            let digits = text.lowercased().hasPrefix("0x") ? text.dropFirst(2) : text[...]
            if digits.utf8.count <= 2, let code = UInt8(digits, radix: 16) {
                guard code != 0 else { throw TableEditError("type 0 stands for no partition: name another one") }
                guard code != 0xEE else { throw TableEditError("type ee announces a GPT: make one instead") }
                return "0x" + hex(code)
            }
        }
        let forms = label == .gpt ? "a GUID" : "two hex digits"
        throw TableEditError(
            "'\(text)' is no type of a \(label.rawValue) table: give \(forms), or one of "
                + words(label).joined(separator: ", "))
    }

    /// The GPT's type for an MBR's, as gdisk converts them: what is unknown becomes Linux'.
    static func converted(_ type: String) -> String {
        let code = UInt8(type.dropFirst(2), radix: 16) ?? 0
        return known.first { $0.dos == code }?.gpt ?? converted[code] ?? linux
    }
}
