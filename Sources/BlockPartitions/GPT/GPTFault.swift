// SPDX-License-Identifier: Apache-2.0

/// The first rule that a copy of a GPT breaks.
enum GPTFault: Error {
    case outsideDisk
    case unreadable
    case noSignature
    case headerSize(UInt32)
    case headerChecksum
    case ownBlock(UInt64)
    case firstUsable(UInt64)
    case lastUsable(UInt64)
    case usableOrder
    case headerInside
    case entrySize(UInt32)
    case entryCount(UInt32)
    case entriesOutside(UInt64)
    case entriesUnreadable
    case entriesChecksum
}

extension GPTFault: CustomStringConvertible {
    var description: String {
        switch self {
        case .outsideDisk: "beyond the end of the disk"
        case .unreadable: "unreadable"
        case .noSignature: "no GPT signature"
        case .headerSize(let size): "header size is \(size)"
        case .headerChecksum: "header checksum is wrong"
        case .ownBlock(let block): "it says it is at block \(block)"
        case .firstUsable(let block): "first usable block \(block) is beyond the end"
        case .lastUsable(let block): "last usable block \(block) is beyond the end"
        case .usableOrder: "last usable block comes before the first"
        case .headerInside: "it stands among the usable blocks"
        case .entrySize(let size): "entry size is \(size)"
        case .entryCount(let count): "entry count is \(count)"
        case .entriesOutside(let block): "entries at block \(block) are beyond the end"
        case .entriesUnreadable: "entries cannot be read"
        case .entriesChecksum: "entries checksum is wrong"
        }
    }
}

extension GPTFault {
    /// Whether the device failed, rather than the copy.
    var isUnreadable: Bool {
        switch self {
        case .unreadable, .entriesUnreadable: true
        default: false
        }
    }
}
