// SPDX-License-Identifier: Apache-2.0

public import BlockCore
internal import BlockSystem
internal import Synchronization

/// A disk on an image file or a block device.
///
/// Writes are durable after a flush, or by themselves with FUA. Discard and write zeroes make holes where the file
/// system can. A lock keeps off every second writer that asks for it, in this process or another, from the making of
/// the driver until ``released()``, so that a late write of a removed disk never meets a new one on the same file.
public final class FileDriver: BlockDriver {
    private let options: FileOptions
    private let opening: FileOpening
    private let backing: FileBacking
    private let engine: RingEngine?
    private let sectors: Atomic<UInt64>

    /// What the core is told of it.
    public let profile: DriverProfile

    /// Opens and locks the file.
    /// - Context: may block.
    /// - Throws: one line that says what is the matter with the file.
    public init(_ options: FileOptions) throws(ConfigurationError) {
        let opening = try FileOpening(options)
        let backing = FileBacking(opening, isDirect: options.isDirect)
        do throws(ConfigurationError) {
            engine = try Self.startEngine(options, backing)
        } catch {
            opening.discard()
            throw error
        }
        self.opening = opening
        self.backing = backing
        self.options = options
        sectors = Atomic(opening.usableSize / UInt64(sectorSize))

        var profile = DriverProfile()
        profile.style = engine == nil ? .mayBlock : .async
        profile.logicalBlockSize = opening.logicalBlockSize
        profile.physicalBlockSize = max(opening.facts.physicalBlockSize, opening.logicalBlockSize)
        profile.optimalIO = opening.facts.optimalIO
        profile.hasWriteCache = !options.isReadOnly
        profile.fua = .native
        profile.discard = .native
        profile.writeZeroes = .native
        profile.isRotational = opening.facts.isRotational
        profile.isReadOnly = options.isReadOnly
        self.profile = profile
    }

    convenience init(_ keys: inout DriverKeys, _ common: CommonKeys) throws(ConfigurationError) {
        try self.init(try FileOptions(&keys, common))
    }

    deinit { engine?.stop() }

    /// Takes a file that it has made away again, where its add has failed. Not for a driver that serves or has served a disk.
    /// - Context: blocks for a moment. The lock goes with the driver.
    func discard() { opening.discard() }

    private static func startEngine(
        _ options: FileOptions, _ backing: FileBacking
    ) throws(ConfigurationError) -> RingEngine? {
        guard options.engine != .threads else { return nil }
        do throws(SystemError) {
            return try RingEngine.start(backing)
        } catch {
            guard options.engine == .auto else {
                throw ConfigurationError(
                    "file: engine=io_uring is refused here (\(error.name)): use engine=threads", errno: error.errno)
            }
            backing.note(engine: "\(options.path): io_uring is refused here (\(error.name)): threads do the I/O")
            return nil
        }
    }

    /// Sectors, as far as the file has whole logical blocks; after a shrink, fewer than the file has.
    public var capacity: UInt64 { sectors.load(ordering: .relaxed) }

    /// Does the I/O on the ring's thread, or here.
    public func submit(_ bio: consuming Bio) {
        guard var job = FileJob(bio, backing) else { return }
        if let engine { return engine.submit(job) }
        var step = job.start(backing)
        while case .call(let call) = step { step = job.next(after: backing.file.perform(call), backing) }
        if case .done(let status) = step { job.answer(status) }
    }

    /// What the file system says; data where it says nothing. At most 256 parts at a time.
    public func extents(of range: SectorRange) -> [DeviceExtent] {
        let unit = UInt64(sectorSize)
        let end = (range.start + range.count) * unit
        var result: [DeviceExtent] = []
        var offset = range.start * unit
        while offset < end, result.count < 256 {
            let extent = backing.file.extent(at: offset, end: end)
            // A border within a sector makes the whole sector data.
            let next = offset + extent.count
            let whole = extent.isHole ? next / unit * unit : min((next + unit - 1) / unit * unit, end)
            let isHole = extent.isHole && whole > offset
            let count = isHole ? whole - offset : max(whole - offset, unit)
            if let last = result.last, (last.kind == .hole) == isHole {
                result[result.count - 1].count += count / unit
            } else {
                result.append(DeviceExtent(count: count / unit, kind: isHole ? .hole : .data))
            }
            offset += count
        }
        return result
    }

    /// Grows an image, or takes more or less of a device. A smaller disk leaves the file as long as it is: what lies
    /// behind the new end stays there.
    public func resize(to sectors: UInt64) throws(BlockStatus) {
        let bytes = sectors * UInt64(sectorSize)
        do throws(SystemError) {
            let facts = try backing.file.facts()
            if bytes > facts.size {
                guard facts.kind == .regular else { throw SystemError(errno: 28) }
                guard !options.isReadOnly else { throw SystemError(errno: 30) }
                try backing.file.truncate(to: bytes)
            }
        } catch {
            throw BlockStatus(errno: error.errno)
        }
        self.sectors.store(sectors, ordering: .relaxed)
    }

    /// The file, and how its I/O is done.
    public var settings: [(key: String, value: String)] {
        [
            ("path", options.path), ("engine", engine == nil ? "threads" : "io_uring"),
            ("direct", options.isDirect ? "on" : "off"),
        ]
    }

    /// What its user should know: one line for each kind of failure, with its count, and for a missing io_uring.
    public var notes: [String] { backing.lines }

    /// Runs `body` once when the device beneath has vanished: the disk should then be removed by surprise.
    /// - Context: `body` runs on a thread that does the disk's I/O; it must be quick.
    public func onDeath(_ body: @escaping @Sendable () -> Void) { backing.whenDead(body) }

    /// Syncs and durable writes that were asked of the system.
    package var durabilityCalls: Int { backing.file.durabilityCalls.value }

    /// Answers what waits, and cancels what the kernel can give up.
    public func abort() { engine?.abort() }

    /// Ends the ring's thread.
    public func stop() { engine?.stop() }

    /// Gives back the lock and the file.
    public func released() { backing.file.close() }
}
