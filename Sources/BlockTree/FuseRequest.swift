// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// One request of the kernel, taken apart. Pure; nothing in it is believed beyond the bytes that are there.
struct FuseRequest {
    /// By which it is answered, and taken back.
    let unique: UInt64
    let node: UInt64
    let user: UInt32
    let group: UInt32
    let process: UInt32
    let call: Call

    enum Call: Equatable {
        case initialize(major: UInt32, minor: UInt32, readAhead: UInt32, FuseWire.Flags)
        case lookup(String)
        case forget([Forgotten])
        case getAttributes
        case setAttributes(FuseWire.SetFields, size: UInt64)
        case readLink
        case open(flags: UInt32)
        case openDirectory
        case read(Transfer)
        /// The data lies at `data` of the request, as many bytes as the transfer says.
        case write(Transfer, data: Int)
        case release(handle: UInt64)
        case releaseDirectory(handle: UInt64)
        case flush
        case sync(handle: UInt64)
        case readDirectory(Transfer, isPlus: Bool)
        case allocate(handle: UInt64, offset: UInt64, count: UInt64, mode: UInt32)
        case seek(handle: UInt64, offset: UInt64, whence: UInt32)
        case access
        case statistics
        case interrupt(UInt64)
        case destroy
        /// To be answered with this error number.
        case refused(Int32)
    }

    struct Forgotten: Equatable {
        var node: UInt64
        var count: UInt64
    }

    struct Transfer: Equatable {
        var handle: UInt64
        var offset: UInt64
        var count: Int
        /// The flags of the open file.
        var flags: UInt32
    }

    /// nil: not even the head is there, or it is not about these bytes; nobody can be answered.
    init?(_ memory: IOMemory) {
        guard memory.count >= FuseWire.requestHead else { return nil }
        guard memory.load(at: 0, as: UInt32.self) == UInt32(clamping: memory.count) else { return nil }
        unique = memory.load(at: 8, as: UInt64.self)
        node = memory.load(at: 16, as: UInt64.self)
        user = memory.load(at: 24, as: UInt32.self)
        group = memory.load(at: 28, as: UInt32.self)
        process = memory.load(at: 32, as: UInt32.self)
        let body = memory.slice(FuseWire.requestHead, memory.count - FuseWire.requestHead)
        call = Self.call(memory.load(at: 4, as: UInt32.self), node, body)
    }

    private static func call(_ number: UInt32, _ node: UInt64, _ body: IOMemory) -> Call {
        guard let opcode = FuseOpcode(rawValue: number) else { return .refused(FuseErrno.notImplemented) }
        guard body.count >= bodySize(of: opcode) else { return .refused(FuseErrno.invalid) }
        func word(_ offset: Int) -> UInt32 { body.load(at: offset, as: UInt32.self) }
        func long(_ offset: Int) -> UInt64 { body.load(at: offset, as: UInt64.self) }
        switch opcode {
        case .initialize: return initialize(body)
        case .lookup: return name(body).map { .lookup($0) } ?? .refused(FuseErrno.noEntry)
        case .forget: return .forget([Forgotten(node: node, count: long(0))])
        case .batchForget: return .forget(batch(body))
        case .getAttributes: return .getAttributes
        case .setAttributes: return .setAttributes(FuseWire.SetFields(rawValue: word(0)), size: long(16))
        case .readLink: return .readLink
        case .open: return .open(flags: word(0))
        case .openDirectory: return .openDirectory
        case .read: return .read(transfer(body))
        case .write:
            let transfer = transfer(body)
            guard transfer.count == body.count - FuseWire.writeHead else { return .refused(FuseErrno.invalid) }
            return .write(transfer, data: FuseWire.requestHead + FuseWire.writeHead)
        case .readDirectory: return .readDirectory(transfer(body), isPlus: false)
        case .readDirectoryPlus: return .readDirectory(transfer(body), isPlus: true)
        case .release: return .release(handle: long(0))
        case .releaseDirectory: return .releaseDirectory(handle: long(0))
        case .flush: return .flush
        case .sync: return .sync(handle: long(0))
        case .syncDirectory: return .access
        case .allocate: return .allocate(handle: long(0), offset: long(8), count: long(16), mode: word(24))
        case .seek: return .seek(handle: long(0), offset: long(8), whence: word(16))
        case .access: return .access
        case .statistics: return .statistics
        case .interrupt: return .interrupt(long(0))
        case .destroy: return .destroy
        // Nothing is made, moved or removed here: disks come and go by themselves.
        case .symlink, .makeNode, .makeDirectory, .unlink, .removeDirectory, .rename, .link, .create, .rename2,
            .temporaryFile:
            return .refused(FuseErrno.notPermitted)
        }
    }

    /// What must be there behind the head.
    private static func bodySize(of opcode: FuseOpcode) -> Int {
        switch opcode {
        case .initialize: 16
        case .lookup: 2
        case .forget, .open, .batchForget, .interrupt: 8
        case .setAttributes: 24
        case .read, .write, .readDirectory, .readDirectoryPlus: 40
        case .release, .releaseDirectory, .sync: 8
        case .allocate: 28
        case .seek: 20
        default: 0
        }
    }

    private static func initialize(_ body: IOMemory) -> Call {
        var flags = UInt64(body.load(at: 12, as: UInt32.self))
        if flags & FuseWire.Flags.extended.rawValue != 0, body.count >= 20 {
            flags |= UInt64(body.load(at: 16, as: UInt32.self)) << 32
        }
        return .initialize(
            major: body.load(at: 0, as: UInt32.self), minor: body.load(at: 4, as: UInt32.self),
            readAhead: body.load(at: 8, as: UInt32.self), FuseWire.Flags(rawValue: flags))
    }

    private static func transfer(_ body: IOMemory) -> Transfer {
        Transfer(
            handle: body.load(at: 0, as: UInt64.self), offset: body.load(at: 8, as: UInt64.self),
            count: Int(min(body.load(at: 16, as: UInt32.self), UInt32(FuseWire.ioMax))),
            flags: body.load(at: 32, as: UInt32.self))
    }

    private static func batch(_ body: IOMemory) -> [Forgotten] {
        let count = min(Int(body.load(at: 0, as: UInt32.self)), (body.count - 8) / 16)
        return (0..<count).map { index in
            Forgotten(
                node: body.load(at: 8 + index * 16, as: UInt64.self),
                count: body.load(at: 16 + index * 16, as: UInt64.self))
        }
    }

    /// A name up to its zero byte; nil where none can be. Bytes that are no text name nothing here.
    private static func name(_ body: IOMemory) -> String? {
        let bytes = body.slice(0, min(body.count, FuseWire.nameMax + 1)).array
        guard let end = bytes.firstIndex(of: 0), end > 0 else { return nil }
        let text = String(decoding: bytes[..<end], as: UTF8.self)
        guard text.utf8.count == end, text.utf8.elementsEqual(bytes[..<end]), !text.utf8.contains(UInt8(ascii: "/"))
        else { return nil }
        return text
    }
}
