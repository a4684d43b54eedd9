// SPDX-License-Identifier: Apache-2.0

internal import BlockSystem

/// What all connections of one reactor share: the memory in which replies are put together, and the list of them.
///
/// The memory is free between turns of a connection: what could not be sent is copied out, so idle and fast
/// connections cost no buffer.
final class NBDWorkspace: @unchecked Sendable {
    // SAFETY: everything mutable is touched by the reactor's thread only.

    let reactor: Reactor
    /// Where replies are put together.
    let output: IOMemory
    private let outputBuffer: IOBuffer
    let sessions = Confined<[ObjectIdentifier: NBDSession]>([:])

    /// What is put together before it is sent. Small enough to stay in a processor's second cache; as large as that
    /// allows, because a client that sleeps is woken by each send.
    static let flushSize = 512 << 10
    /// The largest reply that is put together here (256 KiB of data), behind a full load of others.
    static let outputSize = flushSize + (256 << 10) + 4096

    init(name: String) throws(SystemError) {
        outputBuffer = try IOBuffer(count: Self.outputSize)
        output = outputBuffer.memory
        reactor = try Reactor.start(name: name)
    }
}
