// SPDX-License-Identifier: Apache-2.0

/// What the kernel is told of a file.
struct FuseAttributes: Equatable {
    enum Kind: UInt32 {
        case directory = 0o040000
        case file = 0o100000
        case link = 0o120000

        /// As an entry of a directory has it.
        var entryType: UInt32 { rawValue >> 12 }
    }
    var inode: UInt64
    var kind: Kind
    /// Permission bits.
    var mode: UInt32
    var user: UInt32
    var group: UInt32
    var size: UInt64
    var links: UInt32 = 1
    var seconds: UInt64
    var blockSize: UInt32 = 4096
}

/// An entry as a look-up answers it: the file, and for how long the kernel may believe it.
struct FuseEntry: Equatable {
    var node: UInt64
    var attributes: FuseAttributes
    /// Seconds for which the name may be taken to mean this file.
    var nameSeconds: UInt64
    /// Seconds for which the attributes may be taken to hold.
    var attributeSeconds: UInt64
}

/// Puts a reply together: the head, which knows its length at the end, and what follows.
struct FuseReply {
    private(set) var bytes: [UInt8]

    /// - Parameter error: a positive error number of Linux, or 0.
    init(_ unique: UInt64, error: Int32 = 0, reserving count: Int = 0) {
        bytes = []
        bytes.reserveCapacity(FuseWire.replyHead + count)
        put(UInt32(FuseWire.replyHead))
        put(UInt32(bitPattern: -error))
        put(unique)
    }

    mutating func put<T: FixedWidthInteger>(_ value: T) {
        for index in 0..<(T.bitWidth / 8) {
            #if _endian(little)
                bytes.append(UInt8(truncatingIfNeeded: value >> T(index * 8)))
            #else
                bytes.append(UInt8(truncatingIfNeeded: value >> T(T.bitWidth - 8 - index * 8)))
            #endif
        }
    }

    mutating func put(zeroes count: Int) { bytes += repeatElement(0, count: count) }
    mutating func put(_ text: String) { bytes += text.utf8 }

    mutating func put(_ attributes: FuseAttributes) {
        put(attributes.inode)
        put(attributes.size)
        put((attributes.size + 511) / 512)
        for _ in 0..<3 { put(attributes.seconds) }
        put(zeroes: 12)
        put(attributes.kind.rawValue | attributes.mode)
        put(attributes.links)
        put(attributes.user)
        put(attributes.group)
        put(UInt32(0))
        put(attributes.blockSize)
        put(UInt32(0))
    }

    mutating func put(_ entry: FuseEntry) {
        put(entry.node)
        put(UInt64(0))
        put(entry.nameSeconds)
        put(entry.attributeSeconds)
        put(zeroes: 8)
        put(entry.attributes)
    }

    /// The bytes, with `more` bytes to follow from elsewhere.
    consuming func finished(more: Int = 0) -> [UInt8] {
        var done = bytes
        let length = UInt32(done.count + more)
        for index in 0..<4 {
            #if _endian(little)
                done[index] = UInt8(truncatingIfNeeded: length >> UInt32(index * 8))
            #else
                done[index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - index * 8))
            #endif
        }
        return done
    }

    // MARK: Whole replies

    static func error(_ unique: UInt64, _ error: Int32) -> [UInt8] { FuseReply(unique, error: error).finished() }

    static func entry(_ unique: UInt64, _ entry: FuseEntry) -> [UInt8] {
        var reply = FuseReply(unique, reserving: FuseWire.entry)
        reply.put(entry)
        return reply.finished()
    }

    static func attributes(_ unique: UInt64, _ attributes: FuseAttributes, seconds: UInt64) -> [UInt8] {
        var reply = FuseReply(unique, reserving: 16 + FuseWire.attributes)
        reply.put(seconds)
        reply.put(UInt64(0))
        reply.put(attributes)
        return reply.finished()
    }

    static func opened(_ unique: UInt64, handle: UInt64, _ flags: FuseWire.OpenFlags) -> [UInt8] {
        var reply = FuseReply(unique, reserving: 16)
        reply.put(handle)
        reply.put(flags.rawValue)
        reply.put(UInt32(0))
        return reply.finished()
    }

    static func written(_ unique: UInt64, _ count: Int) -> [UInt8] {
        var reply = FuseReply(unique, reserving: 8)
        reply.put(UInt32(count))
        reply.put(UInt32(0))
        return reply.finished()
    }

    static func sought(_ unique: UInt64, _ offset: UInt64) -> [UInt8] {
        var reply = FuseReply(unique, reserving: 8)
        reply.put(offset)
        return reply.finished()
    }

    static func text(_ unique: UInt64, _ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var reply = FuseReply(unique, reserving: bytes.count)
        reply.bytes += bytes
        return reply.finished()
    }

    /// The head of a read whose data lies elsewhere.
    static func dataHead(_ unique: UInt64, _ count: Int) -> [UInt8] { FuseReply(unique).finished(more: count) }

    static func statistics(_ unique: UInt64) -> [UInt8] {
        var reply = FuseReply(unique, reserving: 80)
        for _ in 0..<5 { reply.put(UInt64(0)) }
        reply.put(UInt32(4096))
        reply.put(UInt32(FuseWire.nameMax))
        reply.put(UInt32(4096))
        reply.put(zeroes: 28)
        return reply.finished()
    }

    /// What this side agrees to. Kernels that are older than the extended flags get the short form.
    static func initialized(
        _ unique: UInt64, minor: UInt32, readAhead: UInt32, _ offered: FuseWire.Flags
    ) -> [UInt8] {
        let agreed = offered.intersection(.wanted)
        var reply = FuseReply(unique, reserving: 64)
        reply.put(FuseWire.major)
        reply.put(min(minor, FuseWire.minor))
        reply.put(readAhead)
        reply.put(UInt32(truncatingIfNeeded: agreed.rawValue))
        // What the kernel may have under way in the background, and from how many on it calls the device congested. They
        // count for the whole mount, and a disk that does not answer keeps its own: there must be enough for the others.
        reply.put(FuseWire.backgroundMax)
        reply.put(FuseWire.congestedFrom)
        reply.put(UInt32(FuseWire.ioMax))
        reply.put(UInt32(1))
        reply.put(UInt16(FuseWire.ioMax / 4096))
        reply.put(UInt16(0))
        reply.put(UInt32(truncatingIfNeeded: agreed.rawValue >> 32))
        reply.put(zeroes: 28)
        return reply.finished()
    }

    // MARK: Directories

    /// Bytes of an entry of a directory.
    static func entrySize(_ name: String, isPlus: Bool) -> Int {
        (isPlus ? FuseWire.entry : 0) + (FuseWire.directoryEntry + name.utf8.count + 7) & ~7
    }

    /// - Parameters:
    ///   - offset: where the next read of the directory goes on.
    ///   - entry: what a look-up would answer, for the longer form.
    mutating func put(
        name: String, inode: UInt64, _ kind: FuseAttributes.Kind, offset: UInt64, _ entry: FuseEntry??
    ) {
        if let entry {
            // Without a node: the kernel looks it up when somebody asks.
            if let entry { put(entry) } else { put(zeroes: FuseWire.entry) }
        }
        put(inode)
        put(offset)
        put(UInt32(name.utf8.count))
        put(kind.entryType)
        put(name)
        put(zeroes: (8 - name.utf8.count % 8) % 8)
    }
}
