// SPDX-License-Identifier: Apache-2.0

/// The numbers of the NBD protocol, by the names that its specification gives them.
package enum NBDWire {
    package static let greetingMagic: UInt64 = 0x4e42_444d_4147_4943  // "NBDMAGIC"
    package static let optionMagic: UInt64 = 0x4948_4156_454f_5054  // "IHAVEOPT"
    package static let optionReplyMagic: UInt64 = 0x0003_e889_0455_65a9

    package static let requestMagic: UInt32 = 0x2560_9513
    package static let extendedRequestMagic: UInt32 = 0x21e4_1c71
    package static let simpleReplyMagic: UInt32 = 0x6744_6698
    package static let structuredReplyMagic: UInt32 = 0x668e_33ef
    package static let extendedReplyMagic: UInt32 = 0x6e8a_278c

    package static let requestSize = 28
    package static let extendedRequestSize = 32
    package static let optionHeaderSize = 16

    /// Longest string the protocol knows.
    package static let stringMax = 4096
    /// Longest data of an option that is looked at; a longer one is skipped and answered "too big".
    package static let optionLengthMax = 64 << 10
    /// Most data in one request or reply.
    package static let payloadMax = 32 << 20
    /// Most extents in one answer to a block status request.
    package static let extentsMax = 1024

    /// The one metadata context there is, and its number on the wire.
    package static let allocationContext = "base:allocation"
    package static let allocationContextID: UInt32 = 1
    package static let extentIsHole: UInt32 = 1
    package static let extentIsZero: UInt32 = 2

    package static let replyIsDone: UInt16 = 1
}

/// What the server says about itself in its greeting.
package struct NBDHandshakeFlags: OptionSet {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let fixedNewstyle = NBDHandshakeFlags(rawValue: 1 << 0)
    package static let noZeroes = NBDHandshakeFlags(rawValue: 1 << 1)
}

/// What the client says about itself.
package struct NBDClientFlags: OptionSet {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let fixedNewstyle = NBDClientFlags(rawValue: 1 << 0)
    package static let noZeroes = NBDClientFlags(rawValue: 1 << 1)
    package static let known: NBDClientFlags = [.fixedNewstyle, .noZeroes]
}

/// What a client may ask for before the transmission.
package enum NBDOption: UInt32 {
    case exportName = 1
    case abort = 2
    case list = 3
    case startTLS = 5
    case info = 6
    case go = 7
    case structuredReply = 8
    case listMetaContext = 9
    case setMetaContext = 10
    case extendedHeaders = 11
}

/// What an option is answered with.
package enum NBDOptionReply: UInt32 {
    case ack = 1
    case server = 2
    case info = 3
    case metaContext = 4
    case unsupported = 0x8000_0001
    case policy = 0x8000_0002
    case invalid = 0x8000_0003
    case platform = 0x8000_0004
    case unknown = 0x8000_0006
    case shutdown = 0x8000_0007
    case blockSizeRequired = 0x8000_0008
    case tooBig = 0x8000_0009
    case extendedHeadersRequired = 0x8000_000a
}

/// A fact about an export.
package enum NBDInfo: UInt16 {
    case export = 0
    case name = 1
    case description = 2
    case blockSize = 3
}

/// What an export can do.
package struct NBDTransmissionFlags: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let hasFlags = NBDTransmissionFlags(rawValue: 1 << 0)
    package static let readOnly = NBDTransmissionFlags(rawValue: 1 << 1)
    package static let sendFlush = NBDTransmissionFlags(rawValue: 1 << 2)
    package static let sendFUA = NBDTransmissionFlags(rawValue: 1 << 3)
    package static let rotational = NBDTransmissionFlags(rawValue: 1 << 4)
    package static let sendTrim = NBDTransmissionFlags(rawValue: 1 << 5)
    package static let sendWriteZeroes = NBDTransmissionFlags(rawValue: 1 << 6)
    package static let sendDF = NBDTransmissionFlags(rawValue: 1 << 7)
    package static let canMultiConn = NBDTransmissionFlags(rawValue: 1 << 8)
    package static let sendCache = NBDTransmissionFlags(rawValue: 1 << 10)
    package static let sendFastZero = NBDTransmissionFlags(rawValue: 1 << 11)
}

/// What a request asks for.
package enum NBDCommand: UInt16 {
    case read = 0
    case write = 1
    case disconnect = 2
    case flush = 3
    case trim = 4
    case cache = 5
    case writeZeroes = 6
    case blockStatus = 7
}

/// How a request is to be done.
package struct NBDCommandFlags: OptionSet {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let fua = NBDCommandFlags(rawValue: 1 << 0)
    package static let noHole = NBDCommandFlags(rawValue: 1 << 1)
    package static let dontFragment = NBDCommandFlags(rawValue: 1 << 2)
    package static let requestOne = NBDCommandFlags(rawValue: 1 << 3)
    package static let fastZero = NBDCommandFlags(rawValue: 1 << 4)
    package static let payloadLength = NBDCommandFlags(rawValue: 1 << 5)
}

/// What a chunk of a structured or extended reply holds.
package enum NBDChunk: UInt16 {
    case none = 0
    case offsetData = 1
    case offsetHole = 2
    case blockStatus = 5
    case blockStatusExtended = 6
    case error = 0x8001
}

/// The errors that may go over the wire.
package enum NBDError: UInt32 {
    case ok = 0
    case notPermitted = 1
    case ioError = 5
    case noMemory = 12
    case invalid = 22
    case noSpace = 28
    case overflow = 75
    case notSupported = 95
    case shutdown = 108
}

extension [UInt8] {
    /// Appends an integer in network order.
    package mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        for shift in stride(from: T.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }
}

/// Reads integers and strings in network order from the data of an option, and never past its end.
package struct NBDReader {
    private let bytes: [UInt8]
    private var offset = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package var remaining: Int { bytes.count - offset }

    /// The next integer; nil past the end.
    package mutating func next<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type) -> T? {
        let size = T.bitWidth / 8
        guard remaining >= size else { return nil }
        var value: T = 0
        for index in offset..<(offset + size) { value = value << 8 | T(bytes[index]) }
        offset += size
        return value
    }

    /// The next `count` bytes as text; nil past the end, over the protocol's limit, or where they are not UTF-8.
    package mutating func nextString(_ count: UInt32) -> String? {
        guard count <= NBDWire.stringMax, Int(count) <= remaining else { return nil }
        let text = String(validating: bytes[offset..<(offset + Int(count))], as: UTF8.self)
        offset += Int(count)
        return text?.utf8.contains(0) == true ? nil : text
    }

    /// A string behind its 32-bit length.
    package mutating func nextCountedString() -> String? {
        guard let count = next(UInt32.self) else { return nil }
        return nextString(count)
    }
}
