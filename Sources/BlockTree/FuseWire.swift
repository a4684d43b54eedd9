// SPDX-License-Identifier: Apache-2.0

/// The numbers of the kernel's FUSE protocol, version 7. They are the kernel's for ever; all integers are in the
/// machine's order.
enum FuseWire {
    static let major: UInt32 = 7
    /// What this side knows: 39 brought mapping of files that are not cached.
    static let minor: UInt32 = 39
    static let requestHead = 40
    static let writeHead = 40
    static let replyHead = 16
    static let attributes = 88
    static let entry = 40 + attributes
    static let directoryEntry = 24
    /// The most bytes of one read or write: 256 pages, which every kernel takes.
    static let ioMax = 1 << 20
    /// A request that carries the longest write.
    static let requestMax = ioMax + 4096
    static let nameMax = 255
    /// Requests of asynchronous direct I/O that the kernel may have sent and not got back.
    static let backgroundMax: UInt16 = 65535
    static let congestedFrom: UInt16 = 49152
    static let root: UInt64 = 1

    /// What was agreed on with the kernel.
    struct Flags: OptionSet, Sendable {
        let rawValue: UInt64
        static let asyncRead = Flags(rawValue: 1 << 0)
        static let bigWrites = Flags(rawValue: 1 << 5)
        static let readDirectoryPlus = Flags(rawValue: 1 << 13)
        static let readDirectoryPlusAuto = Flags(rawValue: 1 << 14)
        static let asyncDirect = Flags(rawValue: 1 << 15)
        static let parallelDirectories = Flags(rawValue: 1 << 18)
        static let abortError = Flags(rawValue: 1 << 21)
        static let maxPages = Flags(rawValue: 1 << 22)
        static let extended = Flags(rawValue: 1 << 30)
        static let directMapping = Flags(rawValue: 1 << 36)
        /// What this side wants of what the kernel offers.
        static let wanted: Flags = [
            .asyncRead, .bigWrites, .readDirectoryPlus, .readDirectoryPlusAuto, .asyncDirect, .parallelDirectories,
            .abortError, .maxPages, .extended, .directMapping,
        ]
    }

    /// How an open file is used.
    struct OpenFlags: OptionSet, Sendable {
        let rawValue: UInt32
        /// The kernel keeps no pages of it.
        static let direct = OpenFlags(rawValue: 1 << 0)
        static let noFlush = OpenFlags(rawValue: 1 << 5)
        /// Writes need not wait for each other.
        static let parallelWrites = OpenFlags(rawValue: 1 << 6)
    }

    /// Which fields of a change of attributes are meant.
    struct SetFields: OptionSet, Sendable {
        let rawValue: UInt32
        static let mode = SetFields(rawValue: 1 << 0)
        static let user = SetFields(rawValue: 1 << 1)
        static let group = SetFields(rawValue: 1 << 2)
        static let size = SetFields(rawValue: 1 << 3)
        /// It was asked for through an open file.
        static let handle = SetFields(rawValue: 1 << 6)
    }
}

/// What a request asks for.
enum FuseOpcode: UInt32 {
    case lookup = 1
    case forget = 2
    case getAttributes = 3
    case setAttributes = 4
    case readLink = 5
    case symlink = 6
    case makeNode = 8
    case makeDirectory = 9
    case unlink = 10
    case removeDirectory = 11
    case rename = 12
    case link = 13
    case open = 14
    case read = 15
    case write = 16
    case statistics = 17
    case release = 18
    case sync = 20
    case flush = 25
    case initialize = 26
    case openDirectory = 27
    case readDirectory = 28
    case releaseDirectory = 29
    case syncDirectory = 30
    case access = 34
    case create = 35
    case interrupt = 36
    case destroy = 38
    case batchForget = 42
    case allocate = 43
    case readDirectoryPlus = 44
    case rename2 = 45
    case seek = 46
    case temporaryFile = 51
}

/// Error numbers of Linux that the tree answers with.
enum FuseErrno {
    static let notPermitted: Int32 = 1
    static let noEntry: Int32 = 2
    static let interrupted: Int32 = 4
    static let ioError: Int32 = 5
    static let noSuchAddress: Int32 = 6
    static let badHandle: Int32 = 9
    static let tryAgain: Int32 = 11
    static let noMemory: Int32 = 12
    static let accessDenied: Int32 = 13
    static let noDevice: Int32 = 19
    static let isDirectory: Int32 = 21
    static let notDirectory: Int32 = 20
    static let invalid: Int32 = 22
    static let tooManyFiles: Int32 = 23
    static let tooLarge: Int32 = 27
    static let noSpace: Int32 = 28
    static let notSupported: Int32 = 95
    static let notImplemented: Int32 = 38
    static let protocolError: Int32 = 71
    static let timedOut: Int32 = 110
    static let notConnected: Int32 = 107
}
