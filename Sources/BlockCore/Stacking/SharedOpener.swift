// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// An open handle that any thread may submit through, several at a time: what a driver that stands on another device
/// needs, for its own `submit` and its answers run wherever they please.
///
/// It costs a short lock for each I/O over an ``Opener``. What is submitted inside a driver's `submit` or an answer runs
/// after the outermost submission of the thread, so stacks of any height leave the thread's stack flat (T68).
public final class SharedOpener: Sendable {
    private struct State: ~Copyable {
        var opener: Opener?
    }
    private let state: Lock<State>
    /// What was opened.
    public let device: BlockDevice

    /// Takes an opener over.
    public init(_ opener: consuming Opener) {
        device = opener.device
        state = Lock(State(opener: consume opener))
    }

    /// As ``Opener/submit(_:_:flags:data:token:)``, on any thread. After the close, the answer is swallowed.
    public func submit(
        _ operation: BioOperation, _ range: SectorRange, flags: BioFlags = [], data: consuming BioData, token: UInt64
    ) {
        let taken = state.withLock { state -> (core: OpenerCore, slot: Stable<BioSlot>?)? in
            guard let core = state.opener?.core else { return nil }
            // The free list belongs to one thread at a time.
            return (core, core.takeFree())
        }
        guard let (core, slot) = taken else { return }
        guard let slot else {
            core.refuseWithoutSlot(data, token)
            return
        }
        core.fill(slot, operation, range, flags, data, token)
        core.runShared(slot)
    }

    /// As ``Opener/extents(of:)``.
    public func extents(of range: SectorRange) -> Result<[DeviceExtent], BlockStatus> {
        state.withLock { $0.opener?.core }?.extents(of: range) ?? .failure(.gone)
    }

    /// Closes the handle; what is under way is answered to nobody. Closing twice does nothing.
    public func close() {
        let opener = state.withLock { $0.opener.take() }
        _ = consume opener
    }
}

extension OpenerCore {
    /// Runs a slot that was taken for a thread which does not own the opener: its answers come back over `returned`.
    func runShared(_ slot: Stable<BioSlot>) {
        if ThreadContext.inside != 0 {
            Self.putOff(slot)
            return
        }
        ThreadContext.inside = Self.foreign
        run(slot, isForeign: true)
        ThreadContext.inside = 0
        if ThreadContext.putOffHead != 0 { Self.runPutOff() }
    }
}
