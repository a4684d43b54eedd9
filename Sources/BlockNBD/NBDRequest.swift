// SPDX-License-Identifier: Apache-2.0

internal import BlockCore
internal import BlockSystem

/// The head of a request, as it came.
struct NBDRequest {
    var flags: NBDCommandFlags
    var type: UInt16
    var cookie: UInt64
    var offset: UInt64
    var length: UInt64

    /// Reads the head at `position`, where at least its size lies; nil where the magic is wrong.
    @inline(__always)
    init?(_ input: IOMemory, at position: Int, extended: Bool) {
        let magic = input.loadBigEndian(at: position, as: UInt32.self)
        guard magic == (extended ? NBDWire.extendedRequestMagic : NBDWire.requestMagic) else { return nil }
        flags = NBDCommandFlags(rawValue: input.loadBigEndian(at: position + 4, as: UInt16.self))
        type = input.loadBigEndian(at: position + 6, as: UInt16.self)
        cookie = input.loadBigEndian(at: position + 8, as: UInt64.self)
        offset = input.loadBigEndian(at: position + 16, as: UInt64.self)
        length =
            extended
            ? input.loadBigEndian(at: position + 24, as: UInt64.self)
            : UInt64(input.loadBigEndian(at: position + 24, as: UInt32.self))
    }

    /// How many bytes follow the head.
    func payload(extended: Bool) -> UInt64 {
        if extended { return flags.contains(.payloadLength) ? length : 0 }
        return type == NBDCommand.write.rawValue ? length : 0
    }

    /// Which flags a command knows. FUA is allowed on all of them, and means nothing to some.
    static func flagsAllowed(_ command: NBDCommand, extended: Bool) -> NBDCommandFlags {
        switch command {
        case .read: [.fua, .dontFragment]
        case .write: extended ? [.fua, .payloadLength] : .fua
        case .writeZeroes: [.fua, .noHole, .fastZero]
        case .blockStatus: [.fua, .requestOne]
        case .disconnect, .flush, .trim, .cache: .fua
        }
    }
}

extension NBDError {
    /// The word of the protocol for how an I/O ended.
    ///
    /// - Parameter isWrite: a write past the end is "no space" to a client, anything else there is "invalid".
    init(_ status: BlockStatus, isWrite: Bool) {
        switch status {
        case .ok: self = .ok
        case .ioError, .dropped, .timedOut, .medium, .noMedium, .again: self = .ioError
        case .gone: self = .ioError  // being told to leave is ESHUTDOWN, and said before anything is submitted
        case .notSupported: self = .notSupported
        case .outOfRange: self = isWrite ? .noSpace : .invalid
        case .invalid: self = .invalid
        case .readOnly: self = .notPermitted
        case .noSpace: self = .noSpace
        case .noMemory: self = .noMemory
        }
    }
}
