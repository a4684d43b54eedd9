// SPDX-License-Identifier: Apache-2.0

/// What a file disk is made from: `file path=FILE [direct=on] [size=] [engine=auto|io_uring|threads]`.
public struct FileOptions: Sendable, Equatable {
    /// How its I/O is done.
    public enum Engine: String, Sendable, CaseIterable {
        /// io_uring where the machine has it, else threads.
        case auto
        /// io_uring, or no disk.
        case ring = "io_uring"
        /// Blocking calls on the disk's own worker threads.
        case threads
    }

    /// The image or the block device.
    public var path: String
    /// No writes, and no lock against other readers.
    public var isReadOnly = false
    /// Past the page cache.
    public var isDirect = false
    /// The size in bytes that a missing file is made with. An existing one must have as much, and has more once its disk was
    /// resized.
    public var size: UInt64?
    /// How its I/O is done.
    public var engine = Engine.auto
    /// The logical block size asked for; nil: the device's, 512 for an image.
    public var sectorSize: Int?

    /// A file disk with the defaults.
    public init(path: String) { self.path = path }

    init(_ keys: inout DriverKeys, _ common: CommonKeys) throws(ConfigurationError) {
        let path = try keys.take("path")
        isReadOnly = common.isReadOnly
        sectorSize = common.sectorSize
        isDirect = try keys.takeSwitch("direct") ?? false
        size = try keys.takeSize("size", multipleOf: common.sectorSize ?? 512)
        engine = try keys.takeWord("engine", Engine.allCases.map(\.rawValue)).flatMap(Engine.init(rawValue:)) ?? .auto
        try keys.finish()
        guard let path else { throw ConfigurationError("file: path= is missing: for example path=/var/tmp/disk.img") }
        self.path = path
    }
}
