// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// A successful open of a disk or a partition.
///
/// The handle stays valid after the disk is gone: every I/O is then answered ``BlockStatus/gone``, and ``close()``
/// works hours later (R5). It cannot be copied. One thread at a time submits (from inside an answer, too: what is
/// submitted there runs after the outermost submission); answers come on any thread.
public struct Opener: ~Copyable, Sendable {
    // Sendable because it may move between threads; that no two use it at a time is the owner's promise.
    // What keeps the core alive: the disk's table of openers, until the close.
    let core: OpenerCore

    init(_ core: OpenerCore) { self.core = core }

    /// For whom it claims; nil: it does not.
    var claimant: ClaimTable.Claimant? { core.standing.withLock { $0.claimant } }
    /// What was opened.
    public var device: BlockDevice { core.device }
    /// How many I/Os it takes in flight. A few more fit, then one is answered ``BlockStatus/again``.
    public var depth: Int { core.depth }
    /// What the handle may do.
    public var mode: OpenMode { core.mode }

    /// Submits an I/O. Its answer comes to the sink, possibly before this returns.
    ///
    /// - Parameters:
    ///   - range: relative to the device, whole logical blocks; ignored for a flush.
    ///   - data: as many bytes as the range has, for read and write.
    ///   - token: comes back with the answer.
    public func submit(
        _ operation: BioOperation, _ range: SectorRange, flags: BioFlags = [], data: consuming BioData, token: UInt64
    ) {
        core.submit(operation, range, flags, data, token)
    }

    /// Until ``endBatch()``, submissions are counted and timed together. Do not wait for anything in between.
    public func beginBatch() { core.beginBatch() }
    /// Ends a batch.
    public func endBatch() { core.endBatch() }

    /// Whether an I/O of this size is done when `submit` returns, without a copy of borrowed memory. That may change until
    /// it is submitted; with ``BioFlags/noWait`` it is then answered ``BlockStatus/again``.
    public func isInline(_ operation: BioOperation, bytes: Int) -> Bool {
        core.isInline(operation, bytes: bytes)
    }

    /// Whether the driver is called on the submitting thread and answers before its submit returns. A driver that is found
    /// to take too long there is none any more.
    public var isInline: Bool { core.isInline(.flush, bytes: 0) }

    /// Where a range, relative to the device, is data, hole or zero; covers at least its first sector. While the disk is
    /// frozen all of it is data.
    /// - Context: asks the driver, in its style: call it where the driver may run.
    public func extents(of range: SectorRange) -> Result<[DeviceExtent], BlockStatus> {
        core.extents(of: range)
    }

    /// The same question, to be asked on another thread than the one that submits: where the driver may block.
    public var extentSource: ExtentSource { ExtentSource(core: core) }

    /// I/Os under way; exact only when nothing moves.
    public var inFlight: Int { core.inFlight }

    /// Gives its claim back, and its place among the writers, before the close: whoever claims the device from now on
    /// does not find this handle in the way, however long the close takes (T23). The handle then has no claim; close it.
    public func yieldClaim() { core.disk.yieldClaim(of: core) }

    /// Closes it. Never fails, in any thread; answers of I/O under way are swallowed. So does dropping it.
    public consuming func close() {}

    deinit { core.close() }
}

/// Asks where an opener's device is data, hole or zero, on any thread. Outliving the opener does no harm.
public struct ExtentSource: Sendable {
    let core: OpenerCore

    /// As ``Opener/extents(of:)``.
    public func extents(of range: SectorRange) -> Result<[DeviceExtent], BlockStatus> { core.extents(of: range) }
}
