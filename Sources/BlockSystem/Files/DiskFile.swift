// SPDX-License-Identifier: Apache-2.0

internal import CPlatter
internal import Synchronization

/// An open image file or block device, by one descriptor that is close-on-exec.
///
/// All transfers name their offset, so any number of threads may use it. It does not keep others off unless
/// ``lock(exclusive:)`` was called, and then only those who ask for the lock too.
public final class DiskFile: Sendable {
    /// What was opened.
    public enum Kind: Sendable { case regular, blockDevice, directory, other }

    /// How to open.
    public struct Mode: OptionSet, Sendable {
        /// The bits.
        public let rawValue: Int32
        /// A mode from its bits.
        public init(rawValue: Int32) { self.rawValue = rawValue }
        /// For writing too.
        public static let write = Mode(rawValue: Int32(PLATTER_OPEN_WRITE))
        /// Past the page cache (O_DIRECT): offsets, lengths and memory must be aligned.
        public static let direct = Mode(rawValue: Int32(PLATTER_OPEN_DIRECT))
        /// Makes the file; EEXIST if there is one.
        public static let create = Mode(rawValue: Int32(PLATTER_OPEN_CREATE))
        /// Of a block device: EBUSY while the kernel itself uses it (mounted, part of a RAID).
        public static let exclusive = Mode(rawValue: Int32(PLATTER_OPEN_EXCLUSIVE))
    }

    /// What a file or device says of itself. Sizes are in bytes.
    public struct Facts: Sendable {
        /// What it is.
        public var kind: Kind
        /// How large it was when asked.
        public var size: UInt64
        /// The smallest unit of I/O; 512 for files.
        public var logicalBlockSize: Int
        /// The unit handled without reading first.
        public var physicalBlockSize: Int
        /// The preferred unit; 0 if none is said.
        public var optimalIO: Int
        /// Whether something moves round; false where nobody knows.
        public var isRotational: Bool
        /// What direct I/O demands of memory and of offsets and lengths; nil where direct I/O is refused.
        public var directAlignment: (memory: Int, offset: Int)?
    }

    /// The path it was opened by.
    public let path: String
    private let descriptor: Atomic<Int32>

    /// Syncs and durable writes asked of the system here and through rings: what the tests count.
    public let durabilityCalls = Counter()

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = Atomic(descriptor)
    }

    deinit { close() }

    /// Opens `path`.
    /// - Throws: what open(2) says. A FIFO does not make it wait.
    public static func open(_ path: String, _ mode: Mode) throws(SystemError) -> DiskFile {
        DiskFile(path: path, descriptor: try checked(platter_file_open(path, mode.rawValue)))
    }

    /// Takes the file away from its directory; for a file that was made and could not be used.
    public static func remove(_ path: String) { _ = platter_file_unlink(path) }

    /// Whether the path leads to this file still, and not to another one or nowhere.
    public var isAtItsPath: Bool { platter_file_is_at(number, path) == 1 }

    /// Closes it, which gives the lock back. Afterwards every call answers EBADF. A second close does nothing.
    /// - Context: nobody may be inside another call; the number could already be another file's.
    public func close() {
        let open = descriptor.exchange(-1, ordering: .relaxed)
        if open >= 0 { platter_file_close(open) }
    }

    /// The descriptor, for ``Ring``; -1 once closed.
    var number: Int32 { descriptor.load(ordering: .relaxed) }

    /// What it is and how large.
    public func facts() throws(SystemError) -> Facts {
        var raw = platter_file_facts()
        _ = try Self.checked(platter_file_facts(number, &raw))
        let kind: Kind =
            switch Int(raw.kind) {
            case Int(PLATTER_FILE_REGULAR): .regular
            case Int(PLATTER_FILE_BLOCK): .blockDevice
            case Int(PLATTER_FILE_DIRECTORY): .directory
            default: .other
            }
        let logical = kind == .blockDevice ? Int(raw.logical_block) : 512
        // Kernels before 6.1 do not say: the logical block of a device, and 4096 for a file, are always enough.
        let guess = kind == .blockDevice ? logical : 4096
        let alignment: (memory: Int, offset: Int)? =
            if raw.knows_direct == 0 {
                (max(guess, 512), guess)
            } else if raw.direct_offset == 0 {
                nil
            } else {
                (Int(raw.direct_memory), Int(raw.direct_offset))
            }
        return Facts(
            kind: kind, size: raw.size, logicalBlockSize: logical,
            physicalBlockSize: kind == .blockDevice ? Int(raw.physical_block) : Int(raw.block_size),
            optimalIO: Int(raw.optimal_io), isRotational: raw.rotational != 0, directAlignment: alignment)
    }

    /// Whether a block device is no longer there: such a device has no sectors, whatever its calls say.
    public var hasVanished: Bool {
        var bytes: UInt64 = 0
        switch platter_block_size(number, &bytes) {
        case 0: return bytes == 0
        case -ENODEV, -ENXIO: return true
        default: return false  // not a block device
        }
    }

    /// Has the kernel read the partition table of a block device again.
    /// - Throws: EBUSY while a partition of it is in use, EINVAL on a device that takes no partitions.
    public func rereadTable() throws(SystemError) {
        _ = try Self.checked(platter_block_reread(number))
    }

    /// Takes the lock of the whole file: alone, or together with other readers. It ends with ``close()``, never before.
    /// - Throws: EAGAIN or EACCES if another open of the file holds one that is in the way, in this process or not.
    public func lock(exclusive: Bool) throws(SystemError) {
        _ = try Self.checked(platter_file_lock(number, exclusive ? 1 : 0))
    }

    /// Sets the size of a regular file.
    public func truncate(to bytes: UInt64) throws(SystemError) {
        _ = try Self.checked(platter_file_truncate(number, bytes))
    }

    /// Makes one call now, on this thread, and returns its result. Interrupted calls are made again.
    /// - Context: may block.
    public func perform(_ call: FileCall) -> Int {
        while true {
            let result = performOnce(call)
            if result != Int(-EINTR) { return result }
        }
    }

    private func performOnce(_ call: FileCall) -> Int {
        switch call {
        case .read(let offset, let memory):
            return Int(platter_file_read(number, memory.address, memory.count, offset))
        case .write(let offset, let memory, let durable):
            if durable { durabilityCalls.add() }
            let flags = durable ? Int32(PLATTER_RWF_DSYNC) : 0
            return Int(platter_file_write(number, memory.address, memory.count, offset, flags))
        case .sync:
            durabilityCalls.add()
            return Int(platter_file_sync(number))
        case .space(let space, let offset, let count):
            return Int(platter_file_allocate(number, space.mode, offset, count))
        }
    }

    private static func checked(_ result: Int32) throws(SystemError) -> Int32 {
        if result < 0 { throw SystemError(errno: -result) }
        return result
    }
}

extension FileSpace {
    /// The mode of fallocate(2).
    var mode: Int32 {
        switch self {
        case .punchHole: Int32(PLATTER_FALLOC_PUNCH_HOLE | PLATTER_FALLOC_KEEP_SIZE)
        case .zeroRange: Int32(PLATTER_FALLOC_ZERO_RANGE | PLATTER_FALLOC_KEEP_SIZE)
        }
    }
}

extension IOMemory {
    /// Whether the address is a multiple of `alignment`; empty memory always is.
    public func isAligned(to alignment: Int) -> Bool {
        alignment <= 1 || UInt(bitPattern: address) % UInt(alignment) == 0
    }
}
